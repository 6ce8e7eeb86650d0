"""A start that TensorFlow blocks: a peer answers the barrier, but never becomes a TensorFlow server."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local_run import PATIENCE
from tests.integration.trainers import started
from tests.loopback import free_port
from tfd import records
from trainer.peers.barrier import ReadinessListener
from trainer.runtime.exit_codes import GAVE_UP
from trainer.runtime.tf_config import split

pytestmark = pytest.mark.processes
WORDS = "TensorFlow did not connect to the other tasks within 3 s: all of them accept connections. Look for what stops"


def ends(strategy: str, tasks: list[str], folder: Path) -> dict[str, tuple[int, str, dict[str, Any]]]:
    """Start `tasks` of a cluster with one more worker, which only listens; return exit code, log and end of each."""
    roles = [task.partition("-")[0] for task in tasks]
    cluster = {role: [f"127.0.0.1:{free_port()}" for _ in range(roles.count(role))] for role in roles}
    cluster["worker"] = [*cluster.get("worker", []), f"127.0.0.1:{free_port()}"]
    stranger = ReadinessListener(cluster["worker"][-1])
    with started(strategy, tasks, cluster, folder, TRAINER_START_TIMEOUT="3") as processes:
        logs = {task: each.communicate(timeout=PATIENCE)[1] for task, each in processes.items()}
    stranger.close()
    return {
        task: (each.returncode, logs[task], records.read(folder / f"{task}.json")) for task, each in processes.items()
    }


def test_worker_that_tensorflow_blocks_ends_with_76_and_words(tmp_path: Path) -> None:
    [(code, log, ended)] = ends("MultiWorkerMirrored", ["worker-0"], tmp_path).values()
    assert code == GAVE_UP, log
    assert f"exit {GAVE_UP}: {WORDS}" in log
    assert "Traceback" not in log
    assert "Thread 0x" not in log
    assert ended["exitCode"] == GAVE_UP
    assert ended["message"].startswith(WORDS)
    status = records.read(tmp_path / "run" / "status.json")
    assert (status["state"], status["exitCode"]) == ("failed", GAVE_UP)
    assert status["message"].startswith(WORDS)
    assert json.loads((tmp_path / "run" / "lease.json").read_text().strip() or "null") is None


@pytest.mark.slow
def test_servers_are_told_that_the_chief_is_blocked(tmp_path: Path) -> None:
    found = ends("ParameterServer", ["chief-0", "ps-0"], tmp_path)
    for task in ("chief-0", "ps-0"):
        assert found[task][0] == GAVE_UP, found[task][1]
    assert WORDS in found["chief-0"][1]
    assert "see the log of the chief" in found["ps-0"][1]


@pytest.mark.parametrize(
    ("task", "peer"), [("worker-0", "worker-1"), pytest.param("worker-1", "worker-0", marks=pytest.mark.slow)]
)
def test_worker_whose_peer_dies_after_the_barrier_ends_with_76_and_names_it(
    tmp_path: Path, task: str, peer: str
) -> None:
    cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(2)]}
    number = int(peer.rpartition("-")[2])
    with (
        socket.create_server(split(cluster["worker"][number])) as port,
        started("MultiWorkerMirrored", [task], cluster, tmp_path, TRAINER_START_TIMEOUT="3") as processes,
    ):
        port.accept()[0].close()  # the peer answers the barrier once
        port.close()
        log = processes[task].communicate(timeout=PATIENCE)[1]
    assert processes[task].returncode == GAVE_UP, log
    words = f"TensorFlow did not connect to the other tasks within 3 s: missing {peer} (connection refused)"
    assert f"exit {GAVE_UP}: {words}" in log
    assert records.read(tmp_path / f"{task}.json")["message"] == words
