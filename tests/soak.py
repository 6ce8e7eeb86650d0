"""Change the workers of an elastic run at random until its last step: `python -m tests.soak --minutes 30 --seed 1`.

Workers join, are killed, receive SIGTERM and hang, at times that the seed decides. At the end the run must be at its
exact last step with the accuracy of an undisturbed run. No two leaders may have written at the same time.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.elastic_group import ElasticGroup, elastic_group

_STEPS_PER_SECOND = 15
_SAVED = re.compile(r"^(\d\d):(\d\d):(\d\d) worker-\d saved checkpoint (\d+) in ", re.MULTILINE)
_BEAT_SECONDS = 3


def show(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Soak:
    """Random changes of the workers of one run."""

    def __init__(self, group: ElasticGroup, seed: int) -> None:
        self._group = group
        self._random = random.Random(seed)
        self._stopped: dict[int, float] = {}
        self.changes: list[str] = []

    def change(self) -> None:
        """Make one random change; at least one worker stays untouched."""
        group = self._group
        absent = [number for number in range(group.most) if number not in group.processes]
        active = [number for number in group.processes if number not in self._stopped]
        kind = self._random.choice(("join", "join", "kill", "sigterm", "hang"))
        if kind == "join" and absent:
            number = self._random.choice(absent)
            group.start(number)
        elif kind != "join" and len(active) > 1:
            number = self._random.choice(active)
            if kind == "kill":
                group.kill(number)
            elif kind == "sigterm":
                group.signal(number, signal.SIGTERM)
            else:
                group.signal(number, signal.SIGSTOP)
                self._stopped[number] = time.monotonic() + self._random.uniform(5, 40)
        else:
            return
        self.changes.append(f"{kind} worker-{number}")
        show(f"{time.strftime('%H:%M:%S')} step {group.status().get('step')}: {self.changes[-1]}")

    def awaken(self, *, everyone: bool = False) -> None:
        """Continue the workers that have hung long enough."""
        for number, until in list(self._stopped.items()):
            if everyone or time.monotonic() >= until:
                del self._stopped[number]
                if number in self._group.processes:
                    self._group.signal(number, signal.SIGCONT)

    def run(self, seconds: float) -> None:
        """Change the workers for `seconds` or until the run is done; then let all of them join and end."""
        end, following = time.monotonic() + seconds, time.monotonic() + 60

        def over() -> bool:
            nonlocal following
            self.awaken()
            if time.monotonic() >= following and not self._group.done():
                following = time.monotonic() + self._random.uniform(5, 60)
                self.change()
            return time.monotonic() >= end or bool(self._group.done())

        self._group.wait_for(over, "the end of the changes", patience=seconds + 600)
        self.awaken(everyone=True)
        if not self._group.done():
            self._group.start(*(n for n in range(self._group.most) if n not in self._group.processes))
        self._group.wait_for(lambda: not self._group.processes, "the end of all workers", patience=seconds + 1800)


def overlaps(group: ElasticGroup) -> list[str]:
    """Return the pairs of checkpoints that two workers wrote in the wrong order: both led at the same time."""
    saved = sorted(
        (int(h) * 3600 + int(m) * 60 + int(s), int(step), number)
        for number in range(group.most)
        for h, m, s, step in _SAVED.findall(group.log(number))
    )
    wrong = []
    for before, one, other in zip(saved, saved[1:], saved[2:], strict=False):
        if before[2] == other[2] != one[2] and other[0] - before[0] <= _BEAT_SECONDS:
            wrong.append(f"worker-{one[2]} saved {one[1]} while worker-{before[2]} led")
    return wrong


def main() -> int:
    """Run the soak; return 0 if the run ended well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="minutes of changes (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the changes (default: 1)")
    parser.add_argument("--workers", type=int, default=3, help="maximum number of workers (default: 3)")
    args = parser.parse_args()
    steps = int(args.minutes * 60 * _STEPS_PER_SECOND)
    task = "tests.programs.paced:Paced"
    trainer = {"task": task, "steps": steps, "checkpointEvery": 50, "summaryEvery": 50, "batchSize": 64}
    env = {"TRAINER_MIN_WORKERS": "1", "TRAINER_RESCALE_AFTER": "20", "TRAINER_START_TIMEOUT": "1800"}
    with (
        tempfile.TemporaryDirectory() as folder,
        elastic_group(Path(folder), most=args.workers, trainer=trainer, **env) as group,
    ):
        group.start(*range(args.workers))
        soak = Soak(group, args.seed)
        soak.run(args.minutes * 60)
        done, wrong = group.done(), overlaps(group)
        problems = [f"exit code {code} of worker-{n}" for n, code in group.codes if code not in (0, 75, 143, -9)]
        if done.get("step") != steps or done["metrics"]["accuracy"] < 0.9:
            problems.append(f"the run ended with {done}")
        show(f"{len(soak.changes)} changes, step {done.get('step')} of {steps}, metrics {done.get('metrics')}")
        for each in (*problems, *wrong):
            show(each)
        if problems or wrong:
            show(group.logs())
        return 1 if problems or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
