"""Every file of tests/job_files/rejected has one defect; NAME.expected beside it holds what `tfd check` prints.

scripts/golden.sh writes the expected texts anew.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.chart.keys import SCHEMA
from tests.chart.rendering import CHART, INVALID, TEMPLATES, Refused, render
from tfd.jobfile import helm_yaml
from tfd.jobfile.jobfile import JobFile
from tfd.jobfile.schema import defaults, merged

VERSION = re.search(r"^version: (.*)$", (CHART / "Chart.yaml").read_text(), re.MULTILINE)[1]  # type: ignore[index]
VALIDATE = (TEMPLATES / "validate.yaml").read_text()
FAILS = re.findall(r'fail \(?(?:printf )?"tf-distributed: ((?:[^"\\]|\\.)*)"', VALIDATE)

# What plain Helm renders all the same, and why only `tfd check` can tell.
HELM_SEES_NOTHING = {
    "file-alias": "Helm follows aliases; a reviewer of a diff can't",
    "file-duplicate-key": "Helm takes the last of two equal keys",
    "file-duplicate-nested-key": "Helm takes the last of two equal keys",
    "file-second-document": "Helm reads the first document only",
}
KEY = r"(release\ name|[A-Za-z]+(\[\d+\])*(\.[-A-Za-z0-9_./ ]+?(\[\d+\])*)*)"
ABOUT_A_KEY = re.compile(
    rf"""{KEY}:\ (
        got\ .+?(:|,\ but)\ .+;\ .+                         # the value, the rule, what to set
      | missing;\ .+
      | unknown\ key(:\ did\ you\ mean\ .+\?|;\ .+)
      | duplicate\ key,\ first\ on\ line\ \d+:\ keep\ one
      | got\ the\ tag\ .+:\ write\ the\ value\ without\ it
      | got\ \S+,\ but\ a\ number\ must\ be\ finite
      | expands\ to\ more\ than\ [\d,]+\ values:\ do\ not\ nest\ aliases
    )""",
    re.VERBOSE,
)
ABOUT_THE_FILE = re.compile(r"not YAML: .+|got .+, but a (job )?file is .+; .+")


def expected(path: Path) -> str:
    return path.with_suffix(".expected").read_text().replace("VERSION", VERSION)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_tfd_says_what_is_expected(path: Path) -> None:
    assert [str(problem).removeprefix(f"{path}:") for problem in JobFile(path).problems()] == [
        expected(path).removesuffix("\n")
    ]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_message_names_the_key_the_value_and_what_to_do(path: Path) -> None:
    line, message = re.fullmatch(r"(\d+):\d+: (.*)\n", expected(path)).groups()  # type: ignore[union-attr]
    if ABOUT_THE_FILE.fullmatch(message):
        return
    found = ABOUT_A_KEY.fullmatch(message)
    assert found, message
    name = found[1].rpartition(".")[2].partition("[")[0]
    written = not any(phrase in message for phrase in ("missing", "expands", "release name"))
    if written and "/" not in found[1]:
        assert name in path.read_text().splitlines()[int(line) - 1], f"{name} is not in line {line}"


@pytest.mark.slow
@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_plain_helm_refuses_it_too(path: Path) -> None:
    if path.stem in HELM_SEES_NOTHING:
        render(path)
        return
    with pytest.raises(Refused) as refusal:
        render(path)
    message = expected(path).split(": ", 1)[1].strip()
    if any(fail_pattern(fail).fullmatch(message) for fail in FAILS) and "tf-distributed: " in str(refusal.value):
        assert f"tf-distributed: {message}\n" in str(refusal.value)


def fail_pattern(text: str) -> re.Pattern[str]:
    """What a `fail` of validate.yaml looks like when its verbs are filled in."""
    return re.compile(re.sub(r"%[sd]", ".+", re.escape(text.replace('\\"', '"')).replace("%%", "%")))


@pytest.mark.parametrize("fail", FAILS)
def test_every_rule_of_the_chart_has_a_file(fail: str) -> None:
    pattern = fail_pattern(fail)
    assert any(pattern.fullmatch(expected(path).split(": ", 1)[1].strip()) for path in INVALID) or fail in UNREACHABLE


# tfd renders for a Kubernetes that has gangs; test_valid.py holds this message against an older one.
UNREACHABLE = {fail for fail in FAILS if fail.startswith("scheduling.gang: got true: it needs Kubernetes")}


def test_every_fail_is_found_by_this_test() -> None:
    assert len(FAILS) == VALIDATE.count("fail (printf") + VALIDATE.count('fail "') > 25
    assert len(UNREACHABLE) == 1


def default_keys(block: dict[str, Any], *above: str) -> Iterator[str]:
    """Yield each key with a default; resources is one, as its quantities may go."""
    for name, value in block.items():
        if isinstance(value, dict) and value and name != "resources":
            yield from default_keys(value, *above, name)
        else:
            yield ".".join([*above, name])


def test_no_default_can_be_taken_away() -> None:
    listed = re.search(r"\$defaults := `([^`]+)`", VALIDATE)
    assert listed
    assert sorted(listed[1].split()) == sorted(default_keys(defaults()))


def test_fail_is_in_one_template_only() -> None:
    others = [path.name for path in TEMPLATES.iterdir() if path.name != "validate.yaml"]
    assert [name for name in others if re.search(r"\bfail\b[ (]*(printf|\")", (TEMPLATES / name).read_text())] == []


def test_every_file_has_a_text_and_every_text_a_file() -> None:
    assert {path.stem for path in INVALID} == {path.stem for path in INVALID[0].parent.glob("*.expected")}
    assert len(INVALID) >= 40


def test_every_file_says_what_is_wrong_with_it_in_its_first_line() -> None:
    comments = [path.read_text().splitlines()[0] for path in INVALID]
    assert [comment for comment in comments if not re.fullmatch(r"# \S.*\.", comment)] == []


def constrained(node: dict[str, Any] = SCHEMA, place: str = "#") -> dict[int, str]:
    """Return the place of each node of the schema that holds a value to a rule, by its identity."""
    found = {}
    if node.keys() & {"type", "enum", "const", "pattern"} and "properties" not in node:
        found[id(node)] = place
    for keyword in ("properties", "patternProperties", "$defs"):
        for name, child in node.get(keyword, {}).items():
            found |= constrained(child, f"{place}/{keyword}/{name}")
    for keyword in ("items", "additionalProperties", "propertyNames"):
        if isinstance(node.get(keyword), dict):
            found |= constrained(node[keyword], f"{place}/{keyword}")
    return found


def test_every_rule_of_the_schema_has_a_file() -> None:
    """A definition counts once: test_schema.py tries each keyword at each key."""
    missing = constrained()
    for path in INVALID:
        try:
            values = helm_yaml.load(path.read_text()).value
        except helm_yaml.YamlError:
            continue
        if isinstance(values, dict):
            for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(merged(defaults(), values)):
                node = SCHEMA
                for step in list(error.absolute_schema_path)[:-1]:
                    if "$ref" in node and step not in node:
                        node = SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")]
                    node = node[step]
                missing.pop(id(node), None)
                if "$ref" in node:
                    missing.pop(id(SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")]), None)
    assert sorted(missing.values()) == []


def test_expected_texts_are_one_line_of_plain_json_values() -> None:
    for path in INVALID:
        text = expected(path)
        assert text.count("\n") == 1, path.name
        assert "level=" not in text, path.name
        assert "<nil>" not in text, path.name
        assert json.dumps(text), path.name
