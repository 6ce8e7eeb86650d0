"""`python -m bench.gpu`: check and measure the trainer on the GPUs of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from rich.console import Console

from bench.gpu import processes
from bench.gpu.cases import Case, Size
from bench.gpu.session import Session
from tfd.local import network
from tfd.text import refusal

_TRY: Final = "Install the driver, or run python -m bench.gpu --cpu to try the command."
_UNABLE, _INTERRUPTED = 2, 130


def _driver() -> str | None:
    """Return the version of the NVIDIA driver; None if there is none."""
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return found[0] if found else None


def _machine(console: Console, *, cpu: bool, timeout: float) -> dict[str, Any]:
    """Return the facts about this machine, or end with exit code 2 if it has no GPU that TensorFlow can use."""
    driver = None if cpu else _driver()
    if not cpu and driver is None:
        _refuse(console, "no NVIDIA driver", _TRY)
    found = processes.devices(timeout)
    if found["status"] != processes.OK:
        _refuse(
            console, f"a TensorFlow that does not start ({found['error']})", "Run make gpu-check, which installs it."
        )
    if not cpu and not found["isBuiltWithCuda"]:
        _refuse(console, "a TensorFlow without GPU support", "Run make gpu-check, which installs the right one.")
    if not cpu and not found["gpus"]:
        fix = "Compare the driver with the CUDA version, and look at CUDA_VISIBLE_DEVICES."
        _refuse(console, f"driver {driver}, and no GPU that TensorFlow with CUDA {found['cuda']} can use", fix)
    return {**found, "gpus": [] if cpu else found["gpus"], "driver": driver, "date": time.strftime("%Y-%m-%d")}


def _refuse(console: Console, got: str, fix: str) -> NoReturn:
    expected = "a machine with an NVIDIA GPU, its driver and TensorFlow with CUDA"
    console.print(refusal("GPU", got, expected, fix), style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(_UNABLE)


@click.command()
@click.option("--cpu", is_flag=True, help="Try the command without a GPU, with tiny sizes. Its numbers mean nothing.")
@click.option("--quick", is_flag=True, help="Fewer cases and shorter measurements.")
@click.option("--timeout", default=900.0, show_default=True, type=click.FloatRange(1), help="Seconds per case.")
@click.option("--json", "json_output", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--output",
    default=Path("build/gpu-check"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for report.md, report.json, plot.svg and the JPEG files.",
)
def main(cpu: bool, quick: bool, timeout: float, json_output: bool, output: Path) -> None:
    """Check and measure the trainer on the GPUs of this machine.

    Each case runs in processes of its own. The report is written after each case, also before an interruption.

    \b
    Exit codes:
      0    All cases ran, or did not fit into the memory.
      1    A case failed; the report has its error.
      2    There is no GPU that TensorFlow can use.
      130  Interrupted; the report has the cases so far.
    """  # noqa: D301 - click reads the escape
    console = Console(stderr=True)
    if cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    machine = _machine(console, cpu=cpu, timeout=timeout)
    size = Size(cpu=cpu, quick=quick, gpus=len(machine["gpus"]))
    output = output.absolute()
    if (size.gpus > 1 or cpu) and (why := network.isolate()):
        console.print(f"TensorFlow's ports are open to the network: {why}", highlight=False, markup=False)

    def run(case: Case) -> dict[str, Any]:
        with console.status(case.name):
            return processes.run(case, gpus=size.gpus, timeout=timeout)

    def show(case: Case, result: dict[str, Any]) -> None:
        rate = f"{result['examplesPerSecond']:,.0f} examples/s" if "examplesPerSecond" in result else ""
        console.print(f"{result['status']:14}{case.name}  {rate}", highlight=False, markup=False)

    session = Session(machine, output, run, show)
    try:
        session.all(size)
    except KeyboardInterrupt:
        session.write(complete=False)
        console.print(f"Interrupted: {output / 'report.md'} has the cases so far.", highlight=False, markup=False)
        sys.exit(_INTERRUPTED)
    console.print(f"written to {output / 'report.md'}", highlight=False, markup=False)
    if json_output:
        click.echo(json.dumps(session.as_json(complete=True), indent=1))
    if any(result["status"] not in (processes.OK, processes.NO_MEMORY) for _, result in session.entries):
        sys.exit(1)


if __name__ == "__main__":
    main()
