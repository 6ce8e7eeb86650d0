"""`tfd workbench TEAM/NAME` with a kubectl that prints recorded answers, one after the other."""

import base64
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tfd.cli import main

Object = dict[str, Any]

# Each look at the Service and the Job is the next of `looks`, and the pods are those of the same look.
KUBECTL = """#!{python}
import json, pathlib, sys
here, words = pathlib.Path(__file__).parent, sys.argv[1:]
given = json.loads((here / "answers.json").read_text())
with open(here / "asked", "a") as asked:
    asked.write(" ".join(words) + "\\n")
if "services,jobs" in words or "pods" in words:
    count = (here / "asked").read_text().count("services,jobs")
    look = given["looks"][min(count, len(given["looks"])) - 1]
    kinds = ("Service", "Job") if "services,jobs" in words else ("Pod",)
    print(json.dumps({{"items": [each for each in look if each["kind"] in kinds]}}))
elif "secret" in words:
    if given["secret"].startswith("Error"):
        sys.exit(given["secret"])
    print(given["secret"])
elif "--raw" in words:
    print(json.dumps({{"metadata": {{}}, "items": given["events"]}}))
elif "config" in words:
    print("vision")
elif "port-forward" in words:
    for number, pair in enumerate(words[words.index("port-forward") + 4:]):
        local, _, port = pair.partition(":")
        print(f"Forwarding from 127.0.0.1:{{local or 40001 + number}} -> {{port}}", flush=True)
    sys.exit("error: lost connection to pod")
"""


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: Object = {"looks": [], "events": [], "secret": secret("s3cret")}
        program = folder / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def workbench(self, *words: str, looks: list[list[Object]]) -> Result:
        (self.folder / "answers.json").write_text(json.dumps(self.answers | {"looks": looks}))
        return CliRunner().invoke(main, ["workbench", "vision/anna", *words])

    def asked(self, word: str) -> list[str]:
        return [line for line in (self.folder / "asked").read_text().splitlines() if word in line.split()]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Cluster(tmp_path)


def secret(token: str) -> str:
    return json.dumps({"data": {"token": base64.b64encode(token.encode()).decode()}})


def service(*ports: str, **annotations: str) -> Object:
    numbers = {"editor": 8888, "tensorboard": 6006}
    chosen = [{"name": name, "port": numbers[name]} for name in ports or numbers]
    metadata = {"name": "anna-workbench", "annotations": annotations}
    return {"kind": "Service", "metadata": metadata, "spec": {"ports": chosen}}


def job(uid: str, end: str = "", **spec: Any) -> Object:
    conditions = [{"type": end, "status": "True", "reason": "Why", "message": "words"}] if end else []
    items = [{"key": "token", "path": "token"}]
    volume = {"name": "token", "secret": {"secretName": "anna-workbench-token", "items": items}}
    metadata = {"name": "anna-workbench-3", "uid": uid, "creationTimestamp": f"2026-11-24T10:00:0{uid}Z"}
    template = {"spec": {"volumes": [volume]}}
    return {
        "kind": "Job",
        "metadata": metadata,
        "spec": {"template": template, **spec},
        "status": {"conditions": conditions},
    }


def pod(of: str, ready: bool = True, phase: str = "Running", **status: Any) -> Object:
    conditions = [{"type": "Ready", "status": str(ready)}, {"type": "PodScheduled", "status": "True"}]
    metadata = {
        "name": f"anna-workbench-3-{of}",
        "creationTimestamp": f"2026-11-24T10:00:0{of}Z",
        "ownerReferences": [{"uid": of}],
    }
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": "node1"},
        "status": {"phase": phase, "conditions": conditions, **status},
    }


def test_running_workbench_prints_its_addresses_with_the_token(cluster: Cluster) -> None:
    done = cluster.workbench(looks=[[service(), job("1"), pod("1")]])
    assert done.stdout.splitlines() == [
        "JupyterLab   http://127.0.0.1:40001/lab?token=s3cret",
        "TensorBoard  http://127.0.0.1:40002/?token=s3cret",
        "Ctrl-C ends the connection, not the workbench.",
    ]
    assert (done.exit_code, done.stderr) == (2, "lost connection to pod\n")
    [forward] = cluster.asked("port-forward")
    assert forward == ("--namespace vision port-forward --address 127.0.0.1 service/anna-workbench :8888 :6006")
    assert cluster.asked("delete") == []


def test_ports_of_this_machine_can_be_chosen(cluster: Cluster) -> None:
    done = cluster.workbench("--port", "9001", "--json", looks=[[service(), job("1"), pod("1")]])
    assert json.loads(done.stdout) == {
        "addresses": {"JupyterLab": "http://127.0.0.1:9001/lab", "TensorBoard": "http://127.0.0.1:40002/"},
        "token": "s3cret",
        "why": "",
    }


def test_workbench_without_editor_has_one_address(cluster: Cluster) -> None:
    done = cluster.workbench(looks=[[service("tensorboard"), job("1"), pod("1")]])
    assert done.stdout.splitlines()[0] == "TensorBoard  http://127.0.0.1:40001/?token=s3cret"
    assert cluster.asked("port-forward")[0].endswith("service/anna-workbench :6006")


def test_ended_workbench_starts_again(cluster: Cluster) -> None:
    """Only its Job is deleted. Argo CD creates the Job again, and its new pod becomes ready."""
    ended = [service(), job("1", "Complete"), pod("1", ready=False, phase="Succeeded")]
    looks = [ended, [service()], [service(), job("2")], [service(), job("2"), pod("2", ready=False)]]
    done = cluster.workbench(looks=[*looks, [service(), job("2"), pod("2")]])
    assert "http://127.0.0.1:40001/lab?token=s3cret" in done.stdout
    assert done.stderr.splitlines() == [
        "anna has ended (Why: words). Starting it again ...",
        "anna: waits for Argo CD to create its Job",
        "anna: waits for its pod",
        "anna: running, but does not answer yet",
        "lost connection to pod",
    ]
    [deleted] = cluster.asked("delete")
    assert deleted.startswith("--namespace vision delete job anna-workbench-3 --cascade=foreground --wait ")


def test_ended_workbench_of_a_helm_release_is_refused_with_the_command(cluster: Cluster) -> None:
    by_helm = service(**{"meta.helm.sh/release-name": "anna"})
    command = "helm upgrade anna charts/workbench -n vision --reuse-values"
    for found, words in (([job("1", "Complete")], f"{command} --set session=4"), ([], command)):
        done = cluster.workbench(looks=[[by_helm, *found]])
        assert (done.exit_code, done.stderr) == (
            1,
            f"The workbench anna has ended. To start it again, run: {words}\n",
        )
    assert cluster.asked("delete") == []


def test_waiting_workbench_names_the_reason(cluster: Cluster) -> None:
    pulls = [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}]
    cluster.answers["events"] = [{"involvedObject": {"name": "anna-workbench-3"}, "message": "exceeded quota"}]
    looks = [
        [service(), job("1")],
        [service(), job("1")],
        [service(), job("1", suspend=True)],
        [service(), job("1"), pod("1", ready=False, phase="Pending", containerStatuses=pulls)],
        [service(), job("1"), pod("1")],
    ]
    lines = cluster.workbench(looks=looks).stderr.splitlines()
    assert lines[:3] == [
        "anna: exceeded quota",
        "anna: waits in its queue",
        "anna: starting: ImagePullBackOff: Back-off pulling image",
    ]


def test_workbench_that_fails_shows_its_last_words(cluster: Cluster) -> None:
    terminated = {"terminated": {"exitCode": 1, "message": "JUPYTER_TOKEN_FILE: got nothing"}}
    failed = pod("1", ready=False, phase="Failed", containerStatuses=[{"state": terminated}])
    done = cluster.workbench(looks=[[service(), job("1")], [service(), job("1", "Failed"), failed]])
    assert done.exit_code == 1
    assert "The workbench anna has ended: exit 1: JUPYTER_TOKEN_FILE: got nothing" in done.stderr


def test_missing_workbench_is_refused(cluster: Cluster) -> None:
    done = cluster.workbench(looks=[[]])
    assert (done.exit_code, done.stderr) == (
        1,
        'workbench: got "anna"; expected a workbench in namespace vision. '
        "Merge workbenches/TEAM/NAME.yaml, or name the namespace with -n.\n",
    )


def test_missing_secret_is_refused_with_the_command_before_anything_is_deleted(cluster: Cluster) -> None:
    cluster.answers["secret"] = ""
    done = cluster.workbench(looks=[[service(), job("1", "Complete")]])
    assert (done.exit_code, done.stderr) == (
        1,
        "Secret anna-workbench-token: got nothing; expected the token as token. Run kubectl -n vision create secret "
        "generic anna-workbench-token --from-literal=token=$(openssl rand -hex 24).\n",
    )
    assert cluster.asked("delete") == []


def test_missing_right_to_the_secret_leaves_the_token_out(cluster: Cluster) -> None:
    cluster.answers["secret"] = 'Error from server (Forbidden): secrets "anna-workbench-token" is forbidden'
    done = cluster.workbench(looks=[[service(), job("1"), pod("1")]])
    assert done.stdout.splitlines() == [
        "JupyterLab   http://127.0.0.1:40001/lab",
        "TensorBoard  http://127.0.0.1:40002/",
        "Ctrl-C ends the connection, not the workbench.",
    ]
    assert done.stderr.splitlines()[0] == (
        "The token is token of Secret anna-workbench-token. To show it, you need the right to get this Secret: "
        'Error from server (Forbidden): secrets "anna-workbench-token" is forbidden'
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vision/anna", "--dir", "x"], "--dir: got WORKBENCH as well; expected one of the two. Remove --dir."),
        (["vision/anna", "--host", "::"], "--host: got WORKBENCH as well; expected one of the two. Remove --host."),
        (["--json"], "--json: got no WORKBENCH; expected WORKBENCH as well. Remove --json."),
        (["-n", "vision"], "--namespace: got no WORKBENCH; expected WORKBENCH as well. Remove --namespace."),
    ],
)
def test_options_of_the_other_way_to_start_are_refused(words: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["workbench", *words])
    assert done.exit_code == 2
    assert message in done.stderr
