"""Every record of an epoch is read exactly once, whatever restarts happen, under each strategy that promises it."""

import json
import os
import subprocess
import sys

import pytest

from tests.integration.numbers.runner import free_addresses
from tests.integration.records import FILES, RECORDS

pytestmark = pytest.mark.processes


def started(strategy: str, **variables: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.integration.records", strategy]
    return subprocess.Popen(
        command, env=os.environ | variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def processes(strategy: str) -> list["subprocess.Popen[str]"]:
    if strategy != "MultiWorkerMirrored":
        return [started(strategy)]
    cluster = {"worker": free_addresses(2)}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in (0, 1)]
    return [started(strategy, TF_CONFIG=json.dumps(task)) for task in tasks]


@pytest.mark.parametrize("strategy", ["OneDevice", "Mirrored", "MultiWorkerMirrored"])
def test_each_record_is_read_once_an_epoch_over_ten_restarts(strategy: str) -> None:
    running = processes(strategy)
    try:
        ended = [process.communicate(timeout=240) for process in running]
    finally:
        for process in running:
            process.kill()
    assert all(process.returncode == 0 for process in running), "\n".join(err[-3000:] for _, err in ended)
    found = [json.loads(out) for out, _ in ended]
    for files in FILES:
        for epoch in (0, 1):
            counts = [sum(each) for each in zip(*(one[str(files)][epoch] for one in found), strict=True)]
            assert counts == [epoch + 1] * RECORDS, f"{files} files"
            # Each worker reads a share of its own.
            assert all(0 < sum(one[str(files)][epoch]) <= (epoch + 1) * RECORDS / len(found) for one in found)
