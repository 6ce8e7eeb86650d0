"""An empty Debian machine with an unprivileged user: a container of buildah on the network of this machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster import images
from devcluster.cli import exclusive

USER = "engineer"
_FOLDER = "\0folder:"
_ROOT = "sudo "


@dataclass
class Machine:
    """A machine on which a reader follows a page, one terminal after another."""

    container: str
    files: Mapping[Path, str]
    """Files and folders of this machine -> their paths there."""
    environment: Mapping[str, str]
    folder: str = f"/home/{USER}"
    """The folder in which the last commands ended."""

    def run(self, commands: str) -> str:
        """Run commands in a new login shell, in the folder of the last one; return their output and errors.

        Commands with `sudo` run as root. All lines of such a block must have it.

        Raises:
            DevclusterError: a command fails; the message has the output.

        """
        as_root = commands.startswith(_ROOT)
        text = "\n".join(line.removeprefix(_ROOT) for line in commands.splitlines()) if as_root else commands
        script = f"exec 2>&1\nset -e\ncd {shlex.quote(self.folder)}\n{text}\nprintf '%b' '\\0folder:'\"$PWD\"\n"
        output, _, folder = self._shell(script, "root" if as_root else USER).rpartition(_FOLDER)
        self.folder = folder.strip()
        return output

    def write(self, path: str, text: str) -> None:
        """Write a file below the folder of the last commands, as an editor does."""
        quoted = shlex.quote(f"{self.folder}/{path}")
        self._shell(f'mkdir -p "$(dirname {quoted})"\nprintf %s {shlex.quote(text)} >{quoted}\n', USER)

    def _shell(self, script: str, user: str) -> str:
        options = [f"--volume={path}:{there}" for path, there in self.files.items()]
        options += [f"--env={name}={value}" for name, value in self.environment.items()]
        home = "/root" if user == "root" else f"/home/{user}"
        options += [f"--user={user}", f"--env=HOME={home}", f"--workingdir={home}"]
        return images.buildah("run", *options, self.container, "--", "bash", "-lc", script)


@contextmanager
def empty_machine(
    files: Mapping[Path, str], environment: Mapping[str, str], hosts: Mapping[str, str]
) -> Iterator[Machine]:
    """Yield a machine with nothing but the required packages of Debian and a user.

    Args:
        files: files and folders of this machine -> their paths there.
        environment: variables of all its processes.
        hosts: names of hosts -> their addresses.

    """
    with exclusive("images"):
        base = images.base_image(packages="")
    options = [f"--add-host={name}:{address}" for name, address in hosts.items()]
    container = images.buildah("from", *options, base).strip()
    try:
        found = Machine(container, files, environment)
        images.buildah("run", container, "--", "useradd", "--create-home", "--shell", "/bin/bash", USER)
        yield found
    finally:
        images.buildah("rm", container)
