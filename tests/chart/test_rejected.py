"""Every case of tests/job_files/rejected has one defect, and its `error` is what `tfd check` prints.

scripts/golden.sh rewrites the errors.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.chart.keys import LEAVES, SCHEMA, place
from tests.chart.nulls import assert_null_is_refused_with_words_or_allowed, default_keys, protected_keys, with_blocks
from tests.chart.rejected import Case, cases, rewritten, tables
from tests.chart.rendering import ACCEPTED, CHART, REJECTED, TEMPLATES, Refused, Values, objects, render
from tests.chart.rules import RULES, Rule, rule_calls
from tests.chart.volumes import pod_specs
from tfd.jobfile import helm_yaml
from tfd.jobfile.rules import Candidate, broken
from tfd.jobfile.schema import defaults, merged
from tfd.jobfile.validator import errors

CASES = list(cases())
# Helm renders these files, but a reviewer of a diff cannot see what they mean.
ACCEPTED_BY_HELM = {"alias.yaml", "duplicate-key.yaml", "duplicate-nested-key.yaml", "second-document.yaml"}

cases_by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.table}: {case.name}")


@cases_by_name
def test_tfd_reports_the_error_of_the_case(case: Case) -> None:
    assert case.problems() == [case.error]


@pytest.mark.parametrize("case", [case for case in CASES if case.job], ids=lambda case: f"{case.table}: {case.name}")
def test_error_points_at_the_line_of_its_key(case: Case) -> None:
    line, _, message = re.fullmatch(r"(\d+):(\d+): (.*)", case.error).groups()  # type: ignore[union-attr]
    name = re.findall(r"[A-Za-z]\w*", message.partition(": got ")[0])[-1]
    named = [bool(re.search(rf"\b{name}\b", each)) for each in case.job.splitlines()]
    assert named[int(line) - 1] or not any(named)


def test_every_variable_that_the_chart_sets_is_refused_in_env() -> None:
    """The review reads variables of the rendered pods, and the last of two equal names would win."""
    names: set[str] = set()
    for path in ACCEPTED:
        written = {each["name"] for each in helm_yaml.load(path.read_text()).value.get("env") or []}
        containers = [each for spec in pod_specs(objects(path)) for each in spec["containers"]]
        trainers = [each for each in containers if each["name"] == "trainer"]
        names |= {variable["name"] for each in trainers for variable in each["env"]} - written
    assert {"RUN_DIR", "TRAINER_MIN_WORKERS", "TRAINER_METRICS_PORT", "PYTHONPATH"} <= names
    env = [{"name": name, "value": "x"} for name in sorted(names)]
    values = {"storage": {"claim": "runs"}, "code": {"files": {"a.py": ""}}, "env": env}
    [messages] = broken([Candidate("run", "team", merged(defaults(), values))], CHART)
    refused = [message for message in messages or [] if "expected a name that the chart does not set itself" in message]
    assert len(refused) == len(names), names


def schema_errors(case: Case, folder: Path) -> Iterator[Any]:
    """Yield the errors of the schema for the job file of a case; what a file shares with others is validated once."""
    try:
        values = helm_yaml.load(case.path(folder).read_text()).value
    except helm_yaml.YamlError:
        return
    if isinstance(values, dict):
        yield from errors(merged(defaults(), values), SCHEMA)


def first_case_of_each_keyword(folder: Path) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for case in CASES:
        for error in schema_errors(case, folder):
            found.setdefault(error.validator, case)
    return found


def keywords(node: Any) -> Iterator[str]:
    """Yield the keywords of a schema that can refuse a value."""
    if isinstance(node, dict):
        yield from jsonschema.Draft202012Validator.VALIDATORS.keys() & node.keys()
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from keywords(child)


@pytest.mark.slow
def test_plain_helm_refuses_a_case_of_each_schema_keyword(tmp_path: Path) -> None:
    found = first_case_of_each_keyword(tmp_path)
    containers = {"properties", "patternProperties", "propertyNames", "items", "$ref"}
    assert set(keywords(SCHEMA)) - containers == set(found)
    for case in found.values():
        with pytest.raises(Refused):
            render(case.path(tmp_path))


@pytest.mark.slow
def test_plain_helm_shows_the_message_of_a_rule(tmp_path: Path) -> None:
    [case] = [case for case in CASES if case.name == "synchronous training without workers"]
    with pytest.raises(Refused) as refusal:
        render(case.path(tmp_path))
    assert f"tf-distributed: {case.message}\n" in str(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ACCEPTED_BY_HELM))
def test_plain_helm_accepts_what_only_tfd_refuses(name: str) -> None:
    render(REJECTED / "files" / name)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.expected)
def test_every_rule_of_the_chart_has_a_case(rule: Rule) -> None:
    # tfd renders for a Kubernetes with gangs, so only validate_test.yaml can have this case.
    if rule.expected != "Kubernetes 1.37 or later":
        assert [case.name for case in CASES if rule.wrote(case.message)]


def test_every_rule_is_found_by_these_tests() -> None:
    assert len(RULES) == rule_calls()


@pytest.mark.slow
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
@pytest.mark.parametrize("key", sorted(with_blocks(set(LEAVES)) - {"storage"}))
def test_null_never_ends_in_an_error_of_a_template(key: str, helm: str) -> None:
    """The run has workers, because several keys are refused without them."""
    job: Values = {"storage": {"claim": "runs"}, "strategy": "ParameterServer"}
    block, name = place(job, key)
    block[name] = None
    assert_null_is_refused_with_words_or_allowed(job, key, helm, CHART)


def test_every_default_is_protected_against_null() -> None:
    assert protected_keys(CHART) == default_keys(CHART)


def test_fail_is_in_one_template_only() -> None:
    failing = [path.name for path in TEMPLATES.rglob("*.*") if re.search(r"\{\{-? *fail\b", path.read_text())]
    assert failing == ["validate.yaml"]


def test_cases_stand_in_the_table_of_their_top_level_key() -> None:
    for case in CASES:
        key = re.match(r"\w+", case.message)[0]  # type: ignore[index]
        table = "files" if case.file.startswith("files/") and case.table == "files.yaml" else key
        unknown = re.search(r"^\w+: got (an unknown|a renamed) key", case.message)
        assert case.table == ("unknown.yaml" if unknown else f"{table}.yaml"), case.name


def test_names_of_cases_are_unique_in_their_table() -> None:
    for name, count in Counter((case.table, case.name) for case in CASES).items():
        assert count == 1, name


def test_every_file_of_the_corpus_belongs_to_a_case() -> None:
    assert {case.file for case in CASES if case.file} == {
        f"files/{path.name}" for path in (REJECTED / "files").iterdir()
    }


def test_rewriting_changes_only_the_errors() -> None:
    for name, entries in tables().items():
        text = (REJECTED / name).read_text()
        assert rewritten(text, [entry["error"] for entry in entries]) == text
        changed = rewritten(text, ["1:1: new" for _ in entries])
        assert re.sub(r"  error: .*", "", changed) == re.sub(r"  error: .*", "", text)


def constrained(node: dict[str, Any] = SCHEMA, where: str = "#") -> dict[str, dict[str, Any]]:
    """Return each node of the schema that restricts a value, by its place."""
    found = {}
    if node.keys() & {"type", "enum", "const", "pattern"} and "properties" not in node:
        found[where] = node
    for keyword in ("properties", "patternProperties", "$defs"):
        for name, child in node.get(keyword, {}).items():
            found |= constrained(child, f"{where}/{keyword}/{name}")
    for keyword in ("items", "additionalProperties", "propertyNames"):
        if isinstance(node.get(keyword), dict):
            found |= constrained(node[keyword], f"{where}/{keyword}")
    return found


def shape(node: dict[str, Any]) -> tuple[str, ...]:
    """Return the rules of a node by their keywords, such as a bounded integer's."""
    kind = node.get("type", "")
    return (str(kind), *sorted(node.keys() & jsonschema.Draft202012Validator.VALIDATORS.keys()))


def test_every_kind_of_rule_of_the_schema_has_a_case(tmp_path: Path) -> None:
    """A kind counts once, such as an integer with two bounds: test_schema.py tries each keyword at each key."""
    wanted = constrained()
    tried: set[tuple[str, ...]] = set()
    for case in CASES:
        for error in schema_errors(case, tmp_path):
            node = SCHEMA
            for step in list(error.absolute_schema_path)[:-1]:
                if "$ref" in node and step not in node:
                    node = SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")]
                node = node[step]
            tried.add(shape(node))
            if "$ref" in node:
                tried.add(shape(SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")]))
    assert sorted(where for where, node in wanted.items() if shape(node) not in tried) == []
