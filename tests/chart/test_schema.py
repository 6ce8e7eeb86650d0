"""The schema is closed, describes each key, and has exactly the keys that the templates use.

Every declared key is used: keys.py has two values of each key, and their renderings must differ or be refused.

Every used key is declared: a closed schema refuses any other key, so a template that reads one has a typing error.
`read_keys` follows `.Values`, variables, `with`, `range` and `index $values $role` through each template.
It does not follow dict arguments other than `root`.
"""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from tests.chart.keys import BASE, CHANGES, LEAVES, SCHEMA, UNSET, place, resolve
from tests.chart.rendering import CHART, KUBERNETES, ROOT, TEMPLATES, Refused, Values, render, rendered, tool
from tests.grammar import GRAMMAR
from tfd.jobfile import helm_yaml
from tfd.jobfile.schema import defaults, dotted, schema_errors

Node = dict[str, Any]


def nodes(node: Node = SCHEMA, where: str = "#") -> Iterator[tuple[str, Node]]:
    """Yield every node of the schema that describes a value, and its place. Each definition counts once."""
    yield where, node
    for keyword in ("properties", "patternProperties", "$defs"):
        for name, child in node.get(keyword, {}).items():
            yield from nodes(child, f"{where}/{keyword}/{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), dict):
            yield from nodes(node[keyword], f"{where}/{keyword}")


NODES = dict(nodes())
PROPERTIES = {where: node for where, node in NODES.items() if where.split("/")[-2:-1] == ["properties"]}


def test_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_chart_holds_the_real_schema_file() -> None:
    """Helm prints a line about each symbolic link on every install, and `helm package` must contain the text."""
    link = ROOT / "schema" / "job.schema.json"
    assert not (CHART / "values.schema.json").is_symlink()
    assert link.resolve() == CHART / "values.schema.json"


@pytest.mark.slow
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_helm_prints_nothing_but_the_manifests(helm: str) -> None:
    command = [tool(helm), "template", "run", str(CHART), "--set", "storage.claim=runs", "--kube-version", KUBERNETES]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.parametrize("where", [where for where, node in NODES.items() if node.get("type") == "object"])
def test_object_is_closed(where: str) -> None:
    node = NODES[where]
    if "properties" in node:
        assert node["additionalProperties"] is False
    else:
        assert "maxProperties" in node
        assert "patternProperties" in node or ("propertyNames" in node and node["additionalProperties"])


LONGEST_SENTENCE = 25


def sentences(text: str) -> list[str]:
    """Return the sentences of a text without its code, URLs and examples in braces."""
    return re.split(r"(?<=[.])\s+(?=[A-Z`])", re.sub(r"\{[^}]*\}", "{}", text))


@pytest.mark.parametrize("where", PROPERTIES)
def test_key_has_a_description_a_class_and_a_hint(where: str) -> None:
    node = PROPERTIES[where]
    assert node["x-class"] in ("identity", "immutable", "mutable", "metadata")
    assert resolve(node)["x-hint"]
    for sentence in sentences(node["description"]):
        assert re.fullmatch(r"[A-Z0-9`].*\.", sentence), sentence
        assert len(sentence.split()) <= LONGEST_SENTENCE, sentence


@pytest.mark.parametrize("where", NODES)
def test_value_has_a_rule_next_to_its_type(where: str) -> None:
    node = resolve(NODES[where])
    kinds = node.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    assert kinds or node.keys() & {"enum", "const"}
    if "string" in kinds:
        assert "maxLength" in node
    if "integer" in kinds:
        assert node.keys() >= {"minimum", "maximum"}
    if "array" in kinds:
        assert node.keys() >= {"items", "maxItems"}


def patterns(node: Any) -> Iterator[Node]:
    """Yield every node of a schema that has a pattern; `propertyNames` also counts."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node
        for child in node.values():
            yield from patterns(child)
    elif isinstance(node, list):
        for child in node:
            yield from patterns(child)


@pytest.mark.parametrize("file", ["job.schema.json", "review.schema.json"])
def test_each_pattern_has_its_rule_in_words(file: str) -> None:
    found = list(patterns(json.loads((ROOT / "schema" / file).read_text())))
    assert found
    assert file == "review.schema.json" or [node["pattern"] for node in found if "maxLength" not in node] == []
    assert [node["pattern"] for node in found if not re.fullmatch(r"[^\^\\]+[^.]", node.get("x-rule", ""))] == []


def test_defaults_are_valid_once_storage_is_named() -> None:
    assert [found.key for found in schema_errors({})] == [("storage",)]
    assert list(schema_errors({"storage": {"claim": "runs"}})) == []


def test_values_yaml_shows_every_key_at_least_as_a_comment() -> None:
    text = (CHART / "values.yaml").read_text()
    names = {part.removesuffix("[]") for key in LEAVES for part in key.split(".") if ".tolerations[]" not in key}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)] == []


def test_every_key_has_a_change() -> None:
    assert CHANGES.keys() == LEAVES.keys()


@pytest.mark.parametrize("key", CHANGES)
def test_declared_key_is_used(key: str) -> None:
    before, after = CHANGES[key].jobs(key)
    before_text = rendered(before)
    try:
        assert rendered(after) != before_text
    except Refused as refusal:
        assert f"tf-distributed: {key}: got " in str(refusal)


ACTION = re.compile(r"\{\{-?\s*(?:/\*.*?\*/|(.*?))\s*-?\}\}", re.DOTALL)
TERM = re.compile(r"(?:\(index (?P<of>\$?[\w.]+) [$.][\w.]*\)|(?P<variable>\$\w*)|(?<![\w.)\"]))(?P<fields>(?:\.\w+)+)")
INDEX = re.compile(r"\(?index (?P<of>\$?[\w.]+) [$.][\w.]*\)?(?P<fields>)")
ROOT_OBJECT, ARGUMENT = "the root object", "the argument of a define"
Place = str | tuple[str, ...] | None
"""ROOT_OBJECT, ARGUMENT, a key of the values, or None for any other value."""


class Reader:
    """Follows one template and collects the keys of the values that it reads."""

    def __init__(self, text: str) -> None:
        self.keys: set[str] = set()
        self._dots: list[Place] = [ROOT_OBJECT]
        self._names: dict[str, Place] = {"$": ROOT_OBJECT}
        for action in ACTION.finditer(text):
            if action[1]:
                self._action(re.sub(r'"(?:[^"\\]|\\.)*"', '""', action[1]))

    def _action(self, code: str) -> None:
        word = code.partition(" ")[0]
        for term in (*TERM.finditer(code), *INDEX.finditer(code)):
            found = self._place(term)
            if isinstance(found, tuple) and found:
                self.keys.add(".".join(found))
        name, _, expression = code.rpartition("=")
        value = self._value(expression.removeprefix(f"{word} "))
        if word == "define":
            self._dots.append(ARGUMENT)
            self._names = {"$": ARGUMENT}
        elif word in ("with", "range"):
            if word == "range":
                value = (*value[:-1], f"{value[-1]}[]") if isinstance(value, tuple) and value else None
            self._dots.append(value)
        elif word in ("if", "block"):
            self._dots.append(self._dots[-1])
        elif word == "end":
            self._dots.pop()
        for variable in re.findall(r"\$\w+", name)[-1:]:
            self._names[variable] = value

    def _value(self, expression: str) -> Place:
        """Return what an expression is when it is one term, perhaps with a default."""
        if expression.strip() == ".":
            return self._dots[-1]
        for pattern in (TERM, INDEX):
            if found := pattern.fullmatch(expression.partition("|")[0].strip()):
                return self._place(found)
        return None

    def _place(self, term: re.Match[str]) -> Place:
        found = term.groupdict()
        place: Place = self._dots[-1]
        if found["of"]:
            of = TERM.fullmatch(found["of"])
            place = self._place(of) if of else self._names.get(found["of"])
            place = (*place, "*") if isinstance(place, tuple) else None
        elif found.get("variable"):
            place = self._names.get(found["variable"])
        for field in found["fields"].split(".")[1:]:
            if place == ROOT_OBJECT:
                place = () if field == "Values" else None
            elif place == ARGUMENT:
                place = ROOT_OBJECT if field == "root" else None
            elif isinstance(place, tuple):
                place = (*place, field)
        return place


def read_keys() -> dict[str, str]:
    """Return the keys that templates read and, for a message, a template that does."""
    return {key: path.name for path in sorted(TEMPLATES.rglob("*.*")) for key in Reader(path.read_text()).keys}


def is_declared(key: str, node: Node = SCHEMA) -> bool:
    """Return whether the schema declares `key`; `*` is a role, and a key of one role is enough."""
    name, _, rest = key.partition(".")
    node = resolve(node)
    if "properties" not in node:
        return True  # below a map of free names, or a method of Helm's own
    children = node["properties"]
    if name == "*":
        return not rest or any(is_declared(rest, child) for child in children.values() if "properties" in child)
    child = resolve(children.get(name.removesuffix("[]"), {}))
    if name.endswith("[]"):
        child = resolve(child.get("items", {}))
    return bool(child) and (not rest or is_declared(rest, child))


@pytest.mark.parametrize("key", sorted(read_keys()))
def test_used_key_is_declared(key: str) -> None:
    assert is_declared(key), f"{read_keys()[key]} reads {key}, which no job file may set"


def test_reader_follows_with_range_index_and_variables() -> None:
    sample = """
      {{- define "x" -}}{{ $v := .root.Values }}{{ with $v.storage.create }}{{ .sise | default 1 }}{{ end }}
      {{- $block := index $v .role -}}{{ range $i, $t := $block.tolerations }}{{ $t.keys }}{{ end }}
      {{- if (index $v $role).gpus }}{{ printf "%s .no.key" .role }}{{ end }}{{ end }}
    """
    read = {"storage.create", "storage.create.sise", "*", "*.tolerations", "*.tolerations[].keys", "*.gpus"}
    assert Reader(sample).keys == read
    assert {key for key in read if not is_declared(key)} == {"storage.create.sise", "*.tolerations[].keys"}


def test_reader_finds_what_templates_are_known_to_read() -> None:
    known = {"storage.create.accessMode", "env[].name", "*.tolerations", "*.resources.requests", "*.gpus"}
    assert known <= read_keys().keys()


def violations(node: Node) -> Iterator[tuple[str, Any]]:
    """Yield each keyword of a node and a value that breaks it."""
    kinds = node.get("type", [])
    wrong: dict[str, Any] = {
        "array": "x", "object": ["x"], "string": 1, "integer": "one", "number": "one", "boolean": "true",
    }  # fmt: skip
    if isinstance(kinds, str):
        yield "type", wrong[kinds]
    breaking: dict[str, Any] = {
        "enum": lambda _: "no-such-value",
        "const": lambda _: False,
        "minimum": lambda limit: limit - 1,
        "maximum": lambda limit: limit + 1,
        "pattern": lambda _: "\0\n!",
        "minLength": lambda _: "",
        "maxLength": lambda limit: "a" * (limit + 1),
        "minItems": lambda _: [],
        "maxItems": lambda limit: ["x"] * (limit + 1),
        "uniqueItems": lambda _: [3, 3],
        "maxProperties": lambda limit: {f"k{i}.example.com/a": 1 for i in range(limit + 1)},
        "propertyNames": lambda _: {"-": "a"},
    }
    for keyword, value in breaking.items():
        if keyword in node:
            yield keyword, value(node[keyword])


VIOLATIONS = [(key, keyword, value) for key, node in LEAVES.items() for keyword, value in violations(node)]


@pytest.mark.parametrize(
    ("key", "keyword", "value"), VIOLATIONS, ids=lambda part: part if isinstance(part, str) else ""
)
def test_refusal_names_the_key_the_value_and_what_to_set(key: str, keyword: str, value: Any) -> None:
    job = _with_bad(CHANGES[key].jobs(key)[0], key, value)
    spelt = key.replace("[]", "[0]")
    messages = {dotted(found.key): found.message for found in schema_errors(job)}
    found = messages.get(spelt) or next(message for name, message in messages.items() if name.startswith(spelt))
    assert GRAMMAR.fullmatch(found)
    shown = json.dumps(value)
    if keyword not in ("maxItems", "maxProperties", "propertyNames"):
        assert found.startswith(f"{spelt}: got {shown if len(shown) <= 80 else shown[:77]}")


ONE_LINE = [key for key, node in LEAVES.items() if not re.search(node.get("pattern", ""), "a\nb")]


@pytest.mark.parametrize("key", ONE_LINE)
def test_line_break_after_an_allowed_text_is_refused(key: str) -> None:
    """`image: |` ends with one. Python finds `$` before it, and Helm does not."""
    allowed = next(value for value in (CHANGES[key].after, CHANGES[key].before) if isinstance(value, str) and value)
    job = CHANGES[key].jobs(key)[0]
    assert key.replace("[]", "[0]") not in {dotted(found.key) for found in schema_errors(_with_bad(job, key, allowed))}
    found = {dotted(found.key) for found in schema_errors(_with_bad(job, key, f"{allowed}\n"))}
    assert key.replace("[]", "[0]") in found


@pytest.mark.parametrize("keyword", sorted({keyword for _, keyword, _ in VIOLATIONS}))
def test_helm_refuses_each_violation_too(keyword: str) -> None:
    """One job file breaks all keys at once, because Helm lists every violation."""
    job = copy.deepcopy(BASE)
    places = set()
    for key, rule, value in VIOLATIONS:
        if rule == keyword:
            job = _with_bad(job, key, value)
            places.add("/" + key.replace("[]", ".0").replace(".", "/"))
    with pytest.raises(Refused) as refusal:
        render(job)
    if keyword == "propertyNames":  # Helm reports a wrong place for these
        assert str(refusal.value).count("invalid propertyName '-'") == len(places)
    else:
        assert [where for where in sorted(places) if f"at '{where}" not in str(refusal.value)] == []


BLOCKS = {_key: None for leaf in LEAVES for _key in [leaf.rpartition(".")[0]] if _key}


@pytest.mark.parametrize("block", ["", *BLOCKS])
def test_unknown_key_is_refused_in_every_block(block: str) -> None:
    first = next(leaf for leaf in LEAVES if leaf.startswith(f"{block}." if block else ""))
    key = f"{block}.color".lstrip(".")
    job = _with_bad(CHANGES[first].jobs(first)[0], key, "red")
    spelt = key.replace("[]", "[0]")
    message = {dotted(found.key): found.message for found in schema_errors(job)}[spelt]
    assert message.startswith(f"{spelt}: got an unknown key; expected ")
    assert GRAMMAR.fullmatch(message)


def test_helm_refuses_an_unknown_key_in_every_block() -> None:
    job = copy.deepcopy(BASE)
    for block in BLOCKS:
        job = _with_bad(job, f"{block}.color", "red")
    with pytest.raises(Refused) as refusal:
        render(job)
    for block in BLOCKS:
        where = "/" + block.replace("[]", ".0").replace(".", "/")
        assert f"at '{where}': additional properties 'color' not allowed" in str(refusal.value)


def test_null_is_refused_wherever_there_is_a_default() -> None:
    """Helm removes a default that a job file sets to null."""
    for name in defaults():
        assert (name,) in {found.key for found in schema_errors({"storage": {"claim": "runs"}, name: None})}


def test_no_key_of_the_schema_is_there_twice() -> None:
    """JSON parsers silently accept a key twice in one object."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    json.loads((ROOT / "schema" / "job.schema.json").read_text(), object_pairs_hook=once)
    helm_yaml.load((CHART / "values.yaml").read_text())


def _with_bad(job: Values, key: str, value: Any) -> Values:
    assert value is not UNSET
    job = copy.deepcopy(job)
    block, name = place(job, key)
    block[name] = value
    return job
