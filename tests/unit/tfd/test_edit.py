"""Single values of a job file change in its text, and nothing else does."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tfd.jobfile import helm_yaml
from tfd.jobfile.edit import EditError, with_scalar, with_top

TEXT = """# é
trainer:   # c
  task: digits # x
  hyperparameters: {}
  steps:
worker: { replicas: 2}   # d
ps:
evaluator: {}
"""


@pytest.mark.parametrize(
    ("key", "written", "line"),
    [
        ("trainer.task", "a", "  task: a # x"),
        ("trainer.hyperparameters.rate", "1e-3", "  hyperparameters: {rate: 1e-3}"),
        ("trainer.hyperparameters.n", "2", '  hyperparameters: {"n": 2}'),
        ("trainer.y", "2", '  "y": 2'),
        ("ps.a.no", "2", 'ps: {a: {"no": 2}}'),
        ("trainer.steps", "3", "  steps: 3"),
        ("trainer.batchSize", "8", "  batchSize: 8"),
        ("worker.gpus", "2", "worker: {gpus: 2, replicas: 2}   # d"),
        ("worker.replicas", "4", "worker: { replicas: 4}   # d"),
        ("ps.replicas", "1", "ps: {replicas: 1}"),
        ("evaluator.a.b", "1", "evaluator: {a: {b: 1}}"),
        ("chief.gpus", "1", "chief: {gpus: 1}"),
        ("owner", '"Ada: x"', 'owner: "Ada: x"'),
    ],
)
def test_one_line_changes(key: str, written: str, line: str) -> None:
    before, after = TEXT.splitlines(), with_scalar(TEXT, tuple(key.split(".")), written).splitlines()
    assert [each for each in after if each not in before] == [line]
    assert len([each for each in before if each not in after]) <= 1


@pytest.mark.parametrize(
    "text", ["a: &x {b: 1}\nc: *x\n", "c: {b: [1]}\na: [1]\n", "c: |\n  x\n", "c:\n  b: >\n    x\n    y\nd: 1\n"]
)
def test_other_texts_stay_or_are_refused(text: str) -> None:
    for key in ("a", "b"), ("c", "b"):
        before = helm_yaml.load(text).value
        try:
            after = helm_yaml.load(with_scalar(text, key, "5")).value
        except EditError as error:
            assert str(error).startswith(f"{'.'.join(key)}: got a place in a list")
            continue
        assert after[key[0]]["b"] == 5
        assert {**after, key[0]: 0} == {**before, key[0]: 0}


def test_other_line_breaks_in_a_value_stay() -> None:
    text = 'a: 1\nb: ["c\u2028d"]\n'
    assert with_top(text, "a", 2) == text.replace("1", "2")
    assert with_top(text[:-1], "e", 2) == f"{text}e: 2\n"


NAMES = st.sampled_from(["a", "b", "c"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.sampled_from(["x", "é # ", "", "a: b"]),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)  # fmt: skip


@given(
    st.dictionaries(NAMES, VALUES, min_size=1),
    st.lists(NAMES, min_size=1, max_size=4),
    st.sampled_from([None, True, False]),
)
def test_the_value_changes_or_the_edit_is_refused(value: dict[str, Any], key: list[str], flow: bool | None) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    try:
        found = helm_yaml.load(with_scalar(text, tuple(key), "7")).value
    except EditError:
        return
    for name in key:
        found = found[name]
    assert found == 7
