"""Checks the text of a job file before it is written, and writes it completely or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tfd.jobfile.jobfile import JobFile, Problem
from tfd.text import refusal


class WriteError(Exception):
    """A file cannot be written; the message names the reason and the fix."""


def problems(path: Path, text: str) -> list[Problem]:
    """Return what `tfd check` would report about a job file with this content; their paths are those of a draft.

    Args:
        path: where the file will be, relative to the repository: its folder is the team, its name is the run.
        text: its content.

    Raises:
        HelmError: Helm is missing.

    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        return JobFile(draft).problems()


def write(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a job file; its folder is created.

    Args:
        path: the file.
        text: its content.
        replace: replace an existing file.

    Raises:
        WriteError: the file exists, and `replace` is not set, or it cannot be written; nothing is written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text, replace=replace)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            message = refusal(str(path), "an existing file", "a new run", "Choose another name.")
        else:
            fix = "Correct the folder or its rights."
            message = refusal(str(path), error.strerror or "an error", "a file to write", fix)
        raise WriteError(message) from None


def _write(path: Path, text: str, *, replace: bool) -> None:
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
