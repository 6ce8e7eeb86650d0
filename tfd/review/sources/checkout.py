"""Finds what makes a checkout differ from the files of a commit, or stops it.

The review reads the files of a commit. Argo CD reads a checkout of it, in which git attributes may change any byte.
Below jobs/, workbenches/, charts/ and schema/, only plain files are allowed, with the same content in the commit and
in the checkout.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tfd import kinds
from tfd.review.sources.git import REGULAR_FILES, Entry, Repository

FOLDERS = (*kinds.FOLDERS, "charts", "schema")
_LINK, _SUBMODULE = "120000", "160000"
# The only link: the chart package needs the real file, and editors expect it in schema/.
_LINKS = {"schema/job.schema.json": b"../charts/tf-distributed/values.schema.json"}
_ATTRIBUTES = ".gitattributes"
_TOP = (_ATTRIBUTES, ".gitmodules")
# Git ignores longer lines and larger files; versions before 2.39.1 do not.
_LONGEST_LINE, _MOST_BYTES = 2047, 64 * 1024
_LONGEST_TARGET = 4096
# Attributes that change neither a checkout nor a merge, and of the others the values that change nothing on Linux.
_HARMLESS = re.compile(
    r"(diff|delta|encoding|whitespace|conflict-marker-size|(linguist|gitlab|gitea)-[a-z-]+)=.*"
    r"|(merge|text|binary)=(set|unset)|merge=(text|binary)|text=auto|crlf=unset|eol=lf"
    r"|(ident|filter|export-ignore|export-subst)=unset",
    re.DOTALL,
)


@dataclass(frozen=True, order=True)
class Obstacle:
    """A path whose checkout differs from the commit, or which stops the checkout."""

    path: str
    why: str
    """A message, with `{}` for `value`."""
    value: str = ""
    """What the author of the pull request wrote."""

    @property
    def in_jobs(self) -> bool:
        """Whether a job file may differ from what the review reads."""
        return self.path.split("/", 1)[0] in (*kinds.FOLDERS, _ATTRIBUTES)


def obstacles(repository: Repository, tree: str) -> list[Obstacle]:
    """Return the obstacles of a tree or commit."""
    irregular = repository.irregular(tree)
    listed = repository.entries(tree, *FOLDERS, *_TOP)
    top = {path: entry for path, entry in listed.items() if path in _TOP}
    below = {path: entry for path, entry in listed.items() if path not in _TOP}
    return [
        *_submodules(irregular.values(), top),
        *_links(repository, irregular),
        *_names(below),
        *_attributes(repository, top, below),
    ]


def _submodules(irregular: Iterable[Entry], top: Iterable[str]) -> Iterator[Obstacle]:
    found = {entry.path for entry in irregular if entry.mode == _SUBMODULE} | {".gitmodules"}.intersection(top)
    for path in sorted(found):
        yield Obstacle(
            path,
            "got a submodule; expected files only. Argo CD fetches the submodules of every checkout, and one that "
            "it cannot fetch stops all teams. Remove it.",
        )


def _links(repository: Repository, irregular: Mapping[str, Entry]) -> Iterator[Obstacle]:
    links = [entry for entry in irregular.values() if entry.mode == _LINK]
    sizes = repository.sizes(entry.blob for entry in links) if links else {}
    targets = repository.read(blob for blob, size in sizes.items() if size <= _LONGEST_TARGET)
    for entry in links:
        target = targets.get(entry.blob)
        if entry.path.split("/", 1)[0] in FOLDERS:
            if target is None or _LINKS.get(entry.path) != target:
                got = "got a symbolic link; expected a plain file. Replace the link with its content."
                yield Obstacle(entry.path, got)
        elif target is None or _leaves(entry.path, os.fsdecode(target)):
            yield Obstacle(
                entry.path,
                "got a symbolic link out of the repository; expected a link inside it. Argo CD renders no run from a "
                "commit with such a link. Remove it.",
            )


def _leaves(path: str, target: str) -> bool:
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return whole.startswith("/") or whole.split("/", 1)[0] == ".."


def _names(below: Iterable[str]) -> Iterator[Obstacle]:
    """Yield the names that a checkout, Helm or Argo CD treats in a special way."""
    folded: dict[str, str] = {}
    for path in sorted(below, key=str.swapcase):  # lower case first
        parts = path.split("/")
        if not path.isprintable() or not unicodedata.is_normalized("NFC", path) or {".", "..", ".git"} & set(parts):
            yield Obstacle(path, "got this path; expected letters that every system shows and keeps. Rename the file.")
        wholes = ("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        if any(folded.setdefault(whole.casefold(), whole) != whole for whole in wholes):
            got = "got a path that equals another one but for upper and lower case; expected one of them. Rename it."
            yield Obstacle(path, got)
        if parts[0] in kinds.FOLDERS and any(part.endswith(".yaml") for part in parts[:-1]):
            got = "got a folder with the name of a job file, with which the newer globbing of Argo CD stops the team; "
            yield Obstacle(path, f"{got}expected a file. Rename the folder.")
        name = parts[-1].casefold()
        if name.startswith(".argocd"):
            yield Obstacle(path, "got a file that Argo CD lays over an Application; expected none. Remove it.")
        if re.fullmatch(r"kustomization(\.ya?ml)?", name):
            got = "got a file that makes Argo CD use Kustomize; expected files of a Helm chart. Remove it."
            yield Obstacle(path, got)


def _attributes(repository: Repository, top: Mapping[str, Entry], below: Mapping[str, Entry]) -> Iterator[Obstacle]:
    """Yield the attributes that change a file, and the attribute files whose meaning depends on the version of git."""
    files = [
        entry
        for entry in (*top.values(), *below.values())
        if posixpath.basename(entry.path).casefold() == _ATTRIBUTES
    ]  # fmt: skip
    plain = [entry for entry in files if entry.mode in REGULAR_FILES and entry.size <= _MOST_BYTES]
    contents = repository.read(entry.blob for entry in plain)
    for entry in files:
        if entry.path.split("/", 1)[0] in kinds.FOLDERS:
            yield Obstacle(entry.path, "got git attributes for job files; expected none. Remove the file.")
        lines = contents.get(entry.blob, b" " * _MOST_BYTES).splitlines()
        if max(map(len, lines), default=0) > _LONGEST_LINE:
            yield Obstacle(
                entry.path,
                f"got a link or a long line; expected a plain file with lines of at most {_LONGEST_LINE:,} bytes. "
                "Shorten the lines.",
            )
    for path, name, value in repository.attributes(plain, below) if plain else ():
        if not _HARMLESS.fullmatch(f"{name}={value}"):
            yield Obstacle(
                path,
                "got the git attribute {}; expected none that changes the file in a checkout. "
                "Remove it from .gitattributes.",
                f"{name}={value}",
            )
