"""`tfd run`: retries, exit codes, Ctrl-C, results and messages."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.integration.local_run import LocalRun, gone
from tfd.local.run import STOPPING

STORAGE = "storage: {claim: runs}\n"


# Workers that train together wait for each other. A worker that starts after the end of worker 0 finds DONE.
TOGETHER = (
    ': > "$RUN_DIR.here.$TASK_INDEX"; until [ -e "$RUN_DIR.here.0" ] && [ -e "$RUN_DIR.here.1" ]; do sleep 0.05; done; '
)


def job(script: str, *, strategy: str = "MultiWorkerMirrored", more: str = "") -> str:
    """A job file whose tasks all run `script` in sh."""
    script = TOGETHER + script if strategy == "MultiWorkerMirrored" else script
    return f"strategy: {strategy}\ncommand: [sh, -c, {json.dumps(script)}]\n{STORAGE}{more}"


def test_report_names_the_result(local_run: LocalRun) -> None:
    local_run.write(job('echo "task $TASK_INDEX"'))
    code, out, err = local_run.run()
    assert (code, err) == (0, "")
    assert "little is done after" in out
    assert "worker-1     task 1" in out
    assert local_run.log("worker-0") == "task 0\n"
    assert {name: task["exitCode"] for name, task in local_run.tasks().items()} == {"worker-0": 0, "worker-1": 0}


def test_json_is_the_only_output_on_stdout(local_run: LocalRun) -> None:
    local_run.write(job("echo noise"))
    code, out, err = local_run.run("--json")
    result = json.loads(out)
    assert code == 0
    assert "noise" in err
    assert result["exitCode"] == 0
    assert result["tasks"]["worker-0"]["attempts"] == 1
    assert result["runDirectory"] == str(local_run.run_dir)


def test_task_sees_the_rendered_environment_and_files(local_run: LocalRun) -> None:
    script = 'cat "$TRAINER_RECORD" > "$RUN_DIR.record"; env > "$RUN_DIR.$TASK_INDEX.env"'
    local_run.write(job(script, more='env: [{name: LEVEL, value: "$(TASK_INDEX)-$$(HOME)"}]\n'))
    assert local_run.run()[0] == 0
    record = json.loads(local_run.run_dir.with_suffix(".record").read_text())
    env = dict(
        line.split("=", 1) for line in local_run.run_dir.with_suffix(".1.env").read_text().splitlines() if "=" in line
    )
    tf_config = json.loads(env["TF_CONFIG"])
    assert record["run"] == "little"
    assert record["identity"]["strategy"] == "MultiWorkerMirrored"
    assert tf_config["task"] == {"type": "worker", "index": 1}
    assert all(address.startswith("127.0.0.1:") for address in tf_config["cluster"]["worker"])
    assert len(set(tf_config["cluster"]["worker"])) == 2
    assert env["LEVEL"] == "1-$(HOME)"
    assert env["RUN_DIR"] == str(local_run.run_dir)
    named = {name: env[name] for name in ("TASK_TYPE", "TASK_INDEX", "POD_NAME", "POD_IP", "USER")}
    assert named == {
        "TASK_TYPE": "worker",
        "TASK_INDEX": "1",
        "POD_NAME": "little-worker-1",
        "POD_IP": "127.0.0.1",
        "USER": "trainer",
    }
    assert "PYTEST_CURRENT_TEST" not in env, "the user's shell must not leak into the run"


def test_retried_exit_code_restarts_the_task(local_run: LocalRun) -> None:
    script = 'echo x >> "$RUN_DIR.$TASK_INDEX"; [ "$(wc -l < "$RUN_DIR.$TASK_INDEX")" -ge 2 ] || exit 75'
    local_run.write(job(script, strategy="OneDevice"))
    code, out, _ = local_run.run()
    assert code == 0
    assert "exited with 75: restarts in 1 s (retry 1 of 5)" in out
    assert [task["attempts"] for task in local_run.tasks().values()] == [2]


def test_run_ends_after_the_last_retry(local_run: LocalRun) -> None:
    local_run.write(job('[ "$TASK_INDEX" = 0 ] && exit 75; sleep 600', more="failure: {retriesPerTask: 1}\n"))
    code, out, _ = local_run.run()
    assert code == 75
    assert "exited with 75: attempt 2 was the last" in out
    assert "little failed: worker-0 exited with 75: " in out


def test_exit_code_that_is_not_retried_ends_the_run_and_shows_the_last_line(local_run: LocalRun) -> None:
    script = '[ "$TASK_INDEX" = 0 ] && { echo "ValueError: no such column"; exit 2; }; sleep 600'
    local_run.write(job(script))
    code, out, _ = local_run.run()
    assert code == 2
    assert "little failed: worker-0 exited with 2: " in out
    assert "ValueError: no such column" in out.rsplit("little failed", 1)[1]
    assert {task["state"] for task in local_run.tasks().values()} == {"failed"}


def test_exit_code_1_of_a_custom_command_is_retried_because_a_lost_peer_exits_with_1(local_run: LocalRun) -> None:
    local_run.write(job("exit 1", more="failure: {retriesPerTask: 1}\n"))
    code, out, _ = local_run.run()
    assert code == 1
    assert "exited with 1: attempt 2 was the last" in out


def test_missing_program_is_not_retried(local_run: LocalRun) -> None:
    local_run.write(f"command: [no-such-program]\n{STORAGE}")
    code, out, _ = local_run.run()
    assert code == 127
    assert "chief-0 exited with 127: The image does not contain the command." in out
    assert "no-such-program: not found" in out


def test_killed_task_counts_as_137_and_restarts(local_run: LocalRun) -> None:
    script = '[ -e "$RUN_DIR.again" ] && exit 0; touch "$RUN_DIR.again"; echo ready; sleep 600'
    local_run.write(job(script, strategy="OneDevice"))
    local_run.start()
    local_run.wait_for(lambda: "ready" in local_run.log("chief-0"), "the task's start")
    local_run.kill("chief-0")
    code, out, _ = local_run.finish()
    assert code == 0
    assert "chief-0      exited with 137: restarts in" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_every_task_and_waits_for_its_end(local_run: LocalRun, number: signal.Signals) -> None:
    script = "trap 'echo saved; exit 143' TERM; echo ready; while :; do sleep 0.1; done"
    local_run.write(job(script))
    process = local_run.start()
    local_run.wait_for(
        lambda: all("ready" in local_run.log(name) for name in ("worker-0", "worker-1")), "the tasks' start"
    )
    process.send_signal(number)
    code, out, _ = local_run.finish()
    assert code == 130
    assert "Run the same command again to resume from the last checkpoint." in out
    assert all("saved" in local_run.log(name) for name in ("worker-0", "worker-1"))


def test_second_ctrl_c_kills_tasks_that_ignore_sigterm(local_run: LocalRun) -> None:
    local_run.write(job("trap '' TERM; echo ready; while :; do sleep 0.1; done", strategy="OneDevice"))
    process = local_run.start()
    local_run.wait_for(lambda: "ready" in local_run.log("chief-0"), "the task's start")
    pid = local_run.pid("chief-0")
    process.send_signal(signal.SIGINT)
    local_run.wait_for(lambda: _reads_stopping(process), "the first answer")
    process.send_signal(signal.SIGINT)
    code, _, _ = local_run.finish()
    assert code == 130
    assert gone(pid)


def _reads_stopping(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return any(STOPPING in line for line in iter(process.stdout.readline, ""))


def test_no_task_outlives_a_killed_tfd(local_run: LocalRun) -> None:
    local_run.write(job("echo ready; exec sleep 600"))
    process = local_run.start()
    local_run.wait_for(lambda: "ready" in local_run.log("worker-1"), "the tasks' start")
    pids = [local_run.pid(task) for task in ("worker-0", "worker-1")]
    process.kill()
    process.communicate()
    local_run.process = local_run.start()  # something that lives, for wait_for
    local_run.wait_for(lambda: all(gone(pid) for pid in pids), "the end of the orphans")


def test_children_of_a_task_end_with_it(local_run: LocalRun) -> None:
    local_run.write(job('sleep 600 & echo "$!" > "$RUN_DIR.child"', strategy="OneDevice"))
    assert local_run.run()[0] == 0
    assert gone(int(local_run.run_dir.with_suffix(".child").read_text()))


def test_second_tfd_run_of_the_same_run_is_refused(local_run: LocalRun) -> None:
    local_run.write(job("echo ready; sleep 600", strategy="OneDevice"))
    process = local_run.start()
    local_run.wait_for(lambda: "ready" in local_run.log("chief-0"), "the task's start")
    second = subprocess.run(
        [sys.executable, "-m", "tfd", "run", "team/little.yaml"], cwd=local_run.folder, capture_output=True, text=True
    )
    assert second.returncode == 2
    assert (
        f"got a second tfd run, the first is process {process.pid}; expected one tfd run at a time. " in second.stderr
    )


def test_deadline_ends_the_run(local_run: LocalRun) -> None:
    local_run.write(job("exec sleep 600", strategy="OneDevice", more="deadline: 1s\n"))
    code, out, _ = local_run.run()
    assert code == 143
    assert "the deadline of 1 s is over" in out


def test_fresh_deletes_only_the_results_of_this_run(local_run: LocalRun) -> None:
    local_run.write(job("true", strategy="OneDevice"))
    local_run.run_dir.mkdir(parents=True)
    (local_run.run_dir / "thesis.tex").write_text("years of work")
    code, _, err = local_run.run("--fresh")
    assert code == 2
    assert "got files of something else; expected the run directory of little. Delete it" in err
    (local_run.run_dir / "run.json").write_text('{"run": "little"}')
    assert local_run.run("--fresh")[0] == 0
    assert [each.name for each in local_run.run_dir.iterdir()] == ["DONE"]


def test_custom_command_runs_once_and_again_only_with_fresh(local_run: LocalRun) -> None:
    local_run.write(job('echo x >> "$RUN_DIR.runs"', strategy="OneDevice"))
    assert "little is done after" in local_run.run()[1]
    code, out, _ = local_run.run()
    assert code == 0
    assert "little was done already: nothing was trained" in out
    assert "steps" not in out, "nobody counted them"
    assert local_run.run_dir.with_suffix(".runs").read_text() == "x\n"
    assert "little is done after" in local_run.run("--fresh")[1]
    assert local_run.run_dir.with_suffix(".runs").read_text() == "x\nx\n"


def test_run_with_another_identity_was_not_done_already(local_run: LocalRun) -> None:
    local_run.write(job("true", strategy="OneDevice"))
    assert local_run.run()[0] == 0
    local_run.write(job("echo changed", strategy="OneDevice"))
    code, out, _ = local_run.run()
    assert code == 0
    assert "changed" in out
    assert "was done already" not in out


def test_sigterm_reaches_only_the_first_process_of_a_task(local_run: LocalRun) -> None:
    """As from the kubelet. With `storage.ephemeral` there is no guard, which would pass it on."""
    child = "(trap 'echo child' TERM; echo ready; while :; do sleep 0.1; done) &"
    script = f"trap 'sleep 0.5; exit 143' TERM; {child} while :; do sleep 0.1; done"
    local_run.write(f"command: [sh, -c, {json.dumps(script)}]\nstorage: {{ephemeral: true}}\n")
    process = local_run.start()
    local_run.wait_for(lambda: "ready" in local_run.log("chief-0"), "the task's start")
    process.send_signal(signal.SIGINT)
    assert local_run.finish()[0] == 130
    assert "child" not in local_run.log("chief-0")


def test_ephemeral_run_starts_with_an_empty_directory(local_run: LocalRun) -> None:
    script = '[ ! -e "$RUN_DIR.x" ] || exit 2; touch "$RUN_DIR.x"'
    local_run.write(f"command: [sh, -c, {json.dumps(script)}]\nstorage: {{ephemeral: true}}\n")
    assert local_run.run()[0] == 0
    assert local_run.run()[0] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"state: archived\n{STORAGE}",
            "team/little.yaml: got no Kubernetes Job; expected an active run that trains.",
        ),
        (
            f"state: suspended\n{STORAGE}",
            'state: got "suspended"; expected "active". Set state: active to run it here.',
        ),
        (f"stat: active\n{STORAGE}", "team/little.yaml:1:1: stat: got an unknown key; expected state. "),
        (
            f"env: [{{name: KEY, valueFrom: {{secretKeyRef: {{name: s, key: k}}}}}}]\n{STORAGE}",
            "KEY: got nothing; expected the value that the cluster keeps in s/k. Set it",
        ),
        (
            f"command: []\n{STORAGE}",
            "command: got []; expected a program, because this machine has no image. Set command",
        ),
        (
            f"workingDir: /nothing/here\n{STORAGE}",
            'workingDir: got "/nothing/here"; expected a folder of this machine. Create the folder, ',
        ),
    ],
)
def test_refused_run_names_the_fix(local_run: LocalRun, text: str, message: str) -> None:
    local_run.write(text)
    code, _, err = local_run.run()
    assert code == 2
    assert message in err


def test_program_starts_in_its_working_directory(local_run: LocalRun) -> None:
    files = 'code: {files: {name.txt: "from the job file"}}\n'
    local_run.write(job("cat name.txt", strategy="OneDevice", more=f"workingDir: /code\n{files}"))
    assert (local_run.run()[0], local_run.log("chief-0")) == (0, "from the job file")


def test_working_directory_of_the_image_is_that_of_this_machine(local_run: LocalRun) -> None:
    local_run.write(job("pwd", strategy="OneDevice", more="workingDir: /usr\n"))
    assert (local_run.run()[0], local_run.log("chief-0")) == (0, "/usr\n")


def test_working_directory_that_a_volume_lacks_is_named_and_not_retried(local_run: LocalRun) -> None:
    local_run.write(job("true", strategy="OneDevice", more="workingDir: /runs/nothing/here\n"))
    assert local_run.run()[0] == 127
    assert local_run.log("chief-0") == f"{local_run.folder}/runs/nothing/here: No such file or directory\n"


def test_secret_comes_from_the_shell(local_run: LocalRun, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "env: [{name: KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}]\n"
    local_run.write(job('[ "$KEY" = open-sesame ] || exit 2', strategy="OneDevice", more=secret))
    monkeypatch.setenv("KEY", "open-sesame")
    assert local_run.run()[0] == 0


FOLDERS = """\
storage: {claim: runs, at: /train}
data: {claim: images, at: /images}
mounts:
  - {at: /models, claim: models, folder: bert/base}
  - {at: /earlier, claim: runs, folder: before/export}
  - {at: /keys, secret: keys}
  - {at: /settings, configMap: tokenizer}
  - {at: /cache, scratch: 1Gi}
chief: {shm: 1Gi}
"""
GIVEN = ("claims/images", "claims/models/bert/base", "secrets/keys", "configmaps/tokenizer")


def test_folders_of_a_task_are_folders_of_this_machine(local_run: LocalRun) -> None:
    script = 'cat "$0" "$1" "$2" "$3" "$DATA_DIR/word"; : > "$4"; echo "$5 $RUN_DIR"'
    words = ["/models/word", "/earlier/word", "/keys/word", "/settings/word", "/cache/word", "/dev/shm/word"]
    local_run.write(f"command: {json.dumps(['sh', '-ec', script, *words])}\n{FOLDERS}")
    runs = local_run.folder / "runs"
    for name in (*(f".tfd/{each}" for each in GIVEN), "before/export"):
        (runs / name).mkdir(parents=True)
        (runs / name / "word").write_text(f"{name}\n")
    code, out, err = local_run.run()
    assert code == 0, out + err
    assert local_run.log("chief-0").splitlines() == [
        ".tfd/claims/models/bert/base", "before/export", ".tfd/secrets/keys", ".tfd/configmaps/tokenizer",
        ".tfd/claims/images", f"/dev/shm/word {runs}/little",
    ]  # fmt: skip
    assert list((local_run.state / "little-chief-0").glob("mount-*/word"))


def test_each_missing_folder_is_named_before_the_run_starts(local_run: LocalRun) -> None:
    local_run.write(f"command: [touch, started]\n{FOLDERS}")
    code, _, err = local_run.run()
    assert code == 2
    found = dict(line.split(": got no folder ") for line in err.splitlines())
    assert found.keys() == {"/images", "/models", "/keys", "/settings"}
    assert found["/models"] == (
        f"{local_run.folder}/runs/.tfd/claims/models/bert/base; expected the files that the cluster keeps in the "
        "claim models. Create this folder with the files, or a link to a folder that has them."
    )
    assert "the Secret keys" in found["/keys"]
    assert "the ConfigMap tokenizer" in found["/settings"]
    assert not local_run.state.exists()


def test_run_has_its_own_network_namespace_where_the_machine_allows_one(local_run: LocalRun) -> None:
    local_run.write(job("ls /sys/class/net; readlink /proc/self/ns/net", strategy="OneDevice"))
    code, out, _ = local_run.run()
    assert code == 0
    own = os.readlink("/proc/self/ns/net")
    if "no network namespace here" in out:
        pytest.skip(f"this machine allows none: {out.splitlines()[0]}")
    assert own not in local_run.log("chief-0")
    code, out, _ = local_run.run("--no-isolate", "--fresh")
    assert "TensorFlow's ports are open to the network during this run (--no-isolate)" in out
    assert own in local_run.log("chief-0")
