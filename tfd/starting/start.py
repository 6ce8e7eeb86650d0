"""Writes the files of a new repository, and makes the folder a git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tfd.starting.files import StartError
from tfd.text import refusal

BRANCH = "main"
# A hook of git sets these, and `git init` would then change that repository in place of the folder.
_OTHER_REPOSITORY = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY")


def target(folder: str) -> Path:
    """Return FOLDER as a path.

    Raises:
        StartError: the text is empty, such as that of an unset variable. As a path, it would be the current folder.

    """
    if not folder:
        raise StartError(refusal("FOLDER", "nothing", "a folder", "Name a folder, or . for the current one."))
    return Path(folder)


def refuse_existing(folder: Path, names: Mapping[str, str]) -> None:
    """Raise `StartError` if the folder has one of the files, or something else in place of a file or a folder."""
    try:
        for name in names:
            for path in (folder / name, *(folder / parent for parent in Path(name).parents)):
                kind = _kind(path)
                if kind and (kind != "folder" or path == folder / name):
                    fix = f"Choose an empty folder, or move the {kind} away."
                    raise StartError(refusal(str(path), f"an existing {kind}", "none", fix))
    except OSError as error:
        raise _not_writable(folder, error) from None


def _kind(path: Path) -> str:
    """Return what exists at the path; nothing is an empty text."""
    if path.is_symlink():
        return "link"
    return "folder" if path.is_dir() else "file" if path.exists() else ""


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files and initialize git, unless the folder is the root of a git repository already: all or nothing.

    Raises:
        StartError: a file exists, or the folder cannot be written; or git fails.

    """
    refuse_existing(folder, files)
    created: list[Path] = []
    try:
        for name, text in files.items():
            _write(folder / name, text, created)
        if not (folder / ".git").exists():
            _init(folder)
    except BaseException as error:
        for path in reversed(created):
            # What another program wrote to a new folder stays, and only the first error is reported.
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        if isinstance(error, OSError):
            raise _not_writable(folder, error) from None
        raise


def _write(path: Path, text: str, created: list[Path]) -> None:
    """Write a new file, and add it and its new folders to `created`."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir()
            created.append(parent)
    with path.open("x", encoding="utf-8") as file:
        created.append(path)
        file.write(text)
    if text.startswith("#!"):
        mode = path.stat().st_mode
        path.chmod(mode | (mode & 0o444) >> 2)  # users whom the umask lets read it may run it


def _init(folder: Path) -> None:
    # Without --, a folder such as -q is an option, and the current folder becomes the repository.
    command = ["git", "init", "--quiet", "--initial-branch", BRANCH, "--", str(folder)]
    environment = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
        if done.returncode != 0:
            raise StartError(f"git init: {os.fsdecode(done.stderr).strip()}")
    except OSError:
        fix = "Install git, then run tfd init again."
        raise StartError(refusal("git", "no program", "git 2.38 or newer on the PATH", fix)) from None
    except BaseException:
        shutil.rmtree(folder / ".git", ignore_errors=True)
        raise


def _not_writable(folder: Path, error: OSError) -> StartError:
    return StartError(
        refusal(str(folder), error.strerror or "an error", "a folder to write to", "Choose another folder.")
    )
