"""Custom scripts: `python -m trainer -- script.py ARGS` runs a plain TensorFlow program as a task of the run.

The script reads TF_CONFIG with TensorFlow's cluster resolver and imports nothing from this project. In a
ParameterServer run, only the chief runs the script. The trainer handles a lost peer, SIGTERM and DONE as it does for a
`Task` class.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from trainer.roles import rendezvous
from trainer.roles.context import Context
from trainer.roles.shutdown import finish
from trainer.runtime.config import DISTRIBUTED
from trainer.runtime.errors import ConfigError, TaskFailed
from trainer.runtime.logs import log


def run(context: Context) -> str:
    """Run the script; return the exit message of a successful end.

    Raises:
        ConfigError: The script does not exist.
        TrainerExit: The script exited with a code other than 0, or a peer did not start.

    """
    path = context.script[0]
    if not Path(path).is_file():
        raise ConfigError(
            "args", got=path, expected="an existing script", fix="Set args to the path of a script in the image"
        )
    context.claim(on_lost=lambda error: finish(context, error))
    _wait_for_peers(context)
    if context.status:
        context.status.update(state="running", message=f"running {path}")
    log.info("running %s", " ".join(context.script))
    code = _execute(context.script)
    if code:
        raise TaskFailed(f"{path} exited with {code}", code)
    if context.writes:
        context.write_done()
    return f"{path} is done"


def _execute(script: tuple[str, ...]) -> int:
    """Run the script in this process as `python SCRIPT` does; return its exit code."""
    sys.argv = list(script)
    sys.path[0] = str(Path(script[0]).resolve().parent)
    try:
        runpy.run_path(script[0], run_name="__main__")
    except SystemExit as exit_:
        if exit_.code is None:
            return 0
        if isinstance(exit_.code, int):
            return exit_.code
        print(exit_.code, file=sys.stderr)  # noqa: T201 - Python prints such a text too
        return 1
    return 0


def _wait_for_peers(context: Context) -> None:
    if context.record.strategy in DISTRIBUTED:
        context.set_waiting(True, "waiting for the other tasks")
        # The import takes seconds. It precedes the barrier, so that the script opens its port soon after the barrier.
        import tensorflow  # noqa: F401

        rendezvous.wait_for_peers(context)
        context.set_waiting(False)
