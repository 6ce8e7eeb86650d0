"""The documentation site in a browser, as a reader uses it. `make docs-test` builds it first."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.chromium import NEEDED, chromium, sync_api

SITE = Path(__file__).resolve().parents[2] / "build" / "site"
pytestmark = [*NEEDED, pytest.mark.skipif(not SITE.exists(), reason="build/site is missing: run make docs-test")]


class Quiet(SimpleHTTPRequestHandler):
    """Serve files without a log."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The site, at a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: "sync_api.Browser", address: str) -> Iterator["sync_api.Page"]:
    """A page whose requests all reach the site, succeed and leave no error in the console."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)  # Milliseconds, for a busy machine.
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("request", lambda each: None if each.url.startswith(address) else wrong.append(f"elsewhere: {each.url}"))
    opened.on("response", lambda each: wrong.append(f"{each.status}: {each.url}") if each.status >= 400 else None)
    opened.on("console", lambda each: wrong.append(f"console: {each.text}") if each.type == "error" else None)
    yield opened
    context.close()
    assert wrong == []


def test_reader_finds_a_page_by_a_word_and_reads_it(page: "sync_api.Page", address: str) -> None:
    page.goto(address)
    page.locator("button.search-button__button:visible").first.click()
    page.locator("input[type=search]:visible").first.fill("orphanTimeout")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=orphanTimeout")
    hit = page.locator("#search-results a", has_text="Exit codes").first
    hit.click()
    page.wait_for_url("**/reference/exit-codes.html*")
    assert page.locator("article h1").inner_text().startswith("Exit codes")
    assert page.locator("article table").first.is_visible()
    assert "failure.orphanTimeout" in page.locator("article table").first.inner_text()


@pytest.mark.parametrize("section", ["ML engineer", "Platform engineer", "Reference", "Contributor"])
def test_each_section_leads_from_the_first_page_to_its_pages(page: "sync_api.Page", address: str, section: str) -> None:
    page.goto(address)
    page.locator("header nav").get_by_role("link", name=section, exact=True).first.click()
    page.locator("article h1", has_text=section).wait_for()
    page.locator("article .toctree-wrapper a").first.click()
    page.locator("article h1:visible", has_not_text=section).wait_for()


def test_narrow_screen_shows_the_first_page_without_a_horizontal_bar(page: "sync_api.Page", address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(address)
    assert page.locator("article h1").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_every_page_loads_its_images(page: "sync_api.Page", address: str) -> None:
    pages = [path.relative_to(SITE) for path in SITE.rglob("*.html") if "<img" in path.read_text(encoding="utf-8")]
    assert pages
    for each in pages:
        page.goto(f"{address}/{each}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("[...document.images].filter(each => !each.naturalWidth).map(each => each.src)") == []
