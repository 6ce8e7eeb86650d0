"""Writes the files of a new repository, and makes the folder a git repository."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tfd.starting.files import StartError
from tfd.text import refusal

BRANCH = "main"


def refuse_existing(folder: Path, names: Mapping[str, str]) -> None:
    """Raise `StartError` if the folder has one of the files, or a file in place of a folder."""
    for name in names:
        for path in (folder / name, *(folder / parent for parent in Path(name).parents)):
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                fix = "Choose an empty folder, or move the file away."
                raise StartError(refusal(str(path), "an existing file", "none", fix))


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files and initialize git, unless the folder is the root of a git repository already.

    Raises:
        StartError: a file exists, or the folder cannot be written; or git fails.

    """
    refuse_existing(folder, files)
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if text.startswith("#!"):
                path.chmod(0o755)
    except OSError as error:
        fix = "Choose another folder."
        raise StartError(refusal(str(folder), error.strerror or "an error", "a folder to write to", fix)) from None
    if not (folder / ".git").exists():
        _init(folder)


def _init(folder: Path) -> None:
    command = ["git", "init", "--quiet", "--initial-branch", BRANCH, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        fix = f"Install git, then run `git init --initial-branch {BRANCH}` in {folder}."
        raise StartError(refusal("git", "no program", "git 2.38 or newer on the PATH", fix)) from None
    if done.returncode != 0:
        raise StartError(f"git init: {done.stderr.strip()}")
