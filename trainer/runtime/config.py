"""The trainer's configuration: the run record (what is trained) and the environment (where it runs).

Both are checked completely before TensorFlow is imported. A wrong value ends the process with 2 and a message that
names the key, the value seen, the rule and what to set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trainer.runtime.errors import ConfigError
from trainer.runtime.types import Json

STRATEGIES: Final = ("OneDevice", "Mirrored", "MultiWorkerMirrored", "ParameterServer")
DISTRIBUTED: Final = ("MultiWorkerMirrored", "ParameterServer")
"""The strategies of several tasks."""
PRECISIONS: Final = ("float32", "mixed_bfloat16", "mixed_float16")
LOG_FORMATS: Final = ("text", "json")
_MODES: Final = ("max", "min")
_MAX_PROFILE_STEPS: Final = 1000
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """When the evaluator ends the run before its last step."""

    metric: str
    """Name of one of the task's metrics, or `loss`, on the held-out data."""
    mode: str = "max"
    """`max`: more is better, `min`: less is."""
    patience: int = 1
    """How many evaluations in a row may bring nothing better; the run ends with this one."""
    min_delta: float = 0.0
    """What is better by no more than this is not better."""

    def better(self, value: float, than: float | None) -> bool:
        """Say whether `value` is better than what was best so far (None: nothing yet). Not a number never is."""
        if not math.isfinite(value):
            return False
        if than is None:
            return True
        return value > than + self.min_delta if self.mode == "max" else value < than - self.min_delta


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerConfig:
    """The `trainer` block of a job file."""

    task: str = "digits"
    """Name of a task that is built in, or `package.module:Class`."""
    steps: int = 1000
    """Steps to train in all."""
    batch_size: int = 64
    """Examples per step over all replicas."""
    seed: int = 0
    """Start of every random sequence."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    keep_checkpoints: int = 3
    """Checkpoints kept; older ones are deleted."""
    summary_every: int = 50
    """Steps between TensorBoard points."""
    precision: str = "float32"
    """One of `PRECISIONS`: a Keras dtype policy."""
    jit_compile: bool = False
    """Compile forward and backward pass with XLA."""
    hyperparameters: Mapping[str, Scalar] = field(default_factory=dict)
    """Passed to the task, over its own defaults."""
    early_stopping: EarlyStopping | None = None
    """None: the run goes on to its last step."""
    profile_steps: int = 0
    """Steps to profile for TensorBoard, once per run. 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The run record: what is trained. It never changes while the run lives."""

    run: str
    """Name of the run."""
    hash: str
    """Hash of the identity; another one in the same run directory is refused."""
    strategy: str
    """One of `STRATEGIES`."""
    trainer: TrainerConfig
    """What to train."""
    evaluators: int = 0
    """How many evaluator tasks the run has (0 or 1)."""
    warm_start_from: str | None = None
    """Name of another run in the same storage whose weights and optimizer state this one starts from."""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The whole record as it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEnv:
    """The environment: where this task runs and how long it waits. Times are seconds."""

    run_dir: str
    """RUN_DIR: the run directory, local or a URL such as gs://bucket/x/run."""
    data_dir: str | None = None
    """DATA_DIR: the user's data, None when the run has none."""
    start_timeout: int = 1800
    """TRAINER_START_TIMEOUT: how long all tasks may take to appear."""
    orphan_timeout: int = 1800
    """TRAINER_ORPHAN_TIMEOUT: how long a task lives without its chief."""
    grace_period: int = 60
    """TRAINER_GRACE_PERIOD: time between the signal to stop and the kill."""
    max_in_place_restarts: int = 3
    """TRAINER_MAX_IN_PLACE_RESTARTS: lost peers in a row that this process gets over without a new container."""
    termination_log: str | None = None
    """TRAINER_TERMINATION_LOG: file for the one-line result."""
    logical_cpus: int = 0
    """TRAINER_LOGICAL_CPUS: split the CPU into so many devices, to try Mirrored without GPUs. 0: don't."""
    gpus: int = 0
    """TRAINER_GPUS: GPUs that this task was given; it must see as many."""
    gpus_optional: bool = False
    """TRAINER_GPUS_OPTIONAL=1: a machine without GPUs will do, with a warning. Set by `tfd run`."""


def load_runtime_env(env: Mapping[str, str]) -> RuntimeEnv:
    """Return the settings in `env`.

    Raises:
        ConfigError: RUN_DIR is missing, or a number is none.

    """
    run_dir = env.get("RUN_DIR", "").rstrip("/")
    if not run_dir:
        raise ConfigError(
            "RUN_DIR: not set: must be the run's directory: set it to a local path or gs://bucket/path/run"
        )
    return RuntimeEnv(
        run_dir=run_dir,
        data_dir=env.get("DATA_DIR") or None,
        start_timeout=_whole_number(env, "TRAINER_START_TIMEOUT", 1800, least=1),
        orphan_timeout=_whole_number(env, "TRAINER_ORPHAN_TIMEOUT", 1800, least=1),
        grace_period=_whole_number(env, "TRAINER_GRACE_PERIOD", 60, least=1),
        max_in_place_restarts=_whole_number(env, "TRAINER_MAX_IN_PLACE_RESTARTS", 3, least=0),
        termination_log=env.get("TRAINER_TERMINATION_LOG") or None,
        logical_cpus=_whole_number(env, "TRAINER_LOGICAL_CPUS", 0, least=0),
        gpus=_whole_number(env, "TRAINER_GPUS", 0, least=0),
        gpus_optional=env.get("TRAINER_GPUS_OPTIONAL") == "1",
    )


def load_log_format(env: Mapping[str, str], given: str | None = None) -> str:
    """Return how log lines are written: as `given` on the command line, else as TRAINER_LOG_FORMAT says.

    Raises:
        ConfigError: it is not one of `LOG_FORMATS`.

    """
    name, value = ("--log-format", given) if given else ("TRAINER_LOG_FORMAT", env.get("TRAINER_LOG_FORMAT") or "text")
    return _one_of(value, name, LOG_FORMATS)


def _whole_number(env: Mapping[str, str], key: str, default: int, *, least: int) -> int:
    text = env.get(key) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(
            f"{key}: got {text!r}: must be a whole number, {least} or more: set for example {key}={default}"
        )
    return int(text)


def load_record(env: Mapping[str, str]) -> RunRecord:
    """Return the run record in the file that TRAINER_RECORD names.

    Raises:
        ConfigError: there is no such file, or a value in it breaks a rule.

    """
    path = env.get("TRAINER_RECORD", "")
    if not path:
        raise ConfigError("TRAINER_RECORD: not set: must be the run record's path: set it to the run.json of the chart")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"TRAINER_RECORD: got {path!r}: can't be read ({error.strerror}): set an existing file"
        ) from error
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"TRAINER_RECORD: got {path!r}: not JSON ({error}): set the run.json of the chart") from error
    return parse_record(raw)


def parse_record(raw: Json) -> RunRecord:
    """Return the record that the decoded JSON `raw` holds.

    Raises:
        ConfigError: a key is missing, or a value breaks a rule.

    """
    identity = raw.get("identity") if isinstance(raw, dict) else None
    if not isinstance(identity, dict):
        raise ConfigError("run.json: identity: missing: must hold what is trained: use the run.json of the chart")
    strategy = _one_of(identity.get("strategy"), "strategy", STRATEGIES)
    replicas = identity.get("replicas") or {}
    return RunRecord(
        run=_text(raw.get("run"), "run"),
        hash=_text(raw.get("hash"), "hash"),
        strategy=strategy,
        trainer=_trainer_settings(identity.get("trainer") or {}),
        evaluators=_count(replicas.get("evaluator", 0), "evaluator.replicas", least=0),
        warm_start_from=identity.get("warmStartFrom") or None,
        raw=raw,
    )


def _trainer_settings(block: Json) -> TrainerConfig:
    if not isinstance(block, dict):
        raise ConfigError(f"trainer: got {block!r}: must be a block of settings: set for example trainer.task")
    default = TrainerConfig()
    return TrainerConfig(
        task=_text(block.get("task", default.task), "trainer.task"),
        steps=_count(block.get("steps", default.steps), "trainer.steps"),
        batch_size=_count(block.get("batchSize", default.batch_size), "trainer.batchSize"),
        seed=_count(block.get("seed", default.seed), "trainer.seed", least=0),
        checkpoint_every=_count(block.get("checkpointEvery", default.checkpoint_every), "trainer.checkpointEvery"),
        keep_checkpoints=_count(block.get("keepCheckpoints", default.keep_checkpoints), "trainer.keepCheckpoints"),
        summary_every=_count(block.get("summaryEvery", default.summary_every), "trainer.summaryEvery"),
        precision=_one_of(block.get("precision", default.precision), "trainer.precision", PRECISIONS),
        jit_compile=_flag(block.get("jitCompile", default.jit_compile), "trainer.jitCompile"),
        hyperparameters=_scalars(block.get("hyperparameters") or {}, "trainer.hyperparameters"),
        early_stopping=_early_stopping(block.get("earlyStopping"), "trainer.earlyStopping"),
        profile_steps=_count(
            block.get("profileSteps", default.profile_steps), "trainer.profileSteps", least=0, most=_MAX_PROFILE_STEPS
        ),
    )


def _early_stopping(value: Json, key: str) -> EarlyStopping | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: got {value!r}: must be a block of settings: set for example {key}.metric")
    delta = value.get("minDelta", 0.0)
    if isinstance(delta, bool) or not isinstance(delta, int | float) or not 0 <= delta < math.inf:
        raise ConfigError(f"{key}.minDelta: got {delta!r}: must be a number, 0 or more: set {key}.minDelta")
    return EarlyStopping(
        metric=_text(value.get("metric"), f"{key}.metric"),
        mode=_one_of(value.get("mode", "max"), f"{key}.mode", _MODES),
        patience=_count(value.get("patience", 1), f"{key}.patience"),
        min_delta=float(delta),
    )


def _text(value: Json, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{key}: got {value!r}: must be a text that is not empty: set {key}")
    return value


def _one_of(value: Json, key: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ConfigError(f"{key}: got {value!r}: must be one of {', '.join(choices)}: set {key} to one of them")
    return str(value)


def _count(value: Json, key: str, *, least: int = 1, most: float = math.inf) -> int:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
    if not whole or not least <= value <= most:
        rule = f"{least} or more" if most == math.inf else f"{least} to {most}"
        raise ConfigError(f"{key}: got {value!r}: must be a whole number, {rule}: set {key} to one")
    return int(value)


def _flag(value: Json, key: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{key}: got {value!r}: must be true or false: set {key} to one of them")
    return value


def _scalars(value: Json, key: str) -> dict[str, Scalar]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: got {value!r}: must map names to values: set for example {key}.learning_rate")
    for name, scalar in value.items():
        if not isinstance(scalar, str | int | float | bool):
            raise ConfigError(
                f"{key}.{name}: got {scalar!r}: must be a number, a text, true or false: set {key}.{name}"
            )
    return dict(value)
