"""Collects what the model needs, with the source of each number; what nothing names is asked for by its option."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfd.jobfile.jobfile import JobFile
from tfd.planning import measured as measurements
from tfd.planning import model, options
from tfd.planning.options import Given, Number, PlanError
from tfd.review.sources.rendering import Rendering
from tfd.text import refusal, shown

_BITS = 8
_GIGA = 1e9
_SHOWN = 16
"""The largest number of workers up to which each number has a row."""
_USUAL_WORKERS = 8


@dataclass(frozen=True)
class Fact:
    """One number of the model, and where it is from."""

    name: str
    value: float | None
    unit: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the job file contains."""

    run: str
    trainer: dict[str, Any]
    layout: model.Layout
    workers: int
    """Workers of the job file; the GPUs of its one task under Mirrored."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that can be estimated."""

    job: Job
    assumptions: model.Assumptions
    facts: Sequence[Fact]
    workers: Sequence[int]
    """The numbers of workers to compare, with that of the job file."""
    left_out: Sequence[int]
    """Numbers of workers whose replicas cannot share the batch."""
    least_efficiency: float


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The files that the command line names."""

    measured: Sequence[Path] = ()
    check: tuple[str, str] | None = None
    """Name and text of a report."""


def read_job(job: JobFile) -> Job:
    """Return the facts of a job file.

    Raises:
        PlanError: it is refused, or its program is not the trainer's.

    """
    if problems := job.problems():
        raise PlanError("\n".join(map(str, problems)))
    rendering = Rendering(job.rendered, job.objects)
    identity = rendering.identity
    roles = {role.name: role for role in rendering.roles}
    is_script = (identity["args"] or [])[:1] == ["--"]  # other arguments are options of the trainer
    if custom := "command" if identity["command"] is not None else "args" if is_script else None:
        fix = "Write a Task class, and set trainer.task to it."
        raise PlanError(f"{job.path}: {refusal(custom, shown(identity[custom]), 'a task of the trainer', fix)}")
    strategy, trainer = identity["strategy"], identity["trainer"]
    if not roles:
        fix = "Set state: active, and a strategy that trains."
        raise PlanError(refusal(str(job.path), "no Kubernetes Job", "an active run that trains", fix))
    scaled = "worker" if "worker" in roles else "chief"
    gpus = roles[scaled].gpus_per_task
    other = sum(role.tasks * role.gpus_per_task for role in roles.values() if role.name != scaled)
    layout = model.Layout(
        strategy=strategy,
        batch=trainer["batchSize"],
        steps=trainer["steps"],
        ps=roles["ps"].tasks if "ps" in roles else 1,
        gpus_per_worker=gpus,
        min_workers=roles[scaled].least if roles[scaled].is_elastic else None,
        other_gpus=other,
    )
    workers = roles[scaled].tasks
    if strategy == "Mirrored":
        workers, layout = max(1, gpus), replace(layout, gpus_per_worker=min(1, gpus))
    elif strategy == "MultiWorkerMirrored":
        layout = replace(layout, replicas_per_worker=max(1, gpus))
    return Job(run=job.run, trainer=trainer, layout=layout, workers=workers)


def make(job: Job, given: Given, sources: Sources) -> Plan:
    """Return a run that can be estimated.

    Raises:
        PlanError: a number is outside its limits, or nothing names it.

    """
    return _Collector(job, given, sources).plan()


class _Collector:
    """Collects facts and questions, so that all questions are asked at once."""

    def __init__(self, job: Job, given: Given, sources: Sources) -> None:
        self._job, self._given, self._sources = job, given, sources
        self._facts: list[Fact] = []
        self._questions: list[str] = []
        self._checked = None
        if sources.check is not None:
            self._checked = measurements.of_check(*sources.check, job.trainer)

    def plan(self) -> Plan:
        """Return the plan, or raise PlanError with all questions."""
        counts = self._counts()
        workers = [count for count in counts if model.divides(self._job.layout, count)]
        assumptions = self._assumptions(max(workers))
        efficiency = self._number(options.EFFICIENCY)
        if self._questions:
            raise PlanError("\n".join(self._questions))
        left_out = [count for count in counts if count not in workers]
        return Plan(
            job=self._job,
            assumptions=assumptions,
            facts=self._facts,
            workers=workers,
            left_out=left_out,
            least_efficiency=efficiency,
        )

    def _counts(self) -> list[int]:
        """Return the numbers of workers: each up to 16, and beyond that the powers of two."""
        if self._job.layout.strategy == "OneDevice":
            return [1]
        asked = self._given.get(options.WORKERS)
        most = max(_USUAL_WORKERS, self._job.workers) if asked is None else int(asked)
        own = {self._job.workers, self._job.layout.min_workers or self._job.workers}
        if most <= _SHOWN:
            return sorted({*range(1, most + 1), *own})
        powers = {2**each for each in range(most.bit_length()) if 2**each <= most}
        return sorted({*powers, most, *own})

    def _assumptions(self, most: int) -> model.Assumptions:
        layout = self._job.layout
        alone = layout.strategy != model.PARAMETER_SERVER and most * layout.replicas_per_worker == 1
        device = self._device()
        if alone:  # nothing is exchanged, so nothing about the network is asked
            return model.Assumptions(
                device=device, bytes_per_step=0, bandwidth=1, latency=0, overlap=0, overhead=0, ps_imbalance=1
            )
        size = self._bytes()
        bandwidth = self._needed(options.BANDWIDTH)
        latency, overlap, overhead = map(self._number, (options.LATENCY, options.OVERLAP, options.OVERHEAD))
        has_ps = layout.strategy == model.PARAMETER_SERVER
        cores, device_cores = self._cores()
        return model.Assumptions(
            device=device,
            bytes_per_step=size,
            bandwidth=bandwidth * _GIGA / _BITS,
            latency=latency,
            overlap=overlap,
            overhead=overhead,
            ps_imbalance=self._number(options.IMBALANCE) if has_ps else 1.0,
            cores=cores,
            device_cores=device_cores,
        )

    def _device(self) -> model.Device:
        points = self._points()
        if not points:
            return model.Device(fixed=0, per_example=1)  # a question is open, so nothing is computed with it
        fixed = self._given.get(options.FIXED)
        if fixed is None:
            device = model.fit((each.batch, each.seconds) for each in points)
            several = len({each.batch for each in points}) > 1
            source = "fitted to the steps above" if several else "assumed: one batch size does not show it"
        else:
            shortest = min(each.seconds for each in points)
            if fixed > shortest:
                fix = f"Set {options.FIXED.name} to a part of the step."
                expected = f"at most the step of {shortest:g} s"
                raise PlanError(refusal(options.FIXED.name, f"{fixed:g}", expected, fix))
            rest = sum((each.seconds - fixed) / each.batch for each in points) / len(points)
            device, source = model.Device(fixed=fixed, per_example=rest), options.FIXED.name
        self._facts += [
            Fact("fixed part of a step", device.fixed, "s", source),
            Fact("one example", device.per_example, "s", "the rest of the step, divided by its batch size"),
        ]
        return device

    def _points(self) -> list[measurements.Measurement]:
        """Return the steps of one device: of the option, else of the runs, else of the report."""
        seconds, batch = self._given.get(options.STEP_SECONDS), self._given.get(options.DEVICE_BATCH)
        runs = [measurements.of_run(folder, self._job.trainer) for folder in self._sources.measured]
        if seconds is not None and runs:
            fix = f"Remove {options.STEP_SECONDS.name} or --measured."
            raise PlanError(refusal(options.STEP_SECONDS.name, "--measured as well", "one of the two", fix))
        if batch is not None and seconds is None:
            raise PlanError(options.STEP_SECONDS.missing(f"{options.DEVICE_BATCH.name} without it"))
        if seconds is not None:
            source = options.STEP_SECONDS.name + ("" if batch is not None else " at trainer.batchSize")
            points = [measurements.Measurement(int(batch or self._job.layout.batch), seconds, source)]
        else:
            checked = self._checked.step if self._checked else None
            points = runs or ([checked] if checked else [])
        if not points:
            got = f"{self._checked.source} of other settings" if self._checked else "nothing"
            fix = f"Set --measured to the run directory of a OneDevice run, or {options.STEP_SECONDS.name}."
            self._questions.append(options.STEP_SECONDS.missing(got, fix))
        self._facts += [
            Fact(f"step of one device, batch {each.batch}", each.seconds, "s", each.source) for each in points
        ]
        return points

    def _bytes(self) -> float:
        size, parameters = self._given.get(options.BYTES), self._given.get(options.PARAMETERS)
        if size is not None:
            self._facts.append(Fact("exchanged per step", size, "B", options.BYTES.name))
            return size
        if parameters is None and self._checked is not None:
            if self._checked.tables:
                got = f"embedding tables ({', '.join(self._checked.tables)}), of which a step exchanges some rows"
                self._questions.append(options.BYTES.missing(got))
                return 0
            parameters, source = self._checked.parameters, self._checked.source
        else:
            source = options.PARAMETERS.name
        if parameters is None:
            fix = f"Set {options.PARAMETERS.name}, or --check to the JSON of `python -m trainer check`."
            self._questions.append(options.PARAMETERS.missing(fix=fix))
            return 0
        self._facts.append(Fact("trainable parameters", parameters, "", source))
        return parameters * self._number(options.BYTES_PER_PARAMETER)

    def _cores(self) -> tuple[float | None, float]:
        cores, device_cores = self._given.get(options.CORES), self._given.get(options.DEVICE_CORES)
        if cores is None:
            if device_cores is not None:
                raise PlanError(options.CORES.missing(f"{options.DEVICE_CORES.name} without it"))
            self._facts.append(Fact(options.CORES.name, None, "", "default: each task has a machine of its own"))
            return None, 1.0
        self._facts.append(Fact(options.CORES.name, cores, options.CORES.unit, "option"))
        source = "default: a step keeps all cores busy" if device_cores is None else "option"
        busy = cores if device_cores is None else device_cores
        if busy > cores:
            fix = f"Set {options.DEVICE_CORES.name} to at most {options.CORES.name}."
            raise PlanError(refusal(options.DEVICE_CORES.name, f"{busy:g}", f"at most the {cores:g} cores", fix))
        self._facts.append(Fact(options.DEVICE_CORES.name, busy, options.DEVICE_CORES.unit, source))
        return cores, busy

    def _number(self, number: Number) -> float:
        """Return the given number, or its default."""
        value = self._given.get(number)
        source = "option" if value is not None else f"default: {number.reason}"
        if value is None:
            value = number.default or 0.0
        self._facts.append(Fact(number.name, value, number.unit, source))
        return value

    def _needed(self, number: Number) -> float:
        """Return the given number, or ask for it."""
        value = self._given.get(number)
        if value is None:
            self._questions.append(number.missing())
            return number.example
        self._facts.append(Fact(number.name, value, number.unit, "option"))
        return value
