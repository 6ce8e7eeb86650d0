"""The Chromium of the machine, for tests of pages. `make workbench-test` and `make docs-test` install Playwright."""

from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which

import pytest

CHROMIUM = which("chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: run make docs-test")
NEEDED = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: run apt-get install chromium"),
]
"""The marks of a test with a browser."""


@contextmanager
def chromium() -> Iterator["sync_api.Browser"]:
    """Start Chromium without a window."""
    with sync_api.sync_playwright() as playwright:
        # Its sandbox needs rights that root in a container lacks. The tests open only pages of this machine.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()
