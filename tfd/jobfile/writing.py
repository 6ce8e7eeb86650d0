"""Checks the text of a job file before it is written, and writes it completely or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tfd.jobfile.jobfile import JobFile, Problem


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
        FileExistsError: the file exists, and `replace` is not set; nothing is written.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
