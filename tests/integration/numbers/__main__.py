"""Train the whole cross product, print each branch whose numbers differ from one device, and exit with 1 then.

The order of the cases is random and always the same, so the first shards are a sample of all.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.integration.numbers import cases, runner

CHUNK: Final = 4
"""The number of cases of one set of processes: a process keeps the graphs of all of its cases."""


def main() -> int:
    """Train the cases of the shard; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.numbers", description=__doc__)
    parser.add_argument(
        "--shard", default="1/1", metavar="N/OF", help="train one part, for example 2/100 (default: all)"
    )
    place, of = (int(each) for each in parser.parse_args().shard.split("/"))
    whole = cases.whole()
    chosen = whole[place - 1 :: of]
    branches = sum(len(each["branches"]) for each in chosen)
    print(f"{len(chosen)} of {len(whole)} cases, {branches} branches, under {', '.join(cases.ALL)}", flush=True)
    start, wrong = time.monotonic(), 0
    for at in range(0, len(chosen), CHUNK):
        part = chosen[at : at + CHUNK]
        with tempfile.TemporaryDirectory(prefix="numbers-") as folder:
            results = runner.train(part, Path(folder))
        for number, case in enumerate(part):
            for line in runner.differences(results, number, case):
                wrong += 1
                print(line, flush=True)
        seconds = time.monotonic() - start
        print(f"{at + len(part)} of {len(chosen)} cases: {wrong} branches differ, {seconds:.0f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
