"""Sets of kernel namespaces with processes in them: one set for the control plane and one for each node.

The init of a set is the `pause` program of Kubernetes: process 1, which reaps children and waits. When it dies, the
kernel kills every process of the set and removes its mounts, its network and its rules.
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
from devcluster.shell import DevclusterError, ProcessDiedError, run, wait_for

INIT = "pause"
HIDDEN = ("/run", "/var/lib", "/var/log")  # Each set has private copies of these.


@dataclass(frozen=True)
class PidFile:
    """A file with the PID and start time of a process, so that a reused PID is not mistaken for it."""

    path: Path

    def save(self, pid: int) -> None:
        """Write the PID and start time of a process."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(f"{pid} {started(pid)}\n")

    def pid(self) -> int | None:
        """Return the PID if the process still runs, else None."""
        try:
            pid, since = self.path.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if started(int(pid)) == since else None


def started(pid: int) -> str | None:
    """Return the start time of a process in clock ticks; None if it has ended or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def children(pid: int) -> list[int]:
    """Return the PIDs of the children of `pid`."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


@dataclass(frozen=True)
class NamespaceSet:
    """A named set of kernel namespaces: `control`, `node1`, ..."""

    name: str

    @property
    def folder(self) -> Path:
        """Return the folder of PID files and logs."""
        return state() / "spaces" / self.name

    def init(self) -> int | None:
        """Return the PID of process 1 on this machine, or None if the set does not exist."""
        return PidFile(self.folder / "init.pid").pid()

    def create(self, script: str) -> None:
        """Create the namespaces, run `script` in them and start the init that holds them."""
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
                raise DevclusterError(log.read_text())
            return next((pid for pid in children(outer) if name_of(pid) == INIT), None)

        PidFile(self.folder / "init.pid").save(wait_for(f"the namespaces of {self.name}", ready, 20))

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs `command` in the namespaces."""
        init = self.init()
        if init is None:
            start = "up" if self.name == "control" else f"node start {self.name}"
            raise DevclusterError(f"{self.name} does not run. Start it with `python -m devcluster {start}`.")
        enter = ["nsenter", "--target", str(init), "--mount", "--net", "--pid", "--uts", "--ipc", "--"]
        return [*enter, *map(str, command)]

    def call(self, script: str) -> str:
        """Run a shell script in the namespaces and return its output."""
        return run(self.inside(["sh", "-ec", script]))

    def running(self, component: str) -> int | None:
        """Return the PID of a component, or None if it does not run."""
        return PidFile(self.folder / f"{component}.pid").pid() if self.init() else None

    def start(self, component: str, command: Sequence[str | Path], env: dict[str, str] | None = None) -> bool:
        """Start a component unless it runs; return whether it was started."""
        if self.running(component):
            return False
        # The component dies with its nsenter process, so killing the nsenter leaves no orphan behind.
        bound = ["setpriv", "--pdeathsig", "KILL", "--", *command]
        pid = spawn(self.inside(bound), self.folder / f"{component}.log", env)
        PidFile(self.folder / f"{component}.pid").save(pid)
        return True

    def stop(self, component: str) -> None:
        """Kill a component if it runs, and wait for its end."""
        pid = self.running(component)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            wait_for(f"the end of {component}", lambda: started(pid) is None, 30)
        (self.folder / f"{component}.pid").unlink(missing_ok=True)

    def must_run(self, *components: str) -> None:
        """Raise ProcessDiedError, with the end of the log, if one of the components has died."""
        for component in components:
            if self.running(component) is None:
                log = self.folder / f"{component}.log"
                end = "\n".join(log.read_text().splitlines()[-5:])
                raise ProcessDiedError(f"{component} of {self.name} died. The end of {log}:\n{end}")

    def components(self) -> list[str]:
        """Return the names of all components that were started."""
        return sorted(path.stem for path in self.folder.glob("*.pid") if path.stem != "init")

    def destroy(self) -> None:
        """Kill every process of the set at once, like a power failure."""
        init = self.init()
        if init is not None:
            os.kill(init, signal.SIGKILL)
            wait_for(f"the end of {self.name}", lambda: started(init) is None, 30)


def name_of(pid: int) -> str:
    """Return the command name of a process, or an empty string if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def spawn(command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> int:
    """Start a process that outlives this one and return its PID."""
    with log.open("a") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    process.returncode = 0  # Marks the process as collected: nobody here waits for it.
    return process.pid
