"""Small runs whose tasks are shell commands: the rules of `tfd run` without TensorFlow's start-up time."""

import pytest

from tests.integration.local_run import local_run  # noqa: F401


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep each message on one line, whatever the width of the developer's terminal."""
    monkeypatch.setenv("COLUMNS", "200")
