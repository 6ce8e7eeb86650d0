"""The documentation site has every page, and its links lead to pages or to the repository."""

import re
import tomllib

import pytest

from scripts.docs_site.sources import load, on_site
from tests.conventions.repository import ROOT, pages

SITE = load()
LISTED = [
    re.sub(r".*<(.*)>", r"\1", page) for section in SITE["sections"] for page in section.get("pages", [section["page"]])
]


def test_each_page_of_docs_has_one_place_on_the_site() -> None:
    files = {name.removeprefix("docs/") for name in pages() if name.startswith("docs/")} - {"index.md"}
    records = {name for name in files if name.startswith("decisions/")}
    assert sorted(LISTED) == sorted({*files - records, *SITE["pages"].values(), "decisions/*"})


def test_pages_outside_docs_exist() -> None:
    assert [path for path in SITE["pages"] if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize(
    ("source", "page", "link", "expected"),
    [
        ("docs/index.md", "index.md", "../README.md#storage", "about.md#storage"),
        ("README.md", "about.md", "docs/review.md", "review.md"),
        ("argocd/README.md", "platform/argocd.md", "../docs/platform/queues.md", "queues.md"),
        (
            "docs/guides/sweeps.md",
            "guides/sweeps.md",
            "../../charts/workbench/README.md",
            "../reference/workbench-file.md",
        ),
        ("README.md", "about.md", "docs/decisions", "decisions/index.md"),
        ("README.md", "about.md", "jobs/examples", f"{SITE['repository']}/tree/main/jobs/examples"),
        ("docs/review.md", "review.md", "../review.yaml", f"{SITE['repository']}/blob/main/review.yaml"),
        ("docs/review.md", "review.md", "https://example.com", "https://example.com"),
        ("docs/review.md", "review.md", "#limits", "#limits"),
    ],
)
def test_link_leads_to_the_same_page_on_the_site(source: str, page: str, link: str, expected: str) -> None:
    assert on_site(f"See [it]({link}).", source, page, SITE) == f"See [it]({expected})."


def test_code_keeps_its_text() -> None:
    text = "`[a](../README.md)`\n\n```sh\necho '[a](../README.md)'\n```\n"
    assert on_site(text, "docs/index.md", "index.md", SITE) == text


def test_address_of_the_repository_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert SITE["repository"] == project["urls"]["Repository"]
