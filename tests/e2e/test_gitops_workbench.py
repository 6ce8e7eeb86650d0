"""Workbenches by git: a file becomes JupyterLab and TensorBoard, with an idle end and a home that stays."""

import json
import secrets
import time
from collections.abc import Callable

import pytest

from tests.e2e.gitops import GitOps
from tests.e2e.kube import CommandError, Kube
from tests.e2e.team import Team
from tests.e2e.test_network import OTHER_PORT, reaches, require_enforcement
from tests.e2e.workbench import Programs, Workbench

RUN, NAME, NOTE = "first", "anna", "note.txt"
CURVE = (f"team/{RUN}/logs/train", "loss")
PORTS = (8888, 6006)


@pytest.fixture(scope="session")
def image(argocd: Kube) -> str:
    """Return the image of a workbench, which only these scenarios build."""
    return str(json.loads(argocd.devcluster("images", "--workbench"))["workbench"])


@pytest.fixture
def new_workbench(gitops: GitOps, image: str) -> Callable[[Team], Workbench]:
    """Return a function that gives a team a workbench with a token, before its file is merged."""

    def make(team: Team) -> Workbench:
        made = Workbench(gitops, team, NAME, image, secrets.token_hex(24))
        made.create_token()
        return made

    return make


def test_workbench_shows_a_run_ends_idle_and_is_back_with_its_home(
    team: Team, gitops: GitOps, new_workbench: Callable[[Team], Workbench]
) -> None:
    """A job file and a workbench file with one GPU are merged. The workbench is ready, refuses a wrong token, and its
    TensorBoard has the loss curve of the run. After the idle time its Job is Complete, its Application is Healthy and
    no GPU is held. A commit with a higher `session`, and after another end `tfd workbench TEAM/NAME`, bring it back
    with its file in the home folder. The times are recorded."""
    gitops.install(team)
    workbench, content = new_workbench(team), secrets.token_hex(8)
    job = gitops.values(steps=100, trainer={"summaryEvery": 10})
    merged = gitops.commit({f"jobs/{team.name}/{RUN}.yaml": job} | workbench.file(gpus=1, idleAfter="90s"))
    assert workbench.gpus(workbench.ready_pod()) == 1
    team.timings["push to a ready workbench"] = time.time() - merged
    assert team.gpus_held(NAME) == 1
    with workbench.opened() as programs:
        for token in ("", "wrong"):
            assert programs.status_without_token(token) == (403, 403)
        programs.write(NOTE, content)
        curve = team.wait("the last point of the curve", lambda: last_point(programs, 100))
        assert [step for _, step, _ in curve] == list(range(10, 101, 10))
        assert curve[-1][2] < curve[0][2]

    workbench.complete()
    assert team.gpus_held(NAME) == 0
    assert "had no activity for 1:30" in workbench.message()
    began = gitops.commit(workbench.file(gpus=1, idleAfter="2h", session=2))
    workbench.ready_pod(2)
    team.timings["push of a higher session to a ready workbench"] = time.time() - began
    with workbench.opened() as programs:
        assert programs.read(NOTE) == content
    with workbench.opened(exits=(0, 2)) as programs:  # The connection breaks.
        programs.jupyter("POST", "shutdown")

    workbench.complete(2)
    began = time.time()
    with workbench.opened() as programs:
        team.timings["tfd workbench to the addresses of a workbench that had ended"] = time.time() - began
        assert programs.read(NOTE) == content
        assert team.gpus_held(NAME) == 1
    gitops.commit(dict.fromkeys(workbench.file()))
    team.wait("all objects to be deleted", lambda: not team.objects(NAME, "jobs,pods,services"))
    assert team.objects(NAME, "persistentvolumeclaims") == [f"PersistentVolumeClaim/{NAME}-home"]


def last_point(programs: Programs, step: int) -> list[list[float]]:
    """Return the curve of the run if it has reached a step, else nothing."""
    # Only requests to JupyterLab are activity.
    programs.read(NOTE)
    curve = programs.curve(*CURVE)
    return curve if curve and curve[-1][1] >= step else []


def test_workbench_reaches_no_storage_and_no_network_of_another_team(
    new_team: Callable[[], Team], gitops: GitOps, new_workbench: Callable[[Team], Workbench]
) -> None:
    """Two teams have a workbench. In one of them, /runs has the files of its own team, and nothing can be written. It
    reaches DNS, and neither a pod and the workbench of the other team nor the API server. No pod of the two teams
    reaches its ports."""
    mine, theirs = new_team(), new_team()
    require_enforcement(theirs)
    gitops.install(mine, theirs)
    for team in (mine, theirs):
        team.kubectl("exec", "reader", "--", "sh", "-c", f"echo {team.name} >/runs/owner")
    workbenches = [new_workbench(team) for team in (mine, theirs)]
    gitops.commit(workbenches[0].file() | workbenches[1].file())
    pod, other = (each.ready_pod() for each in workbenches)
    name = str(pod["metadata"]["name"])

    def execute(*words: str) -> str:
        return mine.kubectl("exec", name, "--", *words)

    assert execute("ls", "-A", "/runs").split() == ["owner"]
    assert execute("cat", "/runs/owner").strip() == mine.name
    with pytest.raises(CommandError, match="Read-only file system"):
        execute("touch", "/runs/new")

    open_pod = theirs.kube.get("pod", "open", "-n", theirs.name)["status"]["podIP"]
    assert reaches(theirs, "reader", open_pod, OTHER_PORT)
    assert not reaches(mine, name, open_pod, OTHER_PORT)
    assert execute("python", "-c", "import socket; print(socket.gethostbyname('kubernetes.default.svc'))").strip()
    assert reaches(mine, "reader", "kubernetes.default.svc", 443)
    assert not reaches(mine, name, "kubernetes.default.svc", 443)
    for port in PORTS:
        assert not reaches(mine, name, other["status"]["podIP"], port)
        for team in (mine, theirs):
            assert not reaches(team, "reader", pod["status"]["podIP"], port)
