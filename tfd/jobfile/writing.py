"""Writes a job file completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path


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
