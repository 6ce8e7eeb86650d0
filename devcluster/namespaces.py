"""Kernel namespaces with processes in them: the control plane's, and one for each node.

The init of a space is Kubernetes' own `pause`: process 1 in there, which reaps and waits. When it dies, the kernel
ends every process of the space, and with them go its mounts, its network and its rules.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster.paths import state
from devcluster.shell import ClusterError, DiedError, run, wait_for

INIT = "pause"
HIDDEN = ("/run", "/var/lib", "/var/log")  # a space has its own of these


@dataclass(frozen=True)
class PidFile:
    """A process that this tool started, told from a later one of the same number by the time it began."""

    path: Path

    def save(self, pid: int) -> None:
        """Remember a process."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(f"{pid} {started(pid)}\n")

    def pid(self) -> int | None:
        """Return the process' number if it still runs."""
        try:
            pid, since = self.path.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if started(int(pid)) == since else None


def started(pid: int) -> str | None:
    """Return when a process began, in the kernel's ticks; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def children(pid: int) -> list[int]:
    """Return the processes that `pid` started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


@dataclass(frozen=True)
class Space:
    """A set of namespaces by name: `control`, `node1`, ..."""

    name: str

    @property
    def folder(self) -> Path:
        """Return where its pid files and logs are."""
        return state() / "spaces" / self.name

    def init(self) -> int | None:
        """Return its process 1 as this machine numbers it, or None if the space does not exist."""
        return PidFile(self.folder / "init.pid").pid()

    def create(self, script: str) -> None:
        """Make the namespaces, run `script` in them and keep them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        own = self.folder / "machine"
        words = ["set -e", "mount --make-rshared /"]
        words += [f"mkdir -p {shlex.quote(str(own))}/lib {shlex.quote(str(own))}/log"]
        words += [f"mount --bind {shlex.quote(str(own))}/{path.rpartition('/')[2]} {path}" for path in HIDDEN[1:]]
        words += ["mount -t tmpfs -o mode=755 tmpfs /run", "mkdir -p /run/netns /run/lock"]
        words += [f"hostname {self.name}", "ip link set lo up", "echo 1 > /proc/sys/net/ipv4/ip_forward", script]
        words += [f"exec {shlex.quote(str(state() / 'bin' / INIT))}"]
        command = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        log = self.folder / "init.log"
        outer = spawn([*command, "sh", "-c", "\n".join(words)], log)

        def ready() -> int | None:
            if started(outer) is None:
                raise ClusterError(log.read_text())
            return next((pid for pid in children(outer) if name_of(pid) == INIT), None)

        PidFile(self.folder / "init.pid").save(wait_for(f"the namespaces of {self.name}", ready, 20))

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """Return the command that runs `command` in the space."""
        init = self.init()
        if init is None:
            raise ClusterError(f"{self.name} is not running: `python -m devcluster up`, or `node start {self.name}`")
        enter = ["nsenter", "--target", str(init), "--mount", "--net", "--pid", "--uts", "--ipc", "--"]
        return [*enter, *map(str, command)]

    def call(self, script: str) -> str:
        """Run a shell script in the space and return what it prints."""
        return run(self.inside(["sh", "-ec", script]))

    def running(self, component: str) -> int | None:
        """Return the process of a component, or None."""
        return PidFile(self.folder / f"{component}.pid").pid() if self.init() else None

    def start(self, component: str, command: Sequence[str | Path], env: dict[str, str] | None = None) -> bool:
        """Start a component unless it runs; return whether it had to be started."""
        if self.running(component):
            return False
        # It dies with the nsenter that this machine sees, so whoever ends that one leaves no second copy behind.
        bound = ["setpriv", "--pdeathsig", "KILL", "--", *command]
        pid = spawn(self.inside(bound), self.folder / f"{component}.log", env)
        PidFile(self.folder / f"{component}.pid").save(pid)
        return True

    def must_run(self, *components: str) -> None:
        """Raise, with the end of its log, if one of the components has died."""
        for component in components:
            if self.running(component) is None:
                log = self.folder / f"{component}.log"
                end = "\n".join(log.read_text().splitlines()[-5:])
                raise DiedError(f"{component} of {self.name} died; the end of {log}:\n{end}")

    def components(self) -> list[str]:
        """Return what was ever started here."""
        return sorted(path.stem for path in self.folder.glob("*.pid") if path.stem != "init")

    def destroy(self) -> None:
        """End all that is in the space, at once, as a lost machine would."""
        init = self.init()
        if init is not None:
            os.kill(init, signal.SIGKILL)
            wait_for(f"the end of {self.name}", lambda: started(init) is None, 30)


def name_of(pid: int) -> str:
    """Return the name of a process' program."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def spawn(command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> int:
    """Start a process that outlives this one and return its number."""
    with log.open("a") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    process.returncode = 0  # not ours to wait for
    return process.pid
