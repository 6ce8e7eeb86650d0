"""Own scripts: `python -m trainer -- script.py ARGS` runs a plain TensorFlow program as a task of the run.

The script reads TF_CONFIG as TensorFlow does and imports nothing of this project. In a ParameterServer run it runs on
the chief only. A lost peer, a signal, the end and DONE are handled as for a task.
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
    """Run the script; return the last words when it ended well.

    Raises:
        TrainerExit: it could not start, or ended with another code than 0.

    """
    path = context.script[0]
    if not Path(path).is_file():
        raise ConfigError(f"args: got script {path!r}: there is no such file: set args to a script in the image")
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
    """Run the script in this process, as Python runs one; return its exit code."""
    sys.argv = list(script)
    sys.path[0] = str(Path(script[0]).resolve().parent)
    try:
        runpy.run_path(script[0], run_name="__main__")
    except SystemExit as exit_:
        if exit_.code is None:
            return 0
        if isinstance(exit_.code, int):
            return exit_.code
        print(exit_.code, file=sys.stderr)  # noqa: T201 - what Python itself does with a text
        return 1
    return 0


def _wait_for_peers(context: Context) -> None:
    if context.record.strategy in DISTRIBUTED:
        context.set_waiting(True, "waiting for the other tasks")
        # Imported while this task still answers: from then on it takes the script a moment to open the port again.
        import tensorflow  # noqa: F401

        rendezvous.wait_for_peers(context)
        context.set_waiting(False)
