"""The run that a user names: RUN, TEAM/RUN or the path of its job file."""

from __future__ import annotations

from pathlib import Path

from tfd.jobfile.schema import run_name_error


def parse(text: str, namespace: str | None) -> tuple[str | None, str]:
    """Return namespace and run. A team in `text` is the namespace, unless `namespace` names another one.

    Raises:
        ValueError: `text` can't be a run's name.

    """
    path = Path(text)
    run = path.stem if path.suffix in (".yaml", ".yml") else path.name
    if refusal := run_name_error(run):
        raise ValueError(f"{text}: {refusal}")
    return namespace or path.parent.name or None, run
