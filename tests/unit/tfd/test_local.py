"""The parts of `tfd run`: the rules of the kubelet, paths, ports, logs and views."""

import ctypes
import io
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.loopback import LOOPBACKS
from tfd.local import network
from tfd.local.network import loopback_addresses
from tfd.local.pods import Container, Mount, Pod, expand
from tfd.local.processes import Layout, Process, place
from tfd.local.progress import LogTail
from tfd.local.supervisor import State, Supervisor, Task
from tfd.local.view import LiveView, PlainView, make_view


def pod(name: str = "run-chief-0", role: str = "chief", gpus: int = 0, **env: str) -> Pod:
    return Pod(
        name=name, role=role, index=0, containers=(Container(("sh", "-c", "ls /runs /runs/x"), env),),
        mounts=(Mount("persistentVolumeClaim", "runs", "/runs", {}), Mount("emptyDir", "tmp", "/tmp", {}),
                Mount("configMap", "record", "/etc/tf-distributed", {"run.json": '["a:1"]'}),
                Mount("persistentVolumeClaim", "pictures", "/data", {})),
        gpus=gpus, retries=0, permanent_exit_codes=frozenset({1}), grace_period=1, deadline=10, suspended=False,
        successes=1, is_expendable=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)-$(B)", "1-$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $(A", "$A ${A} $(A"),
        ("$(A.B-C)", "2"),
    ],
)
def test_variables_are_expanded_like_the_kubelet_does(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "A.B-C": "2"}) == expanded


def test_paths_and_addresses_become_local(tmp_path: Path) -> None:
    layout = Layout(tmp_path, "run")
    env = {
        "RUN_DIR": "/runs/run",
        "DATA_DIR": "/data",
        "LIST": '["a:1","aa:1"]',
        "OTHER": "/runsome/thing",
        "HOME": "/tmp",
    }
    [process] = place([pod(**env)], layout, {"a:1": "127.0.0.1:7"})
    [main] = process.containers
    assert process.run_dir == tmp_path / "run"
    assert main.env["DATA_DIR"] == str(tmp_path / ".tfd" / "claims" / "pictures")
    assert main.env["LIST"] == '["127.0.0.1:7","aa:1"]'
    assert main.env["OTHER"] == "/runsome/thing"
    assert main.env["HOME"] == main.env["TMPDIR"] == str(layout.state / "run-chief-0" / "tmp")
    assert (layout.state / "run-chief-0" / "record" / "run.json").read_text() == '["127.0.0.1:7"]'
    assert main.command == ("sh", "-c", "ls /runs /runs/x"), "only a word that is a path is rewritten"


def test_each_task_sees_its_own_gpus(tmp_path: Path) -> None:
    pods = [pod("a", gpus=2), pod("b"), pod("c", gpus=1)]
    visible = [
        process.containers[-1].env["CUDA_VISIBLE_DEVICES"] for process in place(pods, Layout(tmp_path, "run"), {})
    ]
    assert visible == ["0,1", "", "2"]


def test_every_address_gets_its_own_free_port() -> None:
    chosen = loopback_addresses([f"host-{index}:2222" for index in range(50)])
    ports = [int(address.rpartition(":")[2]) for address in chosen.values()]
    assert len(set(ports)) == 50
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", ports[0]))


@pytest.mark.parametrize("host", LOOPBACKS)
def test_chosen_port_is_free_on_both_families(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound: list[socket.socket] = []
    kernel = socket.socket.bind

    def taken_first(self: socket.socket, address: tuple[str, int]) -> None:
        """Bind as the kernel does, but take the same port of `host` away just before, if that is possible."""
        kernel(self, address)
        with socket.socket(family) as other:
            try:
                kernel(other, (host, self.getsockname()[1]))
            except OSError:
                bound.append(self)

    monkeypatch.setattr(socket.socket, "bind", taken_first)
    loopback_addresses(["a:1"])
    assert len(bound) == 1, "another process could have the port of this family"


def test_log_is_followed_line_by_line_and_stripped_of_control_characters(tmp_path: Path) -> None:
    [process] = place([pod()], Layout(tmp_path, "run"), {})
    tail = LogTail(process)
    assert tail.new_lines() == []
    process.log.write_bytes(b"old\n")
    tail.skip_to_end()
    with process.log.open("ab") as log:
        log.write(b"one\n\x1b[31mtwo\x1b[0m\x07\nhal")
    assert tail.new_lines() == ["one", "two"]
    with process.log.open("ab") as log:
        log.write(b"f\n\n\xff\n")
    assert tail.new_lines() == ["half", "\N{REPLACEMENT CHARACTER}"]
    assert tail.last == "\N{REPLACEMENT CHARACTER}"


def test_start_up_messages_of_tensorflow_stay_in_the_log_file_alone(tmp_path: Path) -> None:
    [process] = place([pod()], Layout(tmp_path, "run"), {})
    process.log.write_text(
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1795896653.306245   31076 cpu_feature_guard.cc:227] This TensorFlow binary is optimized.\n"
        "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.\n"
        "2026-11-28 18:30:14.123456: W tensorflow/core/util/port.cc:153] oneDNN custom operations are on.\n"
        "E0000 00:00:1795896653.306245   31076 server.cc:7] The address is in use.\n"
        "step 7/10 loss 0.5\n"
    )
    shown = LogTail(process).new_lines()
    assert [line.partition(" ")[0] for line in shown] == ["E0000", "step"]


def little_task(tmp_path: Path) -> tuple[Task, LogTail]:
    [process] = place([pod()], Layout(tmp_path, "run"), {})
    task = Task(process, State.RUNNING, attempts=2)
    return task, LogTail(process, last="step 7/10 loss 0.5")


def test_table_shows_task_step_rate_loss_and_last_line(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    task, tail = little_task(tmp_path)
    status: dict[str, Any] = {"step": 7, "steps": 10, "stepsPerSecond": 45.67, "loss": 0.5, "etaSeconds": 3}
    status["workers"] = {"there": 2, "least": 1, "most": 3}
    with LiveView(console) as view:
        view.update([task], [tail], status)
        view._live.refresh()
    shown = out.getvalue()
    for text in (
        "chief-0",
        "running",
        "45.7",
        "0.5",
        "step 7/10 loss 0.5",
        "step 7/10",
        "70%",
        "ETA 3 s",
        "2 of 3 workers",
    ):
        assert text in shown


def test_pipe_gets_plain_lines(tmp_path: Path) -> None:
    out = io.StringIO()
    view = make_view(Console(file=out, width=20))
    assert isinstance(view, PlainView)
    with view:
        view.event("chief-0", "started")
        view.line("chief-0", "[bold]not markup[/bold] " + "x" * 200)
        view.line("chief-0", "12:34:56 chief-0 step 7/10")
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[2].endswith(" chief-0      step 7/10"), "the trainer's own prefix is not said twice"
    assert "[bold]not markup[/bold]" in lines[1]


def test_supervisor_writes_tasks_json_atomically(tmp_path: Path) -> None:
    [process] = place([pod()], Layout(tmp_path, "run"), {})
    quick = Process(**{**process.__dict__, "containers": (Container(("true",), {}),)})
    supervisor = Supervisor([quick], tmp_path / "tasks.json", lambda name, text: None)
    while not supervisor.over:
        supervisor.step()
    supervisor.write_state()
    assert '"state": "succeeded"' in (tmp_path / "tasks.json").read_text()
    assert not list(tmp_path.glob("*.tmp"))


def worker(folder: Path, index: int, command: str, *, successes: int, is_expendable: bool = False) -> Process:
    """Return a worker that runs `command` in sh."""
    made = replace(
        pod(f"run-worker-{index}", "worker"),
        index=index,
        deadline=600,
        successes=successes,
        is_expendable=is_expendable,
    )
    [process] = place([made], Layout(folder, "run"), {})
    return replace(process, containers=(Container(("sh", "-c", command), {}),))


@pytest.mark.parametrize(("code", "is_expendable", "ends"), [(75, True, False), (75, False, True), (1, True, True)])
def test_worker_without_retries_ends_only_a_run_that_needs_it(
    tmp_path: Path, code: int, is_expendable: bool, ends: bool
) -> None:
    lost = worker(tmp_path, 0, f"exit {code}", successes=1, is_expendable=is_expendable)
    other = worker(tmp_path, 1, f"until [ -e {tmp_path}/go ]; do sleep 0.05; done", successes=1, is_expendable=True)
    supervisor = Supervisor([lost, other], tmp_path / "tasks.json", lambda name, text: None)
    while supervisor.tasks[0].state is not State.FAILED:
        supervisor.step()
    assert (supervisor.failed is not None) is ends
    (tmp_path / "go").touch()
    while not supervisor.over:
        supervisor.step()


def test_run_fails_when_no_expendable_worker_is_left(tmp_path: Path) -> None:
    lost = [worker(tmp_path, index, "exit 75", successes=1, is_expendable=True) for index in (0, 1)]
    supervisor = Supervisor(lost, tmp_path / "tasks.json", lambda name, text: None)
    while not supervisor.over:
        supervisor.step()
    assert supervisor.failed is not None


@pytest.mark.parametrize("successes", [1, 2])
def test_run_is_done_when_enough_workers_have_succeeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, successes: int
) -> None:
    monkeypatch.setattr("tfd.local.supervisor.LEAVE_SECONDS", -1)
    sleeps = f"trap 'exit 0' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    waits = f"until [ -e {tmp_path}/ready ]; do sleep 0.05; done"
    workers = [worker(tmp_path, 0, waits, successes=successes), worker(tmp_path, 1, sleeps, successes=successes)]
    supervisor = Supervisor(workers, tmp_path / "tasks.json", lambda name, text: None)
    while supervisor.tasks[0].state is not State.SUCCEEDED:
        supervisor.step()
    supervisor.step()
    assert (supervisor.stopping is not None) is (successes == 1)
    supervisor.stop()
    while not supervisor.over:
        supervisor.step()


@pytest.mark.parametrize(("env", "lease"), [({"TRAINER_RESCALE_AFTER": "60"}, None), ({}, "5")])
def test_workers_that_choose_a_leader_keep_the_usual_lease(
    tmp_path: Path, env: dict[str, str], lease: str | None
) -> None:
    [process] = place([pod(**env)], Layout(tmp_path, "run"), {})
    assert process.containers[-1].env.get("TRAINER_LEASE_TIMEOUT") == lease


def test_macos_has_no_network_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert network.isolate() == "only Linux has network namespaces"


def test_task_starts_on_a_system_that_cannot_end_it_with_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_library(name: str | None) -> None:
        raise OSError(name)

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    [process] = place([pod()], Layout(tmp_path, "run"), {})
    quick = Process(**{**process.__dict__, "containers": (Container(("true",), {}),)})
    supervisor = Supervisor([quick], tmp_path / "tasks.json", lambda name, text: None)
    while not supervisor.over:
        supervisor.step()
    assert [task.exit_code for task in supervisor.tasks] == [0]
