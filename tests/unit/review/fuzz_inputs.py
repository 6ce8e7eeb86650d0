"""Job files, paths and attributes as a stranger would write them: keys of the schema, traps of YAML, and any bytes."""

import json
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.chart.keys import LEAVES, SCHEMA, resolve
from tests.unit.review.repositories import RUN

Node = dict[str, Any]
Text = st.SearchStrategy[str]

DIGITS = st.integers(1, 5000).map(lambda count: "9" * count)
NUMBERS = st.one_of(
    DIGITS,
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
    st.sampled_from(["0x", "0X", "0o", "0b", "0", "-0x", "+0b", "-0"]).flatmap(
        lambda prefix: st.integers(0, 2**70).map(lambda number: f"{prefix}{number:x}")
    ),
    st.tuples(st.integers(-999, 999), st.integers(-400, 400)).map(lambda pair: f"{pair[0]}e{pair[1]}"),
    st.from_regex(r"[-+.0-9][-+.0-9eExXoObB_:a-f]{0,30}", fullmatch=True),
)
# fmt: off
WORDS = st.sampled_from([
    "", "~", "null", "y", "no", "True", ".inf", "-.INF", ".nan", "<<", "=", "---", "...", "%YAML 1.1", "@x", "`x`",
    "!!binary aGk=", "!!python/object:os.system x", "! x", "!!str 1", "!!int x", "&a 1", "*a", "&a *a", "&a [*a]",
    "2001-01-01", "12:30", "1_000", "? x", "- x", "[", "{", "]", "}", ",", ":", "#", "|", ">-", "'", '"', '"\\x00"',
    '"\\ud800"', '"\\U0001F600"', "\\", "\x00", "\ufeff", "\u2028", "\x85", "\u202e", "{{ .Values }}", "$(HOME)",
    "$$", "-----BEGIN PRIVATE KEY-----", f"ghp_{36 * 'x'}", "https://a:b@c.d", "../..", "a" * 300, "[" * 60,
    "{a: " * 60, "'" + 40_000 * "x" + "'", "1Gi", "500m", "1e3", "0.0000001", "999999999999999999999999999999P",
    "1E", "-1", "٣", "x" * 70_000,
])
# fmt: on


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


QUOTED = st.text(max_size=40).map(_quoted)
SCALARS = st.one_of(NUMBERS, WORDS, QUOTED, st.text(max_size=20))
NAMES = st.one_of(
    st.sampled_from(sorted({part for key in LEAVES for part in key.replace("[]", "").split(".")})),
    st.sampled_from(["cpu", "memory", "nvidia.com/gpu", "example.com/x", "0x10", "16", "train.py", "LR"]),
    SCALARS,
)


def flow_map(pairs: list[tuple[str, str]]) -> str:
    return f"{{{', '.join(f'{name}: {value}' for name, value in pairs)}}}"


VALUES: Text = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(NAMES, inner), max_size=4).map(flow_map),
        st.tuples(inner, st.integers(100, 6000)).map(lambda pair: f"[{', '.join([pair[0][:8]] * pair[1])}]"),
    ),
    max_leaves=8,
)  # fmt: skip


def valid(node: Node) -> Text:
    """Return texts of values that the schema accepts, above all those at the ends of its ranges."""
    node = resolve(node)
    kinds = node.get("type", [])
    kind = kinds if isinstance(kinds, str) else (kinds or [""])[0]
    if "enum" in node or "const" in node:
        return st.sampled_from(node.get("enum", [node.get("const")])).map(_quoted)
    if kind == "object":
        return _object(node)
    if kind == "array":
        items = st.lists(valid(node["items"]), min_size=node.get("minItems", 0), max_size=3)
        return items.map(lambda values: f"[{', '.join(values)}]")
    if kind == "boolean":
        return st.sampled_from(["true", "false"])
    if kind in ("integer", "number"):
        low, high = node.get("minimum", -1000), node.get("maximum", 1000)
        return st.sampled_from([low, high, low + (high - low) // 2]).map(str)
    pattern = st.from_regex(node["pattern"].removesuffix("$") + r"\Z") if "pattern" in node else st.text(max_size=30)
    return pattern.filter(lambda text: len(text) <= node.get("maxLength", 100)).map(_quoted)


def _object(node: Node) -> Text:
    known = {name: valid(child) for name, child in node.get("properties", {}).items()}
    needed = {name: known[name] for name in node.get("required", [])}
    rest = {name: each for name, each in known.items() if name not in needed}
    pairs = st.fixed_dictionaries({name: known[name] for name in needed}, optional=rest)
    if not known:
        free = node.get("additionalProperties") or next(iter(node["patternProperties"].values()))
        names = st.sampled_from(["cpu", "memory", "a", "b.c", "example.com/x", "0x10", "true"])
        pairs = st.dictionaries(names, valid(free), min_size=node.get("minProperties", 0), max_size=2)
    return pairs.map(lambda found: flow_map(list(found.items())[: node.get("maxProperties", 50)]))


def _trapped(pair: tuple[str, str]) -> str:
    """Return the usual run with one more key of the schema, which has any value."""
    key, value = pair
    for part in reversed(key.split(".")):
        name = part.removesuffix("[]")
        value = f"{{{name}: [{value}]}}" if part.endswith("[]") else f"{{{name}: {value}}}"
    return RUN.replace("storage: {claim: runs}\n", "") + value[1:-1] + "\n"


def _cut(pieces: tuple[int, int, bytes, int]) -> bytes:
    """Return the usual run with some bytes in place of others."""
    start, length, put, times = pieces
    data = RUN.encode()
    return data[:start] + put * times + data[start + length :]


TOPS = {name: valid(node) for name, node in SCHEMA["properties"].items() if name != "chartVersion"}
STORAGE = {"storage": TOPS.pop("storage")}
VALID_FILES = st.fixed_dictionaries(STORAGE, optional=TOPS).map(
    lambda found: RUN.splitlines()[1] + "\n" + "".join(f"{name}: {value}\n" for name, value in found.items())
)
FILES: st.SearchStrategy[bytes] = st.one_of(
    st.tuples(st.sampled_from(sorted(LEAVES)), VALUES).map(_trapped),
    st.lists(st.tuples(NAMES, VALUES), max_size=6).map(
        lambda pairs: "".join(f"{name}: {value}\n" for name, value in pairs)
    ),
    VALUES,
    VALID_FILES,
).map(lambda text: text.encode(errors="replace")) | st.tuples(
    st.integers(0, 400), st.integers(0, 60), st.binary(max_size=4), st.integers(1, 30_000)
).map(_cut)  # fmt: skip


def _mixed(drawn: tuple[list[bytes], list[str], int, int]) -> list[bytes]:
    """Return the files, and enough others that have the values at any keys: that is faster than drawing each."""
    files, values, seed, number = drawn
    random = Random(seed)
    for _ in range(number - len(files)):
        key, value = random.choice(sorted(LEAVES)), random.choice(values)
        cut = random.randrange(len(value) + 1) if random.random() < 0.2 else 0
        files.append(_trapped((key, value[cut:])).encode(errors="replace"))
    return files


def many_files(number: int) -> st.SearchStrategy[list[bytes]]:
    """Return lists of job files, of which some are alike."""
    drawn = st.lists(FILES, min_size=3, max_size=3), st.lists(VALUES, min_size=8, max_size=8)
    return st.tuples(*drawn, st.integers(0, 2**32), st.just(number)).map(_mixed)


PARTS = st.one_of(
    st.sampled_from(["vision", "examples", "a", "A", "new-1", ".gitattributes", ".argocd-source.yaml", "x.yaml"]),
    st.text(st.characters(exclude_characters="/\0\n"), min_size=1, max_size=12),
    st.sampled_from(["a" * 64, "é", "e\u0301", "\x1b[2J", "\u202e", "ﬀ", "İ", "con", "x ", "-x", "x.yaml "]),
).filter(lambda part: part not in (".", "..", ".git") and not part.lower().startswith((".git\u200c", "git~")))
PATHS = st.tuples(
    st.sampled_from(["jobs", "charts/tf-distributed", "schema", "docs", "jobs/vision", ""]),
    st.lists(PARTS, min_size=1, max_size=3),
    st.sampled_from(["", ".yaml"]),
).map(lambda parts: "/".join(filter(None, [parts[0], *parts[1]])) + parts[2])
MODES = st.sampled_from(["100644", "100644", "100755", "120000", "160000"])
ATTRIBUTES = st.lists(
    st.tuples(
        st.sampled_from(["*", "*.yaml", "jobs/**", "[attr]m", "docs/*", "schema/**", '"', "!x"]),
        st.sampled_from(["ident", "text", "-text", "eol=crlf", "m", "working-tree-encoding=UTF-7", "filter=x", "="]),
    ),
    max_size=4,
).map(lambda pairs: "".join(f"{pattern} {name}\n" for pattern, name in pairs).encode())
