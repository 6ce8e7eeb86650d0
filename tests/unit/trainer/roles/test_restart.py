"""The limit of in-place restarts, and the state that they pass on."""

from __future__ import annotations

import pytest

from trainer.roles import restart
from trainer.roles.restart import InPlaceRestartState


def test_in_place_restarts_are_limited_until_a_newer_checkpoint_exists() -> None:
    state: InPlaceRestartState | None = InPlaceRestartState()
    counts = []
    for checkpoint in (-1, -1, 200, 200, 200, 200):
        assert state is not None
        state = state.after_lost_peer(checkpoint=checkpoint, limit=3)
        counts.append(state and state.count)
    assert counts == [1, 2, 1, 2, 3, None]
    assert InPlaceRestartState().after_lost_peer(checkpoint=-1, limit=0) is None
    assert [InPlaceRestartState(count=n).pause for n in (1, 2, 3, 9)] == [1, 2, 4, 10]


def test_restarts_while_waiting_are_not_counted_and_keep_the_start_of_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    state = InPlaceRestartState(count=2, checkpoint=50).while_waiting(1000.0).while_waiting(1060.0)
    assert (state.count, state.checkpoint, state.waiting_since) == (2, 50, 1000.0)
    monkeypatch.setattr(restart.time, "time", lambda: 1090.0)
    assert state.waited == 90
    assert InPlaceRestartState().waited == 0


@pytest.mark.parametrize("text", ["", "{", '{"nothing": 1}', "[]"])
def test_malformed_restart_state_is_treated_as_a_first_start(text: str) -> None:
    assert restart.load({restart.VARIABLE: text} if text else {}) == InPlaceRestartState()


def test_restart_with_another_group_is_not_counted() -> None:
    state = InPlaceRestartState(count=3, checkpoint=50, waiting_since=7.0, token="a", group="0:a 1:b")
    assert state.after_change() == InPlaceRestartState(count=3, checkpoint=50, token="a", group="0:a 1:b")
    lost = state.after_lost_peer(checkpoint=60, limit=3)
    assert lost is not None
    assert lost.group == "0:a 1:b"
