"""A run on this machine: every pod of every rendered Job as a local process."""
