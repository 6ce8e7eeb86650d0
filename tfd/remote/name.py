"""The run that a user names: RUN, TEAM/RUN or the path of its job file."""

from __future__ import annotations

from pathlib import Path

from tfd.jobfile.schema import run_name_error


class RunNameError(Exception):
    """The text is not the name of a run; the message names the rule."""


def parse(text: str, namespace: str | None) -> tuple[str | None, str]:
    """Return namespace and run. The team in `text` is the namespace, unless `namespace` names another one.

    Raises:
        RunNameError: `text` is not the name of a run.

    """
    path = Path(text)
    run = path.stem if path.suffix in (".yaml", ".yml") else path.name
    if refusal := run_name_error(run):
        raise RunNameError(f"{text}: {refusal}")
    return namespace or path.parent.name or None, run
