"""Train the whole cross product, print each branch whose numbers differ from one device, and exit with 1 then.

The order of the cases is random and always the same, so the first shards are a sample of all. Ctrl-C ends the processes
and shows how to continue from there.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Final

from tests.integration.numbers import cases, runner
from tests.integration.numbers.cases import Case

CHUNK: Final = 8
"""The number of cases of one set of processes: a process keeps memory of all of its cases."""
INTERRUPTED: Final = 130


def options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.numbers", description=__doc__)
    add = parser.add_argument
    add("--shard", default="1/1", metavar="N/OF", help="train one part, for example 2/100 (default: all)")
    add("--skip", default=0, type=int, metavar="CASES", help="leave out the first cases of the part (default: 0)")
    add("--jobs", default=max(1, (os.cpu_count() or 1) // 2), type=int, help="sets of processes at once")
    return parser.parse_args()


def compare(part: list[Case], stop: threading.Event) -> list[str]:
    """Train the cases of `part`; return a line for each branch that differs, and for each case that fails."""
    try:
        with tempfile.TemporaryDirectory(prefix="numbers-") as folder:
            results = runner.train(part, Path(folder), stop=stop)
    except RuntimeError as error:
        if stop.is_set():
            return []
        if len(part) > 1:  # to find out which one fails
            return [line for case in part for line in compare([case], stop)]
        return [f"{part[0]} fails: {error}"]
    return [line for number, case in enumerate(part) for line in runner.differences(results, number, case)]


def in_turn(parts: list[list[Case]], jobs: int, stop: threading.Event) -> Iterator[list[str]]:
    """Yield the lines of each part, in the order in which the parts end."""
    rest = iter(parts)
    with ThreadPoolExecutor(jobs) as pool:
        running: set[Future[list[str]]] = set()
        try:
            while True:
                running |= {pool.submit(compare, part, stop) for part in islice(rest, jobs - len(running))}
                if not running:
                    return
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in ended)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # The end of the processes must not be interrupted, too.
            stop.set()


def main() -> int:
    """Train the cases of the shard; return the exit code."""
    given = options()
    place, of = (int(each) for each in given.shard.split("/"))
    whole = cases.whole()
    chosen = whole[place - 1 :: of][given.skip :]
    parts = [chosen[at : at + CHUNK] for at in range(0, len(chosen), CHUNK)]
    branches = sum(len(each["branches"]) for each in chosen)
    print(f"{len(chosen)} of {len(whole)} cases, {branches} branches, under {', '.join(cases.ALL)}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start, done, wrong, stop = time.monotonic(), 0, 0, threading.Event()
    try:
        for lines in in_turn(parts, given.jobs, stop):
            done, wrong = min(done + CHUNK, len(chosen)), wrong + len(lines)
            seconds = time.monotonic() - start
            left = seconds / done * (len(chosen) - done) / 60
            for line in lines:
                print(line, flush=True)
            print(
                f"{done} of {len(chosen)} cases: {wrong} branches differ, {seconds:.0f} s, {left:.0f} min left",
                flush=True,
            )
    except KeyboardInterrupt:
        again = given.skip + max(0, done - (given.jobs - 1) * CHUNK)
        print(f"interrupted with {wrong} differences: continue with --shard {given.shard} --skip {again}", flush=True)
        return INTERRUPTED
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
