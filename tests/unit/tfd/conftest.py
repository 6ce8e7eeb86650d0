"""Small runs whose tasks are shell commands: the rules of `tfd run` without TensorFlow's start-up time."""

import pytest

from tests.integration.local_run import local_run  # noqa: F401


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep each line of output on one line, whatever the width of the terminal that runs the tests."""
    monkeypatch.setenv("COLUMNS", "200")
