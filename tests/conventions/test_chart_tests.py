"""Every test of the chart is collected, and none is there twice."""

import re

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, TEMPLATES
from tests.chart.rules import RULES

FILES = sorted((CHART / "tests").glob("*.yaml"))
TEMPLATE_FILES = [path for path in TEMPLATES.rglob("*") if path.is_file() and not path.name.startswith("_")]
SUITES = {path.name: list(yaml.safe_load_all(path.read_text())) for path in FILES}


def test_helm_unittest_collects_every_file() -> None:
    """helm-unittest silently ignores files other than tests/*_test.yaml."""
    found = [path for path in (CHART / "tests").rglob("*") if path.is_file() and "__snapshot__" not in path.parts]
    assert [path.name for path in found if path.parent != CHART / "tests" or not path.name.endswith("_test.yaml")] == []


def test_every_template_has_its_file_of_tests_and_every_file_its_template() -> None:
    mirrored = {path.stem for path in TEMPLATE_FILES} | {"schema"}
    assert {path.name.removesuffix("_test.yaml") for path in FILES} == mirrored


@pytest.mark.parametrize("name", SUITES)
def test_titles_are_there_once(name: str) -> None:
    titles = [test["it"] for suite in SUITES[name] for test in suite["tests"]]
    assert sorted(titles) == sorted(set(titles))


def test_names_of_suites_are_there_once() -> None:
    names = [suite["suite"] for suites in SUITES.values() for suite in suites]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", SUITES)
def test_assertions_select_by_name_and_never_by_index(name: str) -> None:
    """A new container in front changes the meaning of containers[0]."""
    paths = [
        str(value["path"])
        for suite in SUITES[name]
        for test in suite["tests"]
        for assertion in test["asserts"]
        for value in assertion.values()
        if isinstance(value, dict) and "path" in value
    ]
    assert [path for path in paths if re.search(r"(containers|env|volumes|volumeMounts)\[\d+\]", path)] == []


def test_every_python_test_file_here_has_tests() -> None:
    for path in (ROOT / "tests" / "chart").glob("test_*.py"):
        assert re.search(r"^def test_", path.read_text(), re.MULTILINE), path.name


def test_every_rule_between_keys_has_a_refused_and_an_accepted_case() -> None:
    cases = [test for suite in SUITES["validate_test.yaml"] for test in suite["tests"]]
    accepted = {
        re.match(r"should accept (.+?) when ", test["it"])[1]  # type: ignore[index]
        for test in cases
        if test["asserts"] == [{"hasDocuments": {"count": 0}}]
    }
    refused = [test["asserts"][0]["failedTemplate"]["errorMessage"] for test in cases if "refuse" in test["it"]]
    messages = [message.removeprefix("tf-distributed: ") for message in refused]
    for rule in RULES:
        [message] = [message for message in messages if rule.wrote(message)]
        assert message.partition(": got ")[0] in accepted, message
    assert len(messages) == len(RULES)
