"""Every notebook of the workbench runs from top to bottom, and git has it without outputs."""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "workbench" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS_OF_A_CELL = 600

# What a notebook prints when its point has been made.
PRINTED = {
    "1-hello-world": ["2 + 3 = 5.0", "refused: FailedPreconditionError", "second call: 10.0"],
    "2-devices": ["/job:localhost/replica:0/task:0/device:CPU:1", "soft placement:", "without it:"],
    "3-training-is-a-search": ["learning rate 0.1: a = 2.9", "vegalite.v5"],
    "4-inception-v3": ["trainable 23,817,352", "5.71 billion multiply-adds", "3.81 days"],
    "5-from-notebook-to-run": ["parameters    2", "line-1 is done", "Merging starts 1 run"],
    "6-finished-run": ["exit codes [0, 0]", "images are right", "vegalite.v5"],
}


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


def test_each_notebook_has_an_expectation() -> None:
    assert names(NOTEBOOKS) == list(PRINTED)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
def test_notebook_has_no_outputs_and_one_form(path: Path) -> None:
    """One form means small diffs: JupyterLab writes a notebook like this."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert path.read_text(encoding="utf-8") == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def outputs(notebook: Any) -> str:
    """Return all outputs of a notebook as one text. A kernel may cut what is printed anywhere into several outputs."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output["text"] for output in found if output["output_type"] == "stream")
    return printed + json.dumps([output for output in found if output["output_type"] != "stream"], ensure_ascii=False)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
# The kernel is another process; what the client's libraries warn about is not ours.
@pytest.mark.filterwarnings("default")
def test_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    # A socket file in place of a port, which another test could take.
    kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=str(tmp_path / "kernel"))
    client = NotebookClient(
        notebook, km=kernel, timeout=SECONDS_OF_A_CELL, resources={"metadata": {"path": str(tmp_path)}}
    )
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # With a manager of the caller, nbclient keeps the kernel and its sockets open by default.
    client.execute(cleanup_kc=True, env={**os.environ, "PATH": programs, "TF_CPP_MIN_LOG_LEVEL": "2"})
    gc.collect()  # sockets that are left would otherwise be a warning, and an error, in another test
    printed = outputs(notebook)
    assert [text for text in PRINTED[path.stem] if text not in printed] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
def test_failing_command_fails_its_cell(path: Path) -> None:
    """IPython ignores the exit code of `!command`, and bash without -e ignores all but the last one."""
    for cell in nbformat.read(path, as_version=4).cells:
        assert not [line for line in cell.source.splitlines() if line.startswith("!")]
        if cell.source.startswith("%%bash"):
            assert cell.source.startswith("%%bash\nset -e\n")
