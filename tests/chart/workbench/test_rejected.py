"""Each file of tests/workbench_files/rejected gets its exact message, and each rule and template of the chart a test.

scripts/golden.sh rewrites the errors.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.nulls import assert_null_is_refused_with_words_or_allowed, default_keys, protected_keys, with_blocks
from tests.chart.rejected import Case, cases
from tests.chart.rendering import Refused, render
from tests.chart.rules import Rule, rule_calls, rules
from tests.chart.workbench.keys import LEAVES, place
from tests.chart.workbench.rendering import CHART, REJECTED, TEMPLATES
from tests.grammar import GRAMMAR

CASES = list(cases(REJECTED, CHART))
RULES = rules(TEMPLATES)
SUITES = {path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted((CHART / "tests").glob("*.yaml"))}
VALIDATED = [test for suite in SUITES["validate_test.yaml"] for test in suite["tests"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tfd_reports_the_error_of_the_case(case: Case) -> None:
    assert case.problems() == [case.error]
    assert GRAMMAR.fullmatch(case.message)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_helm_refuses_the_case(case: Case, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        render(case.path(tmp_path), chart=CHART)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.expected)
def test_every_rule_of_the_chart_has_a_case(rule: Rule) -> None:
    assert [case.name for case in CASES if rule.wrote(case.message)] or rule.expected.startswith("at most 40")


def test_every_rule_is_found_by_these_tests() -> None:
    assert len(RULES) == rule_calls(TEMPLATES)


def test_every_rule_has_a_refused_and_an_accepted_case_in_helm_unittest() -> None:
    accepted = {
        re.match(r"should accept (.+?) when ", test["it"])[1]  # type: ignore[index]
        for test in VALIDATED
        if test["asserts"] == [{"hasDocuments": {"count": 0}}]
    }
    refused = [test["asserts"][0]["failedTemplate"]["errorMessage"] for test in VALIDATED if "refuse" in test["it"]]
    messages = [message.removeprefix("tf-distributed: ") for message in refused]
    assert [message for message in messages if not GRAMMAR.fullmatch(message)] == []
    for rule in RULES:
        [message] = [message for message in messages if rule.wrote(message)]
        assert message.partition(": got ")[0] in accepted, message
    assert len(messages) == len(RULES)


def test_every_template_has_its_file_of_tests() -> None:
    templates = {path.stem for path in TEMPLATES.rglob("*") if path.is_file() and not path.name.startswith("_")}
    assert {name.removesuffix("_test.yaml") for name in SUITES} == templates | {"schema"}
    for suites in SUITES.values():
        titles = [test["it"] for suite in suites for test in suite["tests"]]
        assert sorted(titles) == sorted(set(titles))


def test_fail_is_in_one_template_only() -> None:
    failing = [path.name for path in TEMPLATES.rglob("*.*") if re.search(r"\{\{-? *fail\b", path.read_text())]
    assert failing == ["validate.yaml"]


def test_every_default_is_protected_against_null() -> None:
    assert protected_keys(CHART) == default_keys(CHART)


@pytest.mark.slow
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
@pytest.mark.parametrize("key", sorted(with_blocks(set(LEAVES))))
def test_null_never_ends_in_an_error_of_a_template(key: str, helm: str) -> None:
    file: dict[str, Any] = {}
    block, name = place(file, key)
    block[name] = None
    assert_null_is_refused_with_words_or_allowed(file, key, helm, CHART)
