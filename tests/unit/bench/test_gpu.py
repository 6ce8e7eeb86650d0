"""`make gpu-check`: its cases, its search for the largest batch, its report, and its words without a GPU."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.gpu import cases, plot, processes, report
from bench.gpu.__main__ import main
from bench.gpu.cards import CARDS, find
from bench.gpu.cases import Case, Size
from bench.gpu.session import Session
from tests.chart.rendering import ROOT
from tests.grammar import GRAMMAR

H200: dict[str, Any] = {
    "gpus": [{"name": "NVIDIA H200"}],
    "driver": "570.1",
    "tensorflow": "2.21.0",
    "date": "2026-01-01",
}
ONE = Size(cpu=False, quick=True, gpus=1)
RESULT = {
    "status": processes.OK, "examplesPerSecond": 1000.0, "secondsPerStep": 0.032, "inputWaitShare": 0.01,
    "peakMemoryBytes": 2_000_000_000, "startToFirstStepSeconds": 9.5, "replicas": 1, "flopsPerExample": 24e9,
}  # fmt: skip


def session(folder: Path, run: Callable[[Case], dict[str, Any]]) -> Session:
    return Session(H200, folder, run, lambda case, result: None)


@pytest.mark.parametrize(
    ("name", "float32", "half"),
    [
        ("Tesla V100-SXM2-16GB", 15.7, 125),
        ("Tesla T4", 8.1, 65),
        ("NVIDIA A100-SXM4-80GB", 156, 312),
        ("NVIDIA A10", 62.5, 125),
        ("NVIDIA L4", 60, 121),
        ("NVIDIA L40S", 183, 362),
        ("NVIDIA H100 80GB HBM3", 494.5, 989.5),
        ("NVIDIA H100 PCIe", 378, 756.5),
        ("NVIDIA H100 NVL", 417.5, 835.5),
        ("NVIDIA H200", 494.5, 989.5),
    ],
)
def test_a_card_is_found_by_the_name_of_its_driver(name: str, float32: float, half: float) -> None:
    card = find(name)
    assert card is not None
    assert (card.float32, card.half) == (float32, half)


@pytest.mark.parametrize("name", ["NVIDIA A10G", "NVIDIA L40", "NVIDIA GeForce RTX 9090", "Tesla P100-PCIE-16GB", ""])
def test_an_unknown_card_has_no_peak(name: str) -> None:
    assert find(name) is None


def test_each_peak_has_a_source_and_old_cards_have_no_bfloat16() -> None:
    assert all(card.source.startswith("https://") for card in CARDS)
    [turing] = [card for card in CARDS if "T4" in card.pattern]
    assert turing.peak("mixed_bfloat16") is None
    assert turing.peak("mixed_float16") == 65e12


def test_utilization_is_the_share_of_the_peak_of_all_gpus() -> None:
    case = Case(group="task", task="resnet50", precision="mixed_bfloat16", batch=32)
    result = {**RESULT, "replicas": 2}
    report.add_utilization(case, result, H200["gpus"])
    assert result["mfu"] == pytest.approx(1000 * 24e9 / (2 * 989.5e12))
    report.add_utilization(case, result, [{"name": "GeForce"}])
    assert result["mfu"] is None
    text = report.markdown({**H200, "gpus": [{"name": "GeForce"}]}, [(case, result)], plot=False, complete=True)
    assert "Unknown card: bench/gpu/cards.py has no peak for GeForce" in text
    assert "| 1,000 | 32.00 ms | unknown | 1.0% | 2.00 GB | 9.5 s |" in text


def test_every_built_in_task_runs_under_every_strategy_and_precision_with_and_without_xla() -> None:
    from trainer.task import BUILT_IN

    assert set(cases.TASKS) == set(BUILT_IN)
    found = {
        (each.task, each.strategy, each.precision, each.xla) for each in cases.tasks(replace(ONE, quick=False, gpus=2))
    }
    expected = {
        (task, strategy, precision, xla)
        for task in cases.TASKS
        for strategy in ("OneDevice", "Mirrored", "MultiWorkerMirrored")
        for precision in cases.PRECISIONS
        for xla in (False, True)
    }
    refused = {each for each in expected if each[0] == "recommender" and each[2] == "mixed_float16"}
    assert found == expected - refused
    assert all(each.strategy != "MultiWorkerMirrored" for each in cases.tasks(ONE))


def test_the_batch_is_doubled_until_it_does_not_fit(tmp_path: Path) -> None:
    ran: list[Case] = []

    def run(case: Case) -> dict[str, Any]:
        ran.append(case)
        return dict(RESULT) if case.batch <= 128 else {"status": processes.NO_MEMORY, "error": "RESOURCE_EXHAUSTED"}

    session(tmp_path, run).all(ONE)
    tried = [each.batch for each in ran if each.group == "batch" and each.task == "resnet50"]
    assert tried == [32, 64, 128, 256]
    assert {each.batch for each in ran if each.group in ("xla", "jpeg", "pair")} == {128}
    sides = [(each.side, each.xla) for each in ran if each.group == "pair" and each.task == "resnet50"]
    assert sides == [(side, xla) for xla in (False, True) for side in ("trainer", "handwritten", "keras_fit")]
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["complete"] and len(written["cases"]) == len(ran)
    text = (tmp_path / "report.md").read_text()
    assert "| resnet50 | OneDevice | mixed_bfloat16 | no | 256 | out of memory | - | - | - | - | - |" in text
    assert "| resnet50 | mixed_bfloat16 | no | 128 | keras fit | 1,000 | 1,000 | 1.000 | 1 |" in text
    assert "## Failures" not in text


def test_a_failed_case_is_listed_and_the_others_run(tmp_path: Path) -> None:
    def run(case: Case) -> dict[str, Any]:
        return {"status": processes.FAILED, "error": "no ``` kernel"} if case.xla else dict(RESULT)

    found = session(tmp_path, run)
    found.all(ONE)
    failed = sum(case.xla for case, _ in found.entries)
    text = (tmp_path / "report.md").read_text()
    assert text.count("no  kernel") == failed
    assert f"and {failed} failed" in text


def test_an_interrupted_check_keeps_what_was_measured(tmp_path: Path) -> None:
    left = iter(range(3))

    def run(case: Case) -> dict[str, Any]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return dict(RESULT)

    with pytest.raises(KeyboardInterrupt):
        session(tmp_path, run).all(ONE)
    written = json.loads((tmp_path / "report.json").read_text())
    assert (written["complete"], len(written["cases"])) == (False, 3)
    assert "The check was interrupted" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "ResourceExhaustedError: OOM when allocating tensor with shape[4096,64]",
        "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes",
        "InternalError: Failed to allocate scratch space",
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    ],
)
def test_errors_of_too_little_memory(text: str) -> None:
    assert processes.out_of_memory(text)
    assert not processes.out_of_memory("InvalidArgumentError: shapes differ")


def test_a_case_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    found = processes.run(Case(group="task", task="digits", batch=8), gpus=0, timeout=0.01)
    assert found["status"] == processes.TIMEOUT


@pytest.mark.slow
def test_a_case_that_raises_an_error_is_failed_with_it() -> None:
    found = processes.run(Case(group="task", task="digits", batch=8, side="nothing"), gpus=0, timeout=200.0)
    assert found == {"status": processes.FAILED, "error": "KeyError: 'nothing'"}


def test_without_a_driver_the_check_ends_with_2_and_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 2
    assert GRAMMAR.fullmatch(done.stderr.strip()), done.stderr
    assert "no NVIDIA driver" in done.stderr


def test_the_script_of_make_ends_with_2_before_it_installs_anything(tmp_path: Path) -> None:
    for program in ("bash", "dirname", "env"):
        (tmp_path / program).symlink_to(Path("/usr/bin") / program)
    done = subprocess.run(
        [ROOT / "scripts" / "gpu-check.sh"], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert GRAMMAR.fullmatch(done.stderr.removeprefix("gpu-check: ").strip()), done.stderr


def test_the_plot_has_a_line_per_model_and_precision(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="only the environment of make gpu-check has matplotlib")
    entries = [(Case(group="batch", task="resnet50", batch=batch), dict(RESULT)) for batch in (32, 64)]
    assert plot.draw(entries, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()
    assert not plot.draw([], tmp_path / "plot.svg")
