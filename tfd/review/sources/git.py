"""Reads the object store with the git command. No file of a reviewed commit is checked out."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfd.text import refusal

REGULAR_FILES = frozenset(["100644", "100755"])


class GitError(Exception):
    """Git cannot provide what the review needs; the message names the fix."""


@dataclass(frozen=True)
class Entry:
    """A file of a tree, without its content."""

    path: str
    mode: str
    blob: str
    size: int


@dataclass(frozen=True)
class Repository:
    """A git repository, bare or not."""

    folder: Path

    def commit(self, ref: str) -> str:
        """Return the full id of the commit that `ref` names.

        Raises:
            GitError: no such commit exists.

        """
        done = self._git("rev-parse", "--quiet", "--verify", "--end-of-options", f"{ref}^{{commit}}", codes=(0, 1, 128))
        if done.returncode:
            where = f"a commit, branch or tag of {self.folder}"
            raise GitError(refusal(ref or "ref", "an unknown commit", where, "Fetch it or name another."))
        return done.stdout.decode().strip()

    def merge(self, base: str, head: str) -> str:
        """Return the tree that results from merging commit `head` into commit `base`.

        Raises:
            GitError: the two conflict or have no common commit.

        """
        done = self._git("merge-tree", "--write-tree", "--name-only", "--no-messages", base, head, codes=(0, 1))
        tree, *conflicts = done.stdout.decode(errors="backslashreplace").splitlines()
        if done.returncode:
            raise GitError(f"The pull request conflicts with its base in {', '.join(conflicts)}. Rebase it.")
        return tree

    def entries(self, tree: str, folder: str) -> dict[str, Entry]:
        """Return every file below `folder` of a tree or commit, by path."""
        listing = self._git("ls-tree", "-r", "-l", "-z", "--full-tree", tree, "--", folder).stdout
        found = {}
        for line in filter(None, listing.split(b"\0")):
            facts, _, name = line.partition(b"\t")
            mode, _, blob, size = facts.decode().split()
            path = os.fsdecode(name)
            found[path] = Entry(path, mode, blob, int(size) if size.isdecimal() else 0)
        return found

    def changed(self, base: str, merged: str) -> list[str]:
        """Return the paths in which two trees differ."""
        listing = self._git("diff-tree", "-r", "-z", "--no-renames", "--name-only", base, merged).stdout
        return sorted(os.fsdecode(name) for name in listing.split(b"\0") if name)

    def deleted(self, commit: str, folder: str) -> Iterator[tuple[str, str]]:
        """Yield path and blob of every file below `folder` that the history of `commit` deleted, newest first."""
        done = self._git(
            "log", "-z", "--format=", "--raw", "--no-abbrev", "--no-renames", "--diff-filter=D", commit, "--", folder
        )  # fmt: skip
        fields = [field for field in done.stdout.split(b"\0") if field]
        for facts, name in zip(fields[::2], fields[1::2], strict=True):
            yield os.fsdecode(name), facts.decode().split()[2]

    def read(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """Return the content of blobs, with one git process."""
        wanted = sorted(set(blobs))
        output = io.BytesIO(self._git("cat-file", "--batch", stdin="\n".join(wanted).encode()).stdout)
        found = {}
        for blob in wanted:
            size = int(output.readline().split()[2])
            found[blob] = output.read(size)
            output.read(1)
        return found

    def export(self, commit: str, paths: Iterable[str], target: Path) -> None:
        """Write folders of a commit below `target`. The commit must be merged, because its files are trusted."""
        archive = self._git("archive", "--format=tar", commit, "--", *paths).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            opened.extractall(target, filter="data")

    def _git(
        self, *arguments: str, codes: tuple[int, ...] = (0,), stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "-C", str(self.folder), *arguments]
        environment = os.environ | {"LC_ALL": "C", "GIT_LITERAL_PATHSPECS": "1"}
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, env=environment)
        if done.returncode not in codes:
            error = done.stderr.decode(errors="backslashreplace").strip()
            raise GitError(f"git {arguments[0]}: {re.sub(r'^fatal: ', '', error)}")
        return done
