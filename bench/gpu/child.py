"""One case in a process of its own: `python -m bench.gpu.child CASE RESULT`, or `devices RESULT`.

A case that runs out of memory or crashes ends only its own process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from trainer.runtime import threads
from trainer.runtime.errors import TrainerExit

STARTED: Final = "GPU_CHECK_STARTED"
"""The variable with the Unix time at which the parent started this process."""
_PASSES: Final = 3
"""Forward passes that take as long as a training step: the backward pass counts twice."""


def devices() -> dict[str, Any]:
    """Return the GPUs that TensorFlow finds, and what it was built for."""
    import tensorflow as tf

    found = [tf.config.experimental.get_device_details(each) for each in tf.config.list_physical_devices("GPU")]
    built = tf.sysconfig.get_build_info()
    return {
        "tensorflow": tf.__version__,
        "isBuiltWithCuda": tf.test.is_built_with_cuda(),
        "cuda": built.get("cuda_version"),
        "cudnn": built.get("cudnn_version"),
        "gpus": [
            {"name": each.get("device_name", "unknown"), "computeCapability": list(each.get("compute_capability", ()))}
            for each in found
        ],
    }


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Train `case` for some seconds; return its times, memory and operations."""
    import keras
    import tensorflow as tf

    from bench.gpu import images, loops
    from trainer.check import counts
    from trainer.engine import strategy as strategies
    from trainer.runtime.config import TrainerConfig
    from trainer.task import load

    start = time.time()
    if case["data_dir"]:
        images.write(Path(case["data_dir"]), case["images"])
    writing = time.time() - start
    settings = TrainerConfig(
        task=case["task"],
        batch_size=case["batch"],
        precision=case["precision"],
        jit_compile=case["xla"],
        hyperparameters=case["hyperparameters"],
        steps=1_000_000,  # The learning rate falls until then.
    )
    if case["strategy"] == "Mirrored" and not tf.config.list_physical_devices("GPU"):
        strategy = strategies.mirrored_cpus(2)
    else:
        strategy = strategies.make(case["strategy"])
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    task = load(settings.task, settings.hyperparameters, settings)
    loop = loops.LOOPS[case["side"]](task, strategy, settings, case["data_dir"])
    built = time.time() - float(os.environ[STARTED]) - writing
    times = loops.timed(loop, case["seconds"])
    peak, of = counts.peak_memory()
    with tf.device("/cpu:0"):  # A second model must not take the memory of a GPU that is full.
        model = task.model()
    spec = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    adds = counts.or_none(lambda: counts.multiply_adds(model, spec))
    return {
        **times,
        "examplesPerSecond": case["batch"] / times["secondsPerStep"],
        "startToFirstStepSeconds": built + times["firstStepSeconds"],
        "peakMemoryBytes": peak,
        "peakMemoryOf": of,
        "replicas": strategy.num_replicas_in_sync,
        "flopsPerExample": None if adds is None else 2 * _PASSES * adds,
    }


def program(case: dict[str, Any], gpus: int, folder: Path) -> dict[str, Any]:
    """Run `python -m trainer` from its first step to DONE, with checkpoints, evaluation and export.

    Raises:
        RuntimeError: It ended with another exit code than 0.

    """
    trainer = {
        "task": case["task"],
        "steps": 600,
        "batchSize": case["batch"],
        "precision": case["precision"],
        "jitCompile": case["xla"],
    }
    replicas = {"chief": 1, "ps": 0, "worker": 0, "evaluator": 0}
    identity = {"strategy": case["strategy"], "trainer": trainer, "replicas": replicas}
    record = {"run": "gpu-check", "hash": "sha256:0", "identity": identity}
    (folder / "record.json").write_text(json.dumps(record))
    variables = {
        "TRAINER_RECORD": str(folder / "record.json"),
        "RUN_DIR": str(folder / "run"),
        "TRAINER_GPUS": str(gpus),
    }
    done = subprocess.run(
        [sys.executable, "-m", "trainer"], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-2000:]}")
    marker = json.loads((folder / "run" / "DONE").read_text())
    status = json.loads((folder / "run" / "status.json").read_text())
    return {"metrics": marker["metrics"], "startup": status["startup"]}


def main(what: str, result: Path) -> int:
    """Write the result of a case, or its error, to the file `result`; return the exit code."""
    threads.environment()
    try:
        if what == "devices":
            found = devices()
        elif (case := json.loads(what))["side"] == "program":
            found = program(case, case["gpus"], result.parent)
        else:
            found = measure(case)
    except Exception as error:
        text = str(error) if isinstance(error, TrainerExit) else f"{type(error).__name__}: {error}"
        result.write_text(json.dumps({"error": text}))
        return 1
    result.write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.flush()
    os._exit(code)  # Deleting a strategy takes seconds.
