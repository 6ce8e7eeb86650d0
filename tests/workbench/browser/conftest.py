"""The workbench that the browser tests open, and what they print when they fail."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.workbench.browser.start import ROOT, TFD, environment, free_port, name_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FAILURES = ROOT / "build" / "browser-failures"
SLOW = 300_000  # Milliseconds: TensorFlow starts several times, perhaps on a busy machine.
# A chief that trains, and an evaluator, whose accuracies are a curve.
RUN = {
    "storage": {"claim": "runs"},
    "trainer": {"task": "digits", "steps": 200, "checkpointEvery": 50, "summaryEvery": 10},
    "evaluator": {"replicas": 1},
}


@dataclass(frozen=True)
class Workbench:
    editor: str
    board: str
    token: str


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, help="Folder for the pictures of the README and of the guide.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the page shows to the report of a test that fails."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and page is not None:
        FAILURES.mkdir(parents=True, exist_ok=True)
        picture = FAILURES / f"{name_of(item.name)}.png"
        page.screenshot(path=picture)
        shown = page.evaluate("document.body.innerText")
        report.sections.append(("page", f"{page.url}\nscreenshot: {picture}\n{shown}"))
    return report


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of a team: one run that is done."""
    folder = tmp_path_factory.mktemp("team")
    job = tmp_path_factory.mktemp("jobs") / "digits-42.yaml"
    job.write_text(json.dumps(RUN))
    words = [TFD, "run", job, "--dir", folder, "--plain"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture(scope="session")
def workbench(team: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A workbench with a folder of its own, next to the runs of the team."""
    home = tmp_path_factory.mktemp("home")
    ports = ["--port", str(free_port()), "--tensorboard-port", str(free_port())]
    process = subprocess.Popen(
        [TFD, "workbench", "--dir", home / "work", "--runs", team, *ports],
        env=environment(home / "user"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    addresses: list[str] = []
    for line in process.stdout:
        addresses += re.findall(r"^(?:JupyterLab|TensorBoard) +(\S+)$", line)
        if len(addresses) == 2:
            break
    [editor, token], [board, _] = (address.split("?token=") for address in addresses)
    yield Workbench(editor, board, token)
    process.terminate()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # Without Playwright, this import skips a test. At the top of this file it would be an error.
    from tests.chromium import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without cookies."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(SLOW)
    yield context.new_page()
    context.close()


def still(page: Page) -> bytes:
    """Wait until nothing moves on a page, and return its picture."""
    before, now = b"", page.screenshot()
    end = time.monotonic() + SLOW / 1000
    while before != now:
        assert time.monotonic() < end, "The page moves all the time."
        page.wait_for_timeout(1000)
        before, now = now, page.screenshot()
    return now


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Any, str], None]:
    """Return a function that takes a picture of a page, with --pictures."""
    folder = request.config.getoption("--pictures", default=None)

    def take(page: Page, name: str) -> None:
        if folder is not None:
            (folder / f"{name}.png").write_bytes(still(page))

    return take
