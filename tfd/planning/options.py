"""The numbers that `tfd plan` takes as options: their limits, their defaults, and the reason of each default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tfd.text import refusal


class PlanError(Exception):
    """The run cannot be planned; the message names what is wrong or unknown, one refusal per line."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """An option with a number. It has a default, or `tfd plan` asks for it where it matters."""

    name: str
    unit: str
    help: str
    """A sentence for --help, without the default."""
    expected: str
    """What it is, as a noun phrase for a refusal."""
    example: float
    least: float = 0.0
    most: float = 1e15
    whole: bool = False
    default: float | None = None
    reason: str = ""
    """Why the default is what it is."""

    @property
    def field(self) -> str:
        """The name of the option as a Python identifier, as click passes it."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def help_text(self) -> str:
        """The help of the option."""
        return self.help if self.default is None else f"{self.help} Default: {self.default:g}, because {self.reason}."

    def missing(self, known: str = "nothing", fix: str = "") -> str:
        """Return the question for a number that nothing names."""
        return refusal(self.name, known, self.expected, fix or f"Set {self.name} {self.example:g}, for example.")

    def allows(self, value: float) -> bool:
        """Return whether `value` is a number within the limits."""
        sound = math.isfinite(value) and self.least <= value <= self.most
        return sound and (not self.whole or value == int(value))

    def checked(self, value: float) -> float:
        """Return `value`, or raise PlanError if it is outside the limits."""
        if self.allows(value):
            return value
        kind = "a whole number" if self.whole else "a number"
        raise PlanError(
            refusal(
                self.name,
                f"{value:g}",
                f"{kind} from {self.least:g} to {self.most:g}",
                f"Set {self.name} {self.example:g}, for example.",
            )
        )


_TINY: Final = 1e-12

STEP_SECONDS: Final = Number(
    name="--device-step-seconds",
    unit="s",
    help="Seconds of a training step on one device.",
    expected="seconds of a training step on one device",
    example=0.25,
    least=_TINY,
)
DEVICE_BATCH: Final = Number(
    name="--device-batch",
    unit="examples",
    help="Batch size of the step of --device-step-seconds. Default: trainer.batchSize.",
    expected="the batch size of that step",
    example=64,
    least=1,
    whole=True,
)
FIXED: Final = Number(
    name="--fixed-seconds",
    unit="s",
    help="Seconds of a step that do not depend on its batch size. Default: fitted to several --measured, else 0.",
    expected="seconds of a step that do not depend on its batch size",
    example=0.01,
)
PARAMETERS: Final = Number(
    name="--parameters",
    unit="parameters",
    help="Trainable parameters of the model.",
    expected="the number of trainable parameters",
    example=25557032,
    whole=True,
)
BYTES_PER_PARAMETER: Final = Number(
    name="--bytes-per-parameter",
    unit="B",
    help="Bytes of the gradient of one parameter.",
    expected="bytes of the gradient of one parameter",
    example=4,
    most=64,
    default=4.0,
    reason="variables and their gradients are float32, also in mixed precision",
)
BYTES: Final = Number(
    name="--bytes-per-step",
    unit="B",
    help="Bytes that each replica exchanges in a step, such as the rows of embedding tables. Default: the parameters.",
    expected="bytes that each replica exchanges in a step",
    example=1e8,
)
BANDWIDTH: Final = Number(
    name="--bandwidth",
    unit="Gbit/s",
    help="Gbit/s of the slowest link between two replicas, in one direction: the network, or NVLink under Mirrored.",
    expected="Gbit/s of the slowest link between two replicas",
    example=10,
    least=1e-6,
)
LATENCY: Final = Number(
    name="--latency",
    unit="s",
    help="Seconds of one message: half of the round trip that ping shows.",
    expected="seconds of one message",
    example=0.0001,
    default=0.00025,
    reason="it is half of 0.5 ms, a usual round trip in a data center",
)
OVERLAP: Final = Number(
    name="--overlap",
    unit="of the computation",
    help="Share of the computation, 0 to 1, during which transfers happen.",
    expected="a share",
    example=0.5,
    most=1.0,
    default=0.0,
    reason="the trainer sums all gradients at once, after the backward pass",
)
OVERHEAD: Final = Number(
    name="--overhead",
    unit="s",
    help="Seconds of work of a step with peers besides computation and transfers.",
    expected="seconds of work of a step with peers",
    example=0.002,
    default=0.0,
    reason="it is some milliseconds, which count only for a small model",
)
IMBALANCE: Final = Number(
    name="--ps-imbalance",
    unit="of the mean",
    help="Bytes on the busiest ps, relative to the mean over all ps.",
    expected="a ratio",
    example=1.5,
    least=1.0,
    most=100.0,
    default=1.0,
    reason="variables are spread over the ps in turns",
)
CORES: Final = Number(
    name="--cores",
    unit="cores",
    help="Cores of the one machine on which all tasks run, as under `tfd run`. Default: each task has a machine.",
    expected="cores of the machine",
    example=8,
    least=0.1,
    most=1e6,
)
DEVICE_CORES: Final = Number(
    name="--device-cores",
    unit="cores",
    help="Cores that a step of one device keeps busy. Only with --cores. Default: all of them.",
    expected="cores that a step keeps busy",
    example=1.5,
    least=0.01,
    most=1e6,
)
WORKERS: Final = Number(
    name="--workers",
    unit="workers",
    help="Largest number of workers in the table. Default: that of the job file, or 8 if it is more.",
    expected="the largest number of workers",
    example=16,
    least=1,
    most=100_000,
    whole=True,
)
EFFICIENCY: Final = Number(
    name="--least-efficiency",
    unit="of one worker",
    help="Efficiency, 0 to 1, that the best number of workers must have.",
    expected="an efficiency",
    example=0.7,
    most=1.0,
    default=0.5,
    reason="below it more than half of the GPU-hours are lost",
)

NUMBERS: Final = (
    STEP_SECONDS,
    DEVICE_BATCH,
    FIXED,
    PARAMETERS,
    BYTES_PER_PARAMETER,
    BYTES,
    BANDWIDTH,
    LATENCY,
    OVERLAP,
    OVERHEAD,
    IMBALANCE,
    CORES,
    DEVICE_CORES,
    WORKERS,
    EFFICIENCY,
)


@dataclass(frozen=True)
class Given:
    """The numbers on the command line; None for one that is not there."""

    values: Mapping[str, float | None]

    def get(self, number: Number) -> float | None:
        """Return the given number, or None. Raises PlanError if it is outside its limits."""
        value = self.values.get(number.field)
        return None if value is None else number.checked(value)
