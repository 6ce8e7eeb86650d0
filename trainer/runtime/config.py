"""The configuration of the trainer: the run record (what to train) and the environment (where to train it).

The trainer checks both completely before it imports TensorFlow. An invalid value ends the process with BAD_CONFIG and a
message that names the key, the value, the rule and the fix. A new `trainer.*` key is one field of `TrainerConfig`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from trainer.runtime.errors import NOTHING, ConfigError, Words, one_of
from trainer.runtime.types import Json

STRATEGIES: Final = ("OneDevice", "Mirrored", "MultiWorkerMirrored", "ParameterServer")
DISTRIBUTED: Final = ("MultiWorkerMirrored", "ParameterServer")
"""The strategies with several tasks."""
PRECISIONS: Final = ("float32", "mixed_bfloat16", "mixed_float16")
LOG_FORMATS: Final = ("text", "json")
Scalar = str | int | float | bool
_Block = TypeVar("_Block")
_MAX_STEPS: Final = 10**12
_MAX_SEED: Final = 2**32 - 1
_MAX_OF_VARIABLES: Final = 10**9
_INTEGERS_BELOW: Final = 2**63


def _setting(default: Any, **rule: Any) -> Any:  # noqa: ANN401, RUF100 - as dataclasses.field
    """Return a dataclass field with a `default` and the `rule` (least, most, choices) that `_read` checks."""
    return field(default=default, metadata=rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """The rule by which the evaluator ends the run before its last step."""

    metric: str
    """Name of one of the task's metrics, or `loss`, on the evaluation data."""
    mode: str = _setting("max", choices=("max", "min"))
    """Whether higher (`max`) or lower (`min`) values are better."""
    patience: int = _setting(1, least=1, most=10_000)
    """Number of consecutive evaluations without an improvement after which the run ends."""
    min_delta: float = _setting(0.0, least=0, most=10**12)
    """Smallest change that counts as an improvement, as in Keras `EarlyStopping`."""

    def better(self, value: float, than: float | None) -> bool:
        """Return whether `value` is finite and improves on the best value `than` (None: no evaluation yet)."""
        if not math.isfinite(value):
            return False
        if than is None:
            return True
        return value > than + self.min_delta if self.mode == "max" else value < than - self.min_delta


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerConfig:
    """The `trainer` block of a job file.

    A run record contains every key. The defaults equal those of the chart and apply to tasks outside a run, such as in
    `python -m trainer check`.
    """

    task: str = "digits"
    """Name of a built-in task, or `package.module:Class`."""
    steps: int = _setting(1000, least=1, most=_MAX_STEPS)
    """Total number of training steps."""
    batch_size: int = _setting(64, least=1, most=10**7)
    """Examples per step over all replicas (the global batch)."""
    seed: int = _setting(0, least=0, most=_MAX_SEED)
    """Seed of all random numbers."""
    checkpoint_every: int = _setting(200, least=1, most=_MAX_STEPS)
    """Steps between checkpoints."""
    keep_checkpoints: int = _setting(3, least=1, most=1000)
    """Number of newest checkpoints to keep."""
    summary_every: int = _setting(50, least=1, most=_MAX_STEPS)
    """Steps between TensorBoard points."""
    precision: str = _setting("float32", choices=PRECISIONS)
    """A Keras dtype policy."""
    jit_compile: bool = False
    """Compile the forward and backward pass with XLA."""
    hyperparameters: Mapping[str, Scalar] = field(default_factory=dict)
    """Values that replace defaults of the task's hyperparameters."""
    early_stopping: EarlyStopping | None = None
    """The rule of early stopping. None: the run continues to its last step."""
    profile_steps: int = _setting(0, least=0, most=1000)
    """Steps to profile for TensorBoard, once per run. 0: none."""
    warm_start_iterations: str = _setting("reset", choices=("reset", "keep"))
    """Whether a warm start begins at step 0, or continues at the step and the iterations of the other run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The run record: what to train. It never changes during a run."""

    run: str
    """Name of the run."""
    hash: str
    """Identity hash. The trainer refuses a run directory with another one."""
    strategy: str
    """One of `STRATEGIES`."""
    trainer: TrainerConfig
    """What to train."""
    evaluators: int = 0
    """Number of evaluator tasks (0 or 1)."""
    warm_start_from: str | None = None
    """Name of another run in the same storage. This run starts from its weights and optimizer state."""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The whole record as decoded JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEnv:
    """The settings from environment variables: paths, timeouts and devices of this task. Times are in seconds."""

    run_dir: str
    """RUN_DIR: the run directory, local or a URL such as gs://bucket/x/run."""
    data_dir: str | None = None
    """DATA_DIR: the directory of the user's data. None: the run has no data directory."""
    start_timeout: int = 1800
    """TRAINER_START_TIMEOUT: maximum time until all tasks of the run answer."""
    orphan_timeout: int = 1800
    """TRAINER_ORPHAN_TIMEOUT: maximum time that a task waits for an unreachable chief."""
    grace_period: int = 60
    """TRAINER_GRACE_PERIOD: time between SIGTERM and SIGKILL."""
    max_in_place_restarts: int = 3
    """TRAINER_MAX_IN_PLACE_RESTARTS: maximum number of consecutive in-place restarts after lost peers."""
    lease_timeout: int = 10
    """TRAINER_LEASE_TIMEOUT: time without a heartbeat after which a new chief takes over the lease."""
    termination_log: str | None = None
    """TRAINER_TERMINATION_LOG: file for the one-line result."""
    logical_cpus: int = 0
    """TRAINER_LOGICAL_CPUS: number of logical CPU devices, to try Mirrored without GPUs. 0: one device."""
    min_workers: int = 0
    """TRAINER_MIN_WORKERS: number of workers without which an elastic run does not train. 0: it needs all workers."""
    rescale_after: int = 60
    """TRAINER_RESCALE_AFTER: time that an elastic group which is not complete waits for the other workers."""
    gpus: int = 0
    """TRAINER_GPUS: number of GPUs that this task requests. Fewer visible GPUs are an error."""
    run_gpus: int = 0
    """TRAINER_RUN_GPUS: number of GPUs that all tasks of the run request together, for the metrics."""
    metrics_port: int = 0
    """TRAINER_METRICS_PORT: port of the Prometheus metrics. 0: none."""
    address: str = "127.0.0.1"
    """POD_IP: the address at which the metrics are served."""
    gpus_optional: bool = False
    """TRAINER_GPUS_OPTIONAL=1: missing GPUs cause a warning instead of an error. `tfd run` sets it."""


def load_runtime_env(env: Mapping[str, str]) -> RuntimeEnv:
    """Return the settings from the environment variables `env`.

    Raises:
        ConfigError: RUN_DIR is missing, or a number is invalid.

    """
    run_dir = env.get("RUN_DIR", "").rstrip("/")
    if not run_dir:
        fix = "Set RUN_DIR to a local path or gs://bucket/path/run"
        raise ConfigError("RUN_DIR", got=NOTHING, expected="the run directory", fix=fix)
    return RuntimeEnv(
        run_dir=run_dir,
        data_dir=env.get("DATA_DIR") or None,
        start_timeout=_env_number(env, "TRAINER_START_TIMEOUT", 1800, least=1),
        orphan_timeout=_env_number(env, "TRAINER_ORPHAN_TIMEOUT", 1800, least=1),
        grace_period=_env_number(env, "TRAINER_GRACE_PERIOD", 60, least=1),
        max_in_place_restarts=_env_number(env, "TRAINER_MAX_IN_PLACE_RESTARTS", 3, least=0),
        lease_timeout=_env_number(env, "TRAINER_LEASE_TIMEOUT", 10, least=1),
        termination_log=env.get("TRAINER_TERMINATION_LOG") or None,
        logical_cpus=_env_number(env, "TRAINER_LOGICAL_CPUS", 0, least=0),
        min_workers=_env_number(env, "TRAINER_MIN_WORKERS", 0, least=0),
        rescale_after=_env_number(env, "TRAINER_RESCALE_AFTER", 60, least=1),
        gpus=_env_number(env, "TRAINER_GPUS", 0, least=0),
        run_gpus=_env_number(env, "TRAINER_RUN_GPUS", 0, least=0),
        metrics_port=_env_number(env, "TRAINER_METRICS_PORT", 0, least=0),
        address=env.get("POD_IP") or "127.0.0.1",
        gpus_optional=env.get("TRAINER_GPUS_OPTIONAL") == "1",
    )


def load_log_format(env: Mapping[str, str], given: str | None = None) -> str:
    """Return the log format: `given` from the command line, or else TRAINER_LOG_FORMAT.

    Raises:
        ConfigError: the format is not one of `LOG_FORMATS`.

    """
    name, value = ("--log-format", given) if given else ("TRAINER_LOG_FORMAT", env.get("TRAINER_LOG_FORMAT") or "text")
    return _string(value, name, choices=LOG_FORMATS)


def _env_number(env: Mapping[str, str], key: str, default: int, *, least: int) -> int:
    text = env.get(key) or str(default)
    # Python refuses to read a number of thousands of digits.
    short = text.isdecimal() and len(text) <= len(str(_MAX_OF_VARIABLES))
    if not short or not least <= int(text) <= _MAX_OF_VARIABLES:
        rule = f"an integer, {least} to {_MAX_OF_VARIABLES}"
        raise ConfigError(key, got=text, expected=rule, fix=f"Set {key}={default}")
    return int(text)


def load_record(env: Mapping[str, str]) -> RunRecord:
    """Return the run record from the file at the path in TRAINER_RECORD.

    Raises:
        ConfigError: the file cannot be read, or a value in it is invalid.

    """
    path = env.get("TRAINER_RECORD", "")
    fix = "Set TRAINER_RECORD to the run.json of the chart"
    if not path:
        raise ConfigError("TRAINER_RECORD", got=NOTHING, expected="the path of the run record", fix=fix)
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        got = Words(f'"{path}", which cannot be read ({error.strerror})')
        raise ConfigError("TRAINER_RECORD", got=got, expected="a readable file", fix=fix) from error
    except ValueError as error:
        got = Words(f'"{path}", which is invalid JSON ({error})')
        raise ConfigError("TRAINER_RECORD", got=got, expected="a JSON file", fix=fix) from error
    return parse_record(raw)


def parse_record(raw: Json) -> RunRecord:
    """Return the run record from the decoded JSON `raw`.

    Raises:
        ConfigError: a key is missing, or a value is invalid.

    """
    identity = raw.get("identity") if isinstance(raw, dict) else None
    if not isinstance(identity, dict):
        got = NOTHING if identity is None else identity
        fix = "Use the run.json of the chart"
        raise ConfigError("run.json: identity", got=got, expected="a mapping of the training settings", fix=fix)
    replicas = identity.get("replicas") or {}
    return RunRecord(
        run=_string(raw.get("run", NOTHING), "run"),
        hash=_string(raw.get("hash", NOTHING), "hash"),
        strategy=_string(identity.get("strategy", NOTHING), "strategy", choices=STRATEGIES),
        trainer=_read(TrainerConfig, identity.get("trainer") or {}, "trainer"),
        evaluators=_integer(replicas.get("evaluator", 0), "evaluator.replicas", least=0),
        warm_start_from=identity.get("warmStartFrom") or None,
        raw=raw,
    )


def _read(cls: type[_Block], block: Json, key: str) -> _Block:
    """Return the dataclass `cls` with the values of `block`. The keys of `block` are the field names in camel case."""
    if not isinstance(block, dict):
        raise ConfigError(key, got=block, expected="a mapping", fix=f"Set the keys of {key}, one per line")
    values = {}
    for each in fields(cls):  # type: ignore[arg-type]
        first, *others = each.name.split("_")
        name = first + "".join(word.capitalize() for word in others)
        if name in block or (each.default is MISSING and each.default_factory is MISSING):
            values[each.name] = _READERS[str(each.type)](block.get(name, NOTHING), f"{key}.{name}", **each.metadata)
    return cls(**values)


def _string(value: Json, key: str, *, choices: tuple[str, ...] = ()) -> str:
    if choices and value not in choices:
        raise ConfigError(key, got=value, expected=one_of(choices), fix=f"Set {key} to one of them")
    if not isinstance(value, str) or not value or value is NOTHING:
        raise ConfigError(key, got=value, expected="a string that is not empty", fix=f"Set {key}")
    return value


def _integer(value: Json, key: str, *, least: int, most: int | None = None) -> int:
    # Helm writes large integers as floats, such as 1e+06.
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0
    if not whole or value < least or (most is not None and value > most):
        rule = f"{least} or more" if most is None else f"{least} to {most}"
        raise ConfigError(key, got=value, expected=f"an integer, {rule}", fix=f"Set {key} to an integer, {rule}")
    return int(value)


def _number(value: Json, key: str, *, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigError(key, got=value, expected=f"a number, {least} to {most}", fix=f"Set {key} to a number")
    return float(value)


def _boolean(value: Json, key: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(key, got=value, expected="true or false", fix=f"Set {key}: true or {key}: false")
    return value


def _scalars(value: Json, key: str) -> dict[str, Scalar]:
    if not isinstance(value or {}, dict):
        raise ConfigError(key, got=value, expected="a mapping of names to values", fix=f"Set {key}: {{name: value}}")
    for name, scalar in (value or {}).items():
        if not isinstance(scalar, str | int | float | bool):
            expected = "a number, a string, true or false"
            raise ConfigError(f"{key}.{name}", got=scalar, expected=expected, fix=f"Set {key}.{name} to one value")
        if isinstance(scalar, int) and abs(scalar) >= _INTEGERS_BELOW:
            expected = f"an integer between -{_INTEGERS_BELOW} and {_INTEGERS_BELOW}"
            raise ConfigError(f"{key}.{name}", got=scalar, expected=expected, fix="Write it with a decimal point")
    return dict(value or {})


def _early_stopping(value: Json, key: str) -> EarlyStopping | None:
    return None if value is None else _read(EarlyStopping, value, key)


_READERS: Final[dict[str, Callable[..., Any]]] = {
    "str": _string,
    "int": _integer,
    "float": _number,
    "bool": _boolean,
    "Mapping[str, Scalar]": _scalars,
    "EarlyStopping | None": _early_stopping,
}
"""Type annotation of a field -> function that checks and converts its value."""
