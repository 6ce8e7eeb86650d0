"""The manifests of the examples are in git, so that a diff shows the effect of a change of the chart."""

import difflib
import os
import subprocess
from pathlib import Path

from tests.chart.rendering import EXAMPLES, GOLDEN, ROOT, tool

ENVIRONMENT = os.environ | {"PATH": f"{Path(tool('helm4')).parent}:{os.environ['PATH']}"}


def manifests(folder: Path) -> dict[str, str]:
    """Return the texts of the manifests and of the list of keys, by their path in a folder of goldens."""
    found = [*folder.glob("*.*"), *(folder / "workbenches").glob("*.*")]
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def test_goldens_are_what_golden_sh_writes(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "golden.sh", tmp_path], check=True, env=ENVIRONMENT)
    committed = manifests(GOLDEN)
    written = manifests(tmp_path / "golden")
    changes = [
        line
        for name in sorted(committed.keys() | written.keys())
        for line in difflib.unified_diff(
            committed.get(name, "").splitlines(),
            written.get(name, "").splitlines(),
            f"tests/golden/{name}",
            "now",
            n=2,
            lineterm="",
        )
    ]
    assert not changes, "Read the diff. Run `make golden` if it is intended.\n" + "\n".join(changes[:200])


def test_golden_sh_keeps_the_goldens_when_a_job_does_not_render(tmp_path: Path) -> None:
    """The script runs in a copy of the project with one bad example."""
    for name in ("charts", "schema", "scripts", "tests/golden", "jobs/examples", "workbenches"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-r", ROOT / name, tmp_path / name], check=True)
    (tmp_path / "jobs" / "examples" / "bad.yaml").write_text("storage: {}\n")
    done = subprocess.run(
        [tmp_path / "scripts" / "golden.sh"], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "golden: jobs/examples/bad.yaml does not render:" in done.stderr
    assert {path.name for path in (tmp_path / "tests" / "golden").iterdir()} == {p.name for p in GOLDEN.iterdir()}


def test_every_example_has_a_golden_and_every_golden_an_example() -> None:
    assert {path.name for path in EXAMPLES} == {path.name for path in GOLDEN.glob("*.yaml")}
    examples = {path.name for path in (ROOT / "workbenches" / "examples").iterdir()}
    assert examples == {path.name for path in (GOLDEN / "workbenches").iterdir()}
