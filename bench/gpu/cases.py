"""What a check runs: each case is one training of some seconds in processes of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

PRECISIONS: Final = ("float32", "mixed_bfloat16", "mixed_float16")
TINY: Final = "bench.gpu.images:TinyImages"
TASKS: Final = ("digits", "recommender", "resnet50", "inception_v3")
MODELS: Final = ("resnet50", "inception_v3")
_BATCH: Final = {"digits": 256, "recommender": 2048, "resnet50": 32, "inception_v3": 32, TINY: 8}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training."""

    group: str
    """The section of the report: program, task, batch, xla, jpeg or pair."""
    task: str
    strategy: str = "OneDevice"
    precision: str = "float32"
    xla: bool = False
    batch: int
    """Examples per step of all replicas."""
    side: str = "trainer"
    """`trainer`, `handwritten` or `keras_fit`: whose loop runs. `program`: `python -m trainer` with a whole run."""
    turn: int = 0
    """The number of the pair."""
    data_dir: str | None = None
    """The folder of the JPEG files, which the case creates. None: synthetic images."""
    images: int = 0
    """The number of JPEG files."""
    seconds: float = 5.0
    """How long to measure."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A short name for progress and report."""
        parts = [
            self.task.rpartition(":")[2],
            self.strategy,
            self.precision,
            *["XLA"] * self.xla,
            f"batch {self.batch}",
        ]
        data = ["JPEG"] if self.data_dir else []
        return ", ".join([*parts, *data, *[self.side] * (self.side != "trainer")])


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much a check runs."""

    cpu: bool
    quick: bool
    gpus: int

    @property
    def seconds(self) -> float:
        """Seconds of a measurement."""
        return 0.2 if self.cpu else 3.0 if self.quick else 10.0

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose speed is measured."""
        return (TINY,) if self.cpu else MODELS

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions in which the speed is measured."""
        return ("mixed_bfloat16",) if self.quick or self.cpu else PRECISIONS

    @property
    def largest(self) -> int:
        """The batch size at which the doubling ends."""
        return (8 if self.quick else 16) if self.cpu else 4096

    @property
    def images(self) -> int:
        """The number of JPEG files."""
        return 64 if self.cpu else 2048

    @property
    def pairs(self) -> int:
        """The number of pairs per comparison."""
        return 1 if self.quick or self.cpu else 3


def program(size: Size) -> Case:
    """Return the whole run of `python -m trainer`, with checkpoints, evaluation and export."""
    return Case(group="program", task="digits", batch=64, side="program", seconds=0.0)


def tasks(size: Size) -> Iterator[Case]:
    """Yield each built-in task under each strategy, in each precision, with and without XLA."""
    if size.cpu:
        yield Case(
            group="task", task=TINY, strategy="Mirrored", precision="mixed_bfloat16", xla=True, batch=8, seconds=0
        )
        if not size.quick:
            yield Case(group="task", task="digits", strategy="MultiWorkerMirrored", batch=8, seconds=0)
        return
    several = ("MultiWorkerMirrored",) if size.gpus > 1 else ()
    for task in ("digits", "recommender", "resnet50") if size.quick else TASKS:
        for strategy in ("OneDevice", "Mirrored", *several):
            for precision in PRECISIONS:
                if task == "recommender" and precision == "mixed_float16":
                    continue  # The trainer refuses it: embedding tables do not skip a step.
                batch = _BATCH[task] * (1 if strategy == "OneDevice" else size.gpus if strategy == "Mirrored" else 2)
                for xla in (False, True):
                    yield Case(
                        group="task",
                        task=task,
                        strategy=strategy,
                        precision=precision,
                        xla=xla,
                        batch=batch,
                        seconds=1.0,
                    )


def smallest(size: Size, task: str, precision: str) -> Case:
    """Return the case from which the batch size is doubled."""
    return Case(group="batch", task=task, precision=precision, batch=_BATCH[task], seconds=size.seconds / 2)


def doubled(case: Case) -> Case:
    """Return the case with twice the batch size."""
    return replace(case, batch=2 * case.batch)


def at_largest(size: Size, found: Case, jpegs: str) -> Iterator[Case]:
    """Yield what is measured with the largest batch that fits: XLA, JPEGs, and pairs with the other loops."""
    case = replace(found, seconds=size.seconds)
    if not size.cpu:
        yield replace(case, group="xla", xla=True)
    yield replace(case, group="jpeg", data_dir=jpegs, images=size.images)
    for xla in (False,) if size.cpu else (False, True):
        for turn in range(size.pairs):
            for side in ("trainer", "handwritten", "keras_fit"):
                yield replace(case, group="pair", xla=xla, side=side, turn=turn)
