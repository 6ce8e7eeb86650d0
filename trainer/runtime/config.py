"""The trainer's configuration: the run record (what is trained) and the environment (where it runs).

Both are checked completely before TensorFlow is imported. An invalid value ends the process with BAD_CONFIG and a
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
"""The strategies of several tasks."""
PRECISIONS: Final = ("float32", "mixed_bfloat16", "mixed_float16")
LOG_FORMATS: Final = ("text", "json")
Scalar = str | int | float | bool
_Block = TypeVar("_Block")
_MAX_STEPS: Final = 10**12
_MAX_SEED: Final = 2**32 - 1


def _setting(default: Any, **rule: Any) -> Any:  # noqa: ANN401, RUF100 - as dataclasses.field
    """Return a field that `_read` fills from a record, with the `rule` (least, most, choices) of its values."""
    return field(default=default, metadata=rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """When the evaluator ends the run before its last step."""

    metric: str
    """Name of one of the task's metrics, or `loss`, on the evaluation data."""
    mode: str = _setting("max", choices=("max", "min"))
    """Whether higher (`max`) or lower (`min`) values are better."""
    patience: int = _setting(1, least=1, most=10_000)
    """Number of consecutive evaluations without an improvement after which the run ends."""
    min_delta: float = _setting(0.0, least=0)
    """Smallest change that counts as an improvement, as in Keras `EarlyStopping`."""

    def better(self, value: float, than: float | None) -> bool:
        """Return whether `value` improves on the best value so far (None: no evaluation yet). NaN never does."""
        if not math.isfinite(value):
            return False
        if than is None:
            return True
        return value > than + self.min_delta if self.mode == "max" else value < than - self.min_delta


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerConfig:
    """The `trainer` block of a job file.

    A run record has every key. The defaults are those of the chart, for tasks that are tried without a run.
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
    """Override the task's own defaults."""
    early_stopping: EarlyStopping | None = None
    """None: the run continues to its last step."""
    profile_steps: int = _setting(0, least=0, most=1000)
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
    lease_timeout: int = 10
    """TRAINER_LEASE_TIMEOUT: how long a new chief watches the lease of another one before it takes over."""
    termination_log: str | None = None
    """TRAINER_TERMINATION_LOG: file for the one-line result."""
    logical_cpus: int = 0
    """TRAINER_LOGICAL_CPUS: split the CPU into so many devices, to try Mirrored without GPUs. 0: do not."""
    gpus: int = 0
    """TRAINER_GPUS: GPUs that this task was given; it must see at least this many."""
    gpus_optional: bool = False
    """TRAINER_GPUS_OPTIONAL=1: a machine without GPUs will do, with a warning. Set by `tfd run`."""


def load_runtime_env(env: Mapping[str, str]) -> RuntimeEnv:
    """Return the settings in `env`.

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
        gpus=_env_number(env, "TRAINER_GPUS", 0, least=0),
        gpus_optional=env.get("TRAINER_GPUS_OPTIONAL") == "1",
    )


def load_log_format(env: Mapping[str, str], given: str | None = None) -> str:
    """Return the log format: `given` on the command line, else TRAINER_LOG_FORMAT.

    Raises:
        ConfigError: it is not one of `LOG_FORMATS`.

    """
    name, value = ("--log-format", given) if given else ("TRAINER_LOG_FORMAT", env.get("TRAINER_LOG_FORMAT") or "text")
    return _string(value, name, choices=LOG_FORMATS)


def _env_number(env: Mapping[str, str], key: str, default: int, *, least: int) -> int:
    text = env.get(key) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(key, got=text, expected=f"an integer, {least} or more", fix=f"Set {key}={default}")
    return int(text)


def load_record(env: Mapping[str, str]) -> RunRecord:
    """Return the run record in the file that TRAINER_RECORD names.

    Raises:
        ConfigError: the file does not exist, or a value in it is invalid.

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
    """Return the record that the decoded JSON `raw` holds.

    Raises:
        ConfigError: a key is missing, or a value is invalid.

    """
    identity = raw.get("identity") if isinstance(raw, dict) else None
    if not isinstance(identity, dict):
        got = NOTHING if identity is None else identity
        fix = "Use the run.json of the chart"
        raise ConfigError("run.json: identity", got=got, expected="a mapping of what is trained", fix=fix)
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
    """Return the dataclass `cls` with the values of `block`, whose keys are its fields in camel case."""
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
    whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
    if not whole or value < least or (most is not None and value > most):
        rule = f"{least} or more" if most is None else f"{least} to {most}"
        raise ConfigError(key, got=value, expected=f"an integer, {rule}", fix=f"Set {key} to an integer, {rule}")
    return int(value)


def _number(value: Json, key: str, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
        raise ConfigError(key, got=value, expected=f"a number, {least} or more", fix=f"Set {key} to a number")
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
"""Type of a field -> how its value is checked and read."""
