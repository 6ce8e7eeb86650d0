"""The workbench in a browser: a notebook, its graph, the curves of a run, and no entry without the token."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chromium import NEEDED
from tests.workbench.browser.conftest import SLOW, Workbench, still
from tests.workbench.browser.start import WORKBENCH_PYTHON

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    *NEEDED,
    pytest.mark.skipif(not WORKBENCH_PYTHON.exists(), reason=".venv-workbench is missing: run tfd workbench"),
]


def wait_for_kernel(workbench: Workbench, page: "Page") -> None:
    """Wait until JupyterLab is connected to a kernel that computes nothing."""
    end = time.monotonic() + SLOW / 1000
    address = f"{workbench.editor.removesuffix('/lab')}/api/sessions"
    while True:
        kernels = [each["kernel"] for each in page.request.get(address).json()]
        if any(each["execution_state"] == "idle" and each["connections"] for each in kernels):
            return
        assert time.monotonic() < end, kernels
        page.wait_for_timeout(500)


@pytest.mark.parametrize("query", ["", "?token=wrong"])
def test_wrong_token_opens_nothing(workbench: Workbench, page: "Page", query: str) -> None:
    page.goto(workbench.editor + query)
    assert "/login" in page.url
    assert page.locator("#jp-main-dock-panel").count() == 0
    for path in ("", "data/runs", "data/plugin/scalars/tags"):
        answer = page.goto(workbench.board + path + query)
        assert answer is not None and answer.status == 403
        assert "expected the token of the workbench" in page.content()


def test_hello_world_runs_and_tensorboard_opens_its_addition(
    workbench: Workbench, page: "Page", picture: Callable[["Page", str], None]
) -> None:
    page.goto(f"{workbench.editor}/tree/1-hello-world.ipynb?token={workbench.token}")
    notebook = page.locator(".jp-NotebookPanel")
    # Before its kernel has started, the notebook shows an idle one, and would ask for one.
    wait_for_kernel(workbench, page)
    notebook.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    page.locator(".lm-MenuBar-item", has_text="Run").click()
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
    last = notebook.locator(".jp-CodeCell", has_text="def add(")
    last.locator(".jp-OutputArea-output", has_text="second call: 10.0").wait_for()
    assert last.locator(".jp-InputPrompt").all_inner_texts()[-1] == "[7]:"
    for output in ("2 + 3 = 5.0", "refused: FailedPreconditionError"):
        assert notebook.locator(".jp-OutputArea-output", has_text=output).count() == 1
    notebook.get_by_role("heading", name="Run the graph").scroll_into_view_if_needed()
    picture(page, "workbench-editor")

    page.goto(f"{workbench.board}?token={workbench.token}#graphs&run=logs%2Fhello-world")
    assert workbench.token not in page.url
    addition = page.locator("g.node[data-name=addition] ellipse")
    addition.wait_for()
    # A click while TensorBoard fits its graph into the page opens nothing.
    still(page)
    addition.click()
    page.get_by_text("Operation: AddV2").wait_for()
    picture(page, "workbench-tensorboard")


def test_curves_of_a_finished_run_are_visible(workbench: Workbench, team: Path, page: "Page") -> None:
    page.goto(f"{workbench.board}?token={workbench.token}#timeseries")
    card = page.locator("scalar-card", has=page.locator("[title=accuracy]"))
    row = card.locator("tb-data-table-content-row", has_text="team/digits-42/logs/eval")
    found = json.loads((team / "digits-42" / "DONE").read_text())
    row.get_by_text(f"{found['metrics']['accuracy']:.4g}", exact=True).first.wait_for()

    page.goto(f"{workbench.board}#scalars")
    page.reload()  # The page of TensorBoard is the same one for every fragment.
    page.locator("tf-tag-filterer input").fill("^(accuracy|loss)$")
    for tag in ("accuracy", "loss"):
        chart = page.locator("tf-scalar-card", has_text=f"tag: {tag}").first
        curve = chart.locator("path.line[d*=L]").first
        curve.wait_for(state="attached")
        assert (curve.bounding_box() or {"width": 0})["width"] > 0
