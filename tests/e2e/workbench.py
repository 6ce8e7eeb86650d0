"""A workbench that Argo CD starts from its file, and its programs at the addresses that `tfd workbench` opens."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from threading import Timer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from devcluster.paths import CHECKOUT
from devcluster.repository import chart_version
from tests.e2e.gitops import NAMESPACE, GitOps
from tests.e2e.kube import GPU, Object
from tests.e2e.team import PATIENCE, Team, condition, finished

PULL = 480.0
"""Seconds for the start of a workbench: a node pulls its image, which has gigabytes, once."""
SMALL: Object = {"requests": {"cpu": "50m", "memory": "512Mi"}, "limits": {"memory": "3Gi"}}


@dataclass(frozen=True)
class Workbench:
    """A workbench of a team, by the name of its file."""

    gitops: GitOps
    team: Team
    name: str
    image: str
    token: str

    def create_token(self) -> None:
        """Create the Secret with the token, as the guide describes."""
        words = ("create", "secret", "generic", f"{self.name}-workbench-token", f"--from-literal=token={self.token}")
        self.team.kubectl(*words)

    def file(self, **more: Any) -> dict[str, Object | str | None]:
        """Return the workbench file by its path, for a commit."""
        values: Object = {
            "chartVersion": chart_version(),
            "image": self.image,
            "storage": {"claim": "runs"},
            "resources": SMALL,
            # The only node with GPUs, which does not need the image twice.
            "nodeSelector": {"kubernetes.io/hostname": "node1"},
            # The volumes of the cluster are 10Gi.
            "home": {"size": "1Gi"},
        }
        return {f"workbenches/{self.team.name}/{self.name}.yaml": values | more}

    def jobs(self) -> dict[str, Object]:
        """Return the Jobs of the workbench by name."""
        found = self.team.kube.get("-n", self.team.name, "jobs", "-l", f"app.kubernetes.io/instance={self.name}")
        return {str(item["metadata"]["name"]): item for item in found["items"]}

    def ready_pod(self, session: int = 1) -> Object:
        """Wait until the pod of a session is ready; return the pod."""
        job = f"{self.name}-workbench-{session}"

        def ready() -> Object | None:
            pods = self.team.kube.get("-n", self.team.name, "pods", "-l", f"job-name={job}")["items"]
            return next((pod for pod in pods if condition(pod, "Ready").get("status") == "True"), None)

        return self.team.wait(f"a ready pod of {job}", ready, PULL)

    def complete(self, session: int = 1) -> None:
        """Wait until the Job of a session is Complete, and the Application Healthy."""
        job = f"{self.name}-workbench-{session}"
        self.team.wait(f"the end of {job}", lambda: finished(self.jobs().get(job, {"status": {}})) == "Complete")
        self.team.wait("the Application to be Healthy", lambda: self.health() == "Healthy")

    def health(self) -> str:
        """Return the health of the Application."""
        name = f"workbench.{self.team.name}.{self.name}"
        template = "jsonpath={.status.health.status}"
        return self.team.kube.kubectl("-n", NAMESPACE, "get", "application", name, "--ignore-not-found", "-o", template)

    def gpus(self, pod: Object) -> int:
        """Return the number of GPUs that a pod requests."""
        return int(pod["spec"]["containers"][0]["resources"]["requests"].get(GPU, 0))

    def message(self, session: int = 1) -> str:
        """Return the message of the pod of a session that has ended."""
        pods = self.team.kube.get("-n", self.team.name, "pods", "-l", f"job-name={self.name}-workbench-{session}")
        states = [status["state"] for pod in pods["items"] for status in pod["status"]["containerStatuses"]]
        return "\n".join(str(state["terminated"]["message"]) for state in states)

    @contextmanager
    def opened(self, exits: Sequence[int] = (0,)) -> Iterator["Programs"]:
        """Run `tfd workbench TEAM/NAME`, which waits until the workbench is ready, and yield its programs."""
        errors = self.team.folder / "tfd-workbench-errors"
        words = [sys.executable, "-m", "tfd", "workbench", f"{self.team.name}/{self.name}", "--json"]
        environment = os.environ | self.team.kube.env
        with errors.open("w") as file, subprocess.Popen(
            words, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=file, text=True
        ) as process:  # fmt: skip
            limit = Timer(PATIENCE, process.kill)
            limit.start()
            try:
                assert process.stdout is not None
                lines: list[str] = []
                while not lines or lines[-1] not in ("", "}\n"):
                    lines.append(process.stdout.readline())
                limit.cancel()
                assert lines[-1], f"{' '.join(words)} has ended: {errors.read_text()}\n{self.team.report()}"
                access = json.loads("".join(lines))
                assert access["token"] == self.token
                yield Programs(access["addresses"], access["token"])
                process.send_signal(signal.SIGINT)
                assert process.wait(PATIENCE) in exits, errors.read_text()
            finally:
                limit.cancel()
                process.kill()


class Programs:
    """JupyterLab and TensorBoard, over HTTP."""

    def __init__(self, addresses: dict[str, str], token: str) -> None:
        self.lab = addresses["JupyterLab"].removesuffix("/lab")
        self.board = addresses["TensorBoard"]
        self.token = token
        self.opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def status_without_token(self, token: str = "") -> tuple[int, int]:
        """Return how JupyterLab and TensorBoard answer without the token, or with a wrong one."""
        query = f"?{urlencode({'token': token})}" if token else ""
        return self._status(f"{self.lab}/api/contents{query}"), self._status(f"{self.board}data/runs{query}")

    def _status(self, address: str) -> int:
        try:
            with build_opener(ProxyHandler({})).open(address) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    def jupyter(self, method: str, path: str, body: Object | None = None) -> Any:
        """Call the API of JupyterLab with the token."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        with self.opener.open(Request(f"{self.lab}/api/{path}", data, headers, method=method)) as answer:
            return json.loads(answer.read() or "null")

    def write(self, name: str, content: str) -> None:
        """Write a file in the home folder."""
        self.jupyter("PUT", f"contents/{name}", {"type": "file", "format": "text", "content": content})

    def read(self, name: str) -> str:
        """Return the content of a file in the home folder."""
        return str(self.jupyter("GET", f"contents/{name}")["content"])

    def curve(self, run: str, tag: str) -> list[list[float]]:
        """Return the points (time, step, value) of a curve in TensorBoard; empty if it does not show the curve."""
        self.opener.open(f"{self.board}?token={self.token}").close()
        if tag not in self._board("tags").get(run, {}):
            return []
        return list(self._board("scalars", run=run, tag=tag))

    def _board(self, route: str, **query: str) -> Any:
        with self.opener.open(f"{self.board}data/plugin/scalars/{route}?{urlencode(query)}") as answer:
            return json.load(answer)
