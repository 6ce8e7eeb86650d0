"""Turns a manifest of another operator into a job file, and lists what became of each of its fields.

The ledger holds the promise: every field of the manifest is kept, changed or dropped, each with a reason, or the whole
manifest is refused. What a manifest does not contain becomes a TODO, a value that the schema refuses.
"""
