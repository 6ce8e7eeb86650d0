"""The effect of a signal before, during and after training."""

from __future__ import annotations

import os
import signal
import threading

from trainer.runtime.signals import StopSignal


def test_signal_ends_the_process_at_once_unless_it_is_held() -> None:
    ended = threading.Event()
    stop = StopSignal()
    stop.on_stop(ended.set)
    stop.hold(30)
    stop.set()
    assert stop.is_set()
    assert not ended.is_set(), "the loop must be able to save first"
    stop.release()
    assert ended.is_set()


def test_loop_that_does_not_save_in_time_is_ended() -> None:
    ended = threading.Event()
    stop = StopSignal()
    stop.on_stop(ended.set)
    stop.hold(0.05)
    stop.set()
    assert ended.wait(5)


def test_real_signals_reach_the_stop_signal_from_another_thread() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = StopSignal()
    stop.hold(30)
    try:
        stop.install()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
        stop.uninstall()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
