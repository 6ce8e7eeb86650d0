"""The tasks of public bug reports in tests/bug_reports get the right value, or a refusal before the first step."""

import pytest

from trainer.check import inspection
from trainer.check.report import Report
from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import TrainerExit


def checked(name: str) -> Report:
    return inspection.check(TrainerConfig(task=f"tests.bug_reports.{name}", batch_size=16), None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("uneven:Uneven", "got a dataset of 60 batches; expected an endless dataset"),
        ("ends:Once", "got a dataset of 4 batches; expected an endless dataset"),
        ("ends:Forever", "got an endless dataset; expected each example of the evaluation split once"),
        ("metric:NumpyMetric", "'SymbolicTensor' object has no attribute 'numpy'"),
        ("metric:PythonMetric", "batches"),
        ("table:Table", "Tried to export a function which references an 'untracked' resource"),
        ("shapes:Wrong", "expected axis -1 of input shape to have value 4"),
    ],
)
def test_task_is_refused_before_the_first_step(name: str, words: str) -> None:
    with pytest.raises(TrainerExit) as caught:
        checked(name)
    assert words in str(caught.value)
    assert "Arguments received by" not in str(caught.value)


def test_weights_of_one_column_are_weights_of_examples() -> None:
    assert checked("weights:Column").loss == pytest.approx(checked("weights:Flat").loss)


@pytest.mark.parametrize("name", ["options:Accumulate", "options:Overwrite", "options:SynchronizedJit"])
def test_option_that_fails_under_replicas_is_right_on_one_device(name: str) -> None:
    assert checked(name).loss > 0
