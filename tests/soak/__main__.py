"""Change the tasks of elastic runs at random: `python -m tests.soak --minutes 30 --seed 1`.

Workers join, are killed, receive SIGTERM, hang and lose their network, at times that the seed decides. In a run of
ParameterServer this happens to the chief and to the ps, too. Each round is a run with another seed, and the strategies
take turns. A run must reach its exact last step with the accuracy of an undisturbed run. No two groups may take steps
at the same time, only the holder of the lease may write checkpoints, and nothing may be left behind.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from tests.integration.trainers import Trainers
from tests.soak import checks, report
from tests.soak.changes import Changes
from tests.soak.observer import Observer
from tests.soak.report import Result, show
from tests.soak.tasks import ROLES, SoakError, Tasks, tasks_of
from tfd import records
from trainer.runtime.exit_codes import STOPPED

STEPS_PER_SECOND = {"MultiWorkerMirrored": 8, "ParameterServer": 25}
"""Steps for each second of a round: some less than the run takes, because it ends only after its last step."""
ROUND_MINUTES = 5.0
REST_SECONDS = 1200.0
"""The limit of the time from the last change to the end of the run."""


def disturb(tasks: Tasks, changes: Changes, seconds: float, title: str) -> None:
    """Change the tasks for `seconds` or until the run is done, then restore all of them and wait for their end."""
    tasks.start(*tasks.names)
    tasks.wait_for(lambda: tasks.status().get("step"), "the first step")
    began = time.monotonic()
    following = began + changes.pause()
    while time.monotonic() - began < seconds and not tasks.done():
        time.sleep(0.1)
        tasks.replace_ended()
        changes.end_due()
        if time.monotonic() >= following:
            following = time.monotonic() + changes.pause()
            if made := changes.change():
                live = sum(worker in tasks.live for worker in tasks.workers)
                step = tasks.status().get("step")
                show(f"{title}: step {step} of {tasks.steps}, {live} of {len(tasks.workers)} workers: {made}")
    changes.end_due(all_of_them=True)
    if not tasks.done():
        changes.start_absent()
    show(f"{title}: end of the changes at step {tasks.status().get('step')} of {tasks.steps}")
    tasks.wait_for(lambda: not tasks.live, "the end of all tasks", patience=REST_SECONDS)


def reference(folder: Path, steps: int) -> float:
    """Return the accuracy of an undisturbed run with `steps` steps on one device."""
    folder.mkdir()
    trainers = Trainers("OneDevice", {}, folder)
    trainers.record["identity"]["trainer"] |= {"steps": steps, "checkpointEvery": steps, "batchSize": 64}
    try:
        with (folder / "log").open("w") as log:
            code = trainers.start("chief-0", stderr=log).wait()
    finally:
        trainers.close()
    done = records.read(folder / "run" / "DONE")
    if code or not done:
        raise SoakError(f"the undisturbed run ended with {code}, see {folder / 'log'}")
    return float(done["metrics"]["accuracy"])


def play(strategy: str, seed: int, minutes: float, folder: Path, title: str) -> Result:
    """Play one round in `folder`; return its result."""
    steps = int(minutes * 60 * STEPS_PER_SECOND[strategy])
    result = Result(strategy=strategy, seed=seed, steps=steps)
    began = time.monotonic()
    with tasks_of(strategy, folder, steps) as tasks, Observer(tasks.run_dir) as observer:
        changes = Changes(tasks, seed)
        try:
            disturb(tasks, changes, minutes * 60, title)
            result.reference = reference(folder / "undisturbed", steps)
            result.problems = checks.problems(tasks, changes, observer, result.reference)
        except SoakError as error:
            result.problems = [str(error)]
        done = tasks.done()
        result.step, result.accuracy = done.get("step"), (done.get("metrics") or {}).get("accuracy")
        result.groups = sum(holder > 0 for _, _, holder in observer.holders)
        result.changes, result.pauses = report.counts(changes), report.pauses(changes, observer)
        result.crashes = sum(process.popen.returncode == -signal.SIGSEGV for process in tasks.processes)
    result.minutes = round((time.monotonic() - began) / 60, 1)
    return result


@click.command(help=__doc__)
@click.option("--minutes", default=30.0, show_default=True, help="Minutes of changes.")
@click.option("--seed", default=1, show_default=True, help="Seed of the first round of each strategy.")
@click.option("--strategy", type=click.Choice(sorted(ROLES)), help="Only this strategy.")
@click.option("--json", "output", type=click.Path(dir_okay=False, path_type=Path), help="Write the results to a file.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the runs and logs in a folder.")
def main(minutes: float, seed: int, strategy: str | None, output: Path | None, keep: Path | None) -> None:
    """Play the rounds, and exit with 0 if all runs ended well."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))  # so that no process of a run is left behind
    strategies: Sequence[str] = [strategy] if strategy else sorted(ROLES)
    rounds = max(len(strategies), round(minutes / ROUND_MINUTES))
    results: list[Result] = []
    folder = keep or Path(tempfile.mkdtemp(prefix="soak-"))
    for number in range(rounds):
        this = strategies[number % len(strategies)]
        own = seed + number // len(strategies)
        path = folder / f"{this}-{own}"
        path.mkdir(parents=True)
        title = f"[{number + 1}/{rounds}] {this} seed {own}"
        results.append(play(this, own, minutes / rounds, path, title))
        show(f"{title}: {sum(results[-1].changes.values())} changes in {results[-1].minutes} minutes")
        show(f"{title}: step {results[-1].step} of {results[-1].steps}, accuracy {results[-1].accuracy}")
        if results[-1].crashes:
            show(f"{title}: {results[-1].crashes} segmentation faults, see the logs in {path}")
        for problem in results[-1].problems:
            show(f"{title}: PROBLEM: {problem}")
        if output:
            output.write_text(json.dumps([each.json() for each in results], indent=1) + "\n")
    show(f"seconds without a step:\n{report.table(results)}")
    wrong = [each for each in results if each.problems]
    show(f"{rounds - len(wrong)} of {rounds} runs ended well. Runs and logs: {folder}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
