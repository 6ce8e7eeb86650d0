"""Malformed job files, and what Argo CD generates from each; an end-to-end scenario asks Argo CD itself."""

from typing import Any

UNSET = "CHARTVERSION-IS-NOT-SET"
BLOCKS = "blocks"
NOTHING = "nothing"

Outcome = tuple[str, dict[str, Any]] | str
"""Version in the chart's tag and values; or that the file blocks its team, or gives no Application."""

FILES: dict[str, tuple[bytes, Outcome]] = {
    # Files that are not a mapping.
    "empty": (b"", (UNSET, {})),
    "comment": (b"# nothing\n", (UNSET, {})),
    "null": (b"null\n", (UNSET, {})),
    "scalar": (b"words\n", BLOCKS),
    "number": (b"5\n", BLOCKS),
    "list-of-nothing": (b"[]\n", NOTHING),
    "list-of-one": (b"- {chartVersion: 1.2.3, a: 1}\n", ("1.2.3", {"chartVersion": "1.2.3", "a": 1})),
    "list-of-null": (b"- null\n", (UNSET, {})),
    "list-of-two": (b"- {chartVersion: 1.2.3}\n- {a: 1}\n", NOTHING),
    "list-of-words": (b"- a\n- b\n", BLOCKS),
    "list-of-both": (b"- {a: 1}\n- b\n", BLOCKS),
    # Files that tfd refuses and Argo CD reads.
    "two-documents": (b"a: 1\n---\nb: 2\n", (UNSET, {"a": 1})),
    "broken-second-document": (b"a: 1\n---\nb: [\n", (UNSET, {"a": 1})),
    "empty-first-document": (b"---\n---\nb: 2\n", (UNSET, {})),
    "duplicate-key": (b"a: 1\nb: 2\na: 3\n", (UNSET, {"a": 3, "b": 2})),
    "alias": (b"a: &x {c: 1}\nb: *x\n", (UNSET, {"a": {"c": 1}, "b": {"c": 1}})),
    "merge": (b"a: &x {c: 1}\nb: {<<: *x, d: 2}\n", (UNSET, {"a": {"c": 1}, "b": {"c": 1, "d": 2}})),
    "merge-below": (b"a: {c: 1, <<: {c: 2}}\n", (UNSET, {"a": {"c": 2}})),
    "path": (b"path: {path: x, filename: y}\na: 1\n", (UNSET, {"a": 1})),
    "tab-after-a-value": (b"a: 1\t# one\n", (UNSET, {"a": 1})),
    "templates": (b"a: '{{ .path.path }}'\n", (UNSET, {"a": "{{ .path.path }}"})),
    # Files that neither of them reads.
    "broken": (b"storage: [\n", BLOCKS),
    "tab": (b"a:\n\tb: 1\n", BLOCKS),
    "latin-1": (b"a: caf\xe9\n", BLOCKS),
    "infinite": (b"a: .inf\n", BLOCKS),
    "alias-of-itself": (b"a: &a {b: *a}\n", BLOCKS),
    "mark-of-the-byte-order": (b"\xef\xbb\xbf# only that\n", (UNSET, {})),
    "anchor-of-an-alias": (b"&a *a\n", (UNSET, {})),
    "directive": (b"%TAG ! x\n---\n", (UNSET, {})),
    "directive-with-a-value": (b"%YAML 1.1\n---\na: 1\n", (UNSET, {"a": 1})),
    "directive-of-another-version": (b"%YAML 1.2\n---\na: 1\n", BLOCKS),
    "value-next-to-dashes": (b"--- {a: 1}\n", (UNSET, {"a": 1})),
    "merge-of-a-number": (b"a: {<<: 1}\n", BLOCKS),
    "merge-of-a-list": (b"a: {<<: [{b: 1}, {c: 2}]}\n", (UNSET, {"a": {"b": 1, "c": 2}})),
    "mapping-as-key": (b"? {}\n: 1\n", BLOCKS),
    "null-as-key": (b"~: 1\n", BLOCKS),
    # Numbers.
    "numbers": (
        b"a: 1e3\nb: 1e-3\nc: 1000000\nd: 0x1f\ne: 1_000\nf: 017\ng: 2001-01-01\n",
        (UNSET, {"a": 1000, "b": 0.001, "c": 1_000_000, "d": 31, "e": 1000, "f": 15, "g": "2001-01-01"}),
    ),
    "huge-number": (b"a: 12345678901234567890123\n", (UNSET, {"a": 12345678901234567890123.0})),
    # Versions.
    "version-null": (b"chartVersion:\n", (UNSET, {"chartVersion": None})),
    "version-empty": (b"chartVersion: ''\n", (UNSET, {"chartVersion": ""})),
    "version-false": (b"chartVersion: no\n", (UNSET, {"chartVersion": False})),
    "version-other": (b"chartVersion: latest\n", ("latest", {"chartVersion": "latest"})),
}  # fmt: skip
