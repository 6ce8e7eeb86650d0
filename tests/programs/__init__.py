"""Programs of users, which import nothing of this project, and the job files that start them."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SMALL = {"resources": {"requests": {"cpu": "50m", "memory": "256Mi"}}}
# A shell that does not replace itself by its last program. Only the leader ends by itself.
SHELL = """
case $TF_CONFIG in *'"type":"'$LEADER'","index":0}'*) echo once >>"$RUN_DIR.trained"; time=$TRAIN ;; *) time=600 ;; esac
sleep "$time"; echo "the end of the script"
"""


def fit() -> dict[str, Any]:
    """Return a job file in which 2 workers train together with Keras 2, which TensorFlow takes from tf_keras."""
    command = ["python", "/code/keras_fit.py"]
    values = {"strategy": "MultiWorkerMirrored", "storage": {"claim": "runs"}, "worker": SMALL | {"replicas": 2}}
    env = [{"name": "TF_USE_LEGACY_KERAS", "value": "1"}]
    return values | {"command": command, "env": env, "code": code("keras_fit"), "tensorboard": {"enabled": False}}


def job(program: str, *, chief: bool = True, seconds: int = 3, **more: Any) -> dict[str, Any]:
    """Return a job file with 2 ps and 2 workers, in which every task runs a program.

    Args:
        program: The name of a file in this folder, or `shell`.
        chief: Whether a chief leads; otherwise worker 0 does.
        seconds: How long the leader of `shell` takes.
        more: More keys.

    """
    values: dict[str, Any] = {
        "strategy": "ParameterServer",
        "storage": {"claim": "runs"},
        "chief": SMALL | ({} if chief else {"replicas": 0}),
        "ps": SMALL | {"replicas": 2},
        "worker": SMALL | {"replicas": 2},
        "tensorboard": {"enabled": False},
    }
    if program == "shell":
        leader = {"name": "LEADER", "value": "chief" if chief else "worker"}
        env = [leader, {"name": "TRAIN", "value": str(seconds)}]
        return values | {"command": ["sh", "-c", SHELL], "env": env} | more
    return values | {"command": ["python", f"/code/{program}.py"], "code": code(program)} | more


def code(program: str) -> dict[str, Any]:
    """Return the block `code` with a program of this folder."""
    return {"files": {f"{program}.py": (HERE / f"{program}.py").read_text(encoding="utf-8")}}


def text(values: dict[str, Any]) -> str:
    """Return a job file as text; JSON is YAML."""
    return json.dumps(values, indent=1)
