"""Files that are no job files, and what Argo CD makes of each; the end-to-end scenario asks Argo CD itself."""

from typing import Any

UNSET = "CHARTVERSION-IS-NOT-SET"
STOPS = "stops"
NOTHING = "nothing"

Outcome = tuple[str, dict[str, Any]] | str
"""Version in the chart's tag and values; or that the set stops, or that there is no Application."""

FILES: dict[str, tuple[bytes, Outcome]] = {
    # What is no mapping.
    "empty": (b"", (UNSET, {})),
    "comment": (b"# nothing\n", (UNSET, {})),
    "null": (b"null\n", (UNSET, {})),
    "scalar": (b"words\n", STOPS),
    "number": (b"5\n", STOPS),
    "list-of-nothing": (b"[]\n", NOTHING),
    "list-of-one": (b"- {chartVersion: 1.2.3, a: 1}\n", ("1.2.3", {"chartVersion": "1.2.3", "a": 1})),
    "list-of-null": (b"- null\n", (UNSET, {})),
    "list-of-two": (b"- {chartVersion: 1.2.3}\n- {a: 1}\n", NOTHING),
    "list-of-words": (b"- a\n- b\n", STOPS),
    "list-of-both": (b"- {a: 1}\n- b\n", STOPS),
    # What tfd refuses and Argo CD does not.
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
    # What neither reads.
    "broken": (b"storage: [\n", STOPS),
    "tab": (b"a:\n\tb: 1\n", STOPS),
    "latin-1": (b"a: caf\xe9\n", STOPS),
    "infinite": (b"a: .inf\n", STOPS),
    "alias-of-itself": (b"a: &a {b: *a}\n", STOPS),
    "mark-of-the-byte-order": (b"\xef\xbb\xbf# only that\n", (UNSET, {})),
    "anchor-of-an-alias": (b"&a *a\n", (UNSET, {})),
    "directive": (b"%TAG ! x\n---\n", (UNSET, {})),
    "mapping-as-key": (b"? {}\n: 1\n", STOPS),
    "null-as-key": (b"~: 1\n", STOPS),
    # Numbers.
    "numbers": (
        b"a: 1e3\nb: 1e-3\nc: 1000000\nd: 0x1f\ne: 1_000\nf: 017\ng: 2001-01-01\n",
        (UNSET, {"a": 1000, "b": 0.001, "c": 1_000_000, "d": 31, "e": 1000, "f": 15, "g": "2001-01-01"}),
    ),
    "huge-number": (b"a: 12345678901234567890123\n", (UNSET, {"a": 12345678901234567890123.0})),
    # Versions.
    "version-null": (b"chartVersion:\n", (UNSET, {"chartVersion": None})),
    "version-of-no-letter": (b"chartVersion: ''\n", (UNSET, {"chartVersion": ""})),
    "version-false": (b"chartVersion: no\n", (UNSET, {"chartVersion": False})),
    "version-true": (b"chartVersion: yes\n", ("true", {"chartVersion": True})),
    "version-zero": (b"chartVersion: 0.0\n", (UNSET, {"chartVersion": 0})),
    "version-one": (b"chartVersion: 1.0\n", ("1", {"chartVersion": 1})),
    "version-tenth": (b"chartVersion: 0.10\n", ("0.1", {"chartVersion": 0.1})),
    "version-large": (b"chartVersion: 123456\n", ("123456", {"chartVersion": 123456})),
    "version-larger": (b"chartVersion: -1234567\n", ("-1.234567e+06", {"chartVersion": -1234567})),
    "version-million": (b"chartVersion: 1000000\n", ("1e+06", {"chartVersion": 1_000_000})),
    "version-small": (b"chartVersion: 0.0001\n", ("0.0001", {"chartVersion": 0.0001})),
    "version-smaller": (b"chartVersion: 0.0000123\n", ("1.23e-05", {"chartVersion": 1.23e-05})),
    "version-list": (b"chartVersion: [0.1.0, 2, null]\n", ("[0.1.0 2 <nil>]", {"chartVersion": ["0.1.0", 2, None]})),
    "version-empty-list": (b"chartVersion: []\n", (UNSET, {"chartVersion": []})),
    "version-mapping": (
        b"chartVersion: {b: 1.50, a: {}}\n", ("map[a:map[] b:1.5]", {"chartVersion": {"b": 1.5, "a": {}}})
    ),
}  # fmt: skip
