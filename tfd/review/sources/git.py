"""Reads the object store with the git command. No file of a reviewed commit is checked out."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfd.text import refusal

REGULAR_FILES = frozenset(["100644", "100755"])
# A tree that contains itself at several places names billions of files in a kilobyte.
MOST_OUTPUT = 128 * 1024 * 1024
SECONDS = 60
_ENVIRONMENT = {"LC_ALL": "C", "GIT_LITERAL_PATHSPECS": "1", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_ATTR_NOSYSTEM": "1"}
_NOTHING: dict[str, str] = {}


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
        code, output = self._git(
            "rev-parse", "--quiet", "--verify", "--end-of-options", f"{ref}^{{commit}}", codes=(0, 1, 128)
        )
        if code:
            where = f"a commit, branch or tag of {self.folder}"
            raise GitError(refusal(ref or "ref", "an unknown commit", where, "Fetch it or name another."))
        return output.decode().strip()

    def merge(self, base: str, head: str) -> str:
        """Return the tree that results from merging commit `head` into commit `base`.

        Raises:
            GitError: the two conflict or have no common commit.

        """
        code, output = self._git("merge-tree", "--write-tree", "--name-only", "--no-messages", base, head, codes=(0, 1))
        tree, *conflicts = output.decode(errors="backslashreplace").splitlines()
        if code:
            raise GitError(f"The pull request conflicts with its base in {', '.join(conflicts)}. Rebase it.")
        return tree

    def entries(self, tree: str, *folders: str) -> dict[str, Entry]:
        """Return every file below `folders` of a tree or commit, by path; links and submodules count as files."""
        found = {}
        for facts, path in self._listing("ls-tree", "-r", "-l", "-z", "--full-tree", tree, "--", *folders):
            mode, _, blob, size = facts.split()
            found[path] = Entry(path, mode, blob, int(size) if size.isdecimal() else 0)
        return found

    def irregular(self, tree: str) -> dict[str, Entry]:
        """Return the links and submodules of a tree or commit, by path; their size is unknown."""
        found = {}
        for facts, path in self._listing("ls-tree", "-r", "-z", "--full-tree", tree):
            mode, _, blob = facts.split()
            if mode not in REGULAR_FILES:
                found[path] = Entry(path, mode, blob, 0)
        return found

    def changed(self, base: str, merged: str) -> list[str]:
        """Return the paths in which two trees differ."""
        _, listing = self._git("diff-tree", "-r", "-z", "--no-renames", "--name-only", base, merged)
        return sorted(os.fsdecode(name) for name in listing.split(b"\0") if name)

    def deleted(self, commit: str, folder: str) -> Iterator[Entry]:
        """Yield every file below `folder` that a merge into the branch of `commit` deleted, newest first."""
        _, output = self._git(
            "log", "-z", "--first-parent", "--diff-merges=first-parent", "--format=", "--raw", "--no-abbrev",
            "--no-renames", "--diff-filter=D", commit, "--", folder,
        )  # fmt: skip
        fields = [field for field in output.split(b"\0") if field]
        for facts, name in zip(fields[::2], fields[1::2], strict=True):
            mode, _, blob, *_ = facts.decode().removeprefix(":").split()
            yield Entry(os.fsdecode(name), mode, blob, 0)

    def sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        """Return the size of each blob, without its content; a blob that is missing in this clone is left out."""
        _, output = self._git("cat-file", "--batch-check", stdin="\n".join(blobs).encode())
        lines = (line.split() for line in output.decode().splitlines())
        return {words[0]: int(words[2]) for words in lines if words[1:2] == ["blob"]}

    def read(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """Return the content of blobs, with one git process.

        Raises:
            GitError: a blob is missing in this clone.

        """
        wanted = sorted(set(blobs))
        output = io.BytesIO(self._git("cat-file", "--batch", stdin="\n".join(wanted).encode())[1] if wanted else b"")
        found = {}
        for blob in wanted:
            words = output.readline().split()
            if words[1:2] != [b"blob"]:
                raise GitError(refusal(blob, "no such file in this clone", "a complete clone", "Fetch all objects."))
            found[blob] = output.read(int(words[2]))
            output.read(1)
        return found

    def attributes(self, files: Iterable[Entry], paths: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Yield path, name and value of each attribute that the .gitattributes files `files` give to `paths`.

        The value is `set`, `unset` or a text, as `git check-attr` prints it. Macros come with what they stand for.
        """
        with tempfile.TemporaryDirectory(prefix="tfd-review-") as folder:
            # An index with these files only, because check-attr of git before 2.40 reads no tree.
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            lines = (f"{each.mode} {each.blob}\t".encode() + os.fsencode(each.path) + b"\0" for each in files)
            self._git("update-index", "-z", "--index-info", stdin=b"".join(lines), more=index)
            names = b"".join(os.fsencode(path) + b"\0" for path in paths)
            command = ("check-attr", "--cached", "-a", "-z", "--stdin")
            _, output = self._git("-c", f"core.attributesFile={os.devnull}", *command, stdin=names, more=index)
        fields = [os.fsdecode(field) for field in output.split(b"\0")]
        yield from zip(fields[::3], fields[1::3], fields[2::3], strict=False)

    def export(self, commit: str, folder: str, target: Path) -> None:
        """Write a folder of a commit below `target`, byte for byte. Its files are trusted, so it must be merged.

        Raises:
            GitError: the folder contains something other than plain files.

        """
        entries = self.entries(commit, folder)
        for entry in entries.values():
            if entry.mode not in REGULAR_FILES or {"", ".", ".."} & set(entry.path.split("/")):
                raise GitError(refusal(entry.path, f"git mode {entry.mode}", "a plain file", "Replace it with a file."))
        contents = self.read(entry.blob for entry in entries.values())
        for entry in entries.values():
            path = target / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[entry.blob])

    def _listing(self, *arguments: str) -> Iterator[tuple[str, str]]:
        """Yield what stands before the tab and the path of each line of a listing."""
        for line in filter(None, self._git(*arguments)[1].split(b"\0")):
            facts, _, name = line.partition(b"\t")
            yield facts.decode(), os.fsdecode(name)

    def _git(
        self, *arguments: str, codes: tuple[int, ...] = (0,), stdin: bytes = b"", more: dict[str, str] = _NOTHING
    ) -> tuple[int, bytes]:
        """Return the exit code and the output of a git command.

        Raises:
            GitError: another exit code, a longer output than MOST_OUTPUT, or more time than SECONDS.

        """
        command = ["git", "-C", str(self.folder), *arguments]
        name = next(word for word in arguments if re.fullmatch(r"[a-z]+(-[a-z]+)*", word))
        environment = os.environ | _ENVIRONMENT | more
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
            source.write(stdin)
            source.seek(0)
            with subprocess.Popen(
                command, stdin=source, stdout=subprocess.PIPE, stderr=errors, env=environment
            ) as process:
                timer = threading.Timer(SECONDS, process.kill)
                timer.start()
                output = process.stdout.read(MOST_OUTPUT + 1)  # type: ignore[union-attr]
                if len(output) > MOST_OUTPUT:
                    process.kill()
                code = process.wait()
                timer.cancel()
            errors.seek(0)
            error = errors.read(10_000).decode(errors="backslashreplace").strip()
        if len(output) > MOST_OUTPUT or code < 0:
            most = f"at most {MOST_OUTPUT:,} bytes in {SECONDS} s"
            raise GitError(refusal(f"git {name}", "a longer output", most, "Remove files from the repository."))
        if code not in codes:
            raise GitError(f"git {name}: {re.sub(r'^fatal: ', '', error)}")
        return code, output
