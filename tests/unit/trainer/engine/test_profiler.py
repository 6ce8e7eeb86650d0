"""The start and the end of the profile of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from trainer.engine.profiler import FIRST_STEPS, Profile

pytestmark = pytest.mark.slow


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    called: list[str] = []
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda _: called.append("start"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: called.append("stop"))
    return called


def train(profile: Profile, steps: int, size: int = 8) -> list[int]:
    """Train in segments of `size` steps, or of fewer if the profile requires it; return the ends of all segments."""
    step, ends = 0, []
    while step < steps:
        step += min(size, profile.room(step), steps - step)
        profile.segment(step)
        ends.append(step)
    return ends


def test_profile_covers_the_requested_steps_from_ten_after_the_first_segment(
    tmp_path: Path, calls: list[str], lines: list[str]
) -> None:
    ends = train(Profile(str(tmp_path), 5), 60)
    first = 8 + FIRST_STEPS
    assert {8, first, first + 5} <= set(ends)
    assert calls == ["start", "stop"]
    assert f"up to step {first + 5}" in lines[-1]


def test_end_of_the_run_stops_the_profile_once(tmp_path: Path, calls: list[str], lines: list[str]) -> None:
    profile = Profile(str(tmp_path), 1000)
    train(profile, 60)
    profile.stop()
    profile.stop()
    assert calls == ["start", "stop"]


def test_profile_is_taken_once_per_run_and_only_if_requested(tmp_path: Path, calls: list[str]) -> None:
    train(Profile(str(tmp_path), 0), 60)
    (tmp_path / "plugins" / "profile" / "2026_11_24").mkdir(parents=True)
    assert train(Profile(str(tmp_path), 5), 60) == [*range(8, 60, 8), 60]
    assert calls == []


def test_error_of_the_profiler_does_not_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    def fail(_: str) -> None:
        raise tf.errors.AlreadyExistsError(None, None, "another profile is being taken")

    monkeypatch.setattr(tf.profiler.experimental, "start", fail)
    assert train(Profile(str(tmp_path), 5), 60)[-1] == 60
    assert lines == ["cannot profile: another profile is being taken"]
