"""The Markdown pages: links lead somewhere, commands exist, and a reader finds every page."""

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from tests.conventions.repository import ROOT, anchors, commands, links, pages
from tfd.jobfile.jobfile import JobFile

ENTRIES = ("README.md", "docs/index.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def resolve(page: str, target: str) -> tuple[str, str]:
    """Return the path in the repository and the anchor that a link of a page leads to."""
    path, _, anchor = target.partition("#")
    found = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
    return str(PurePosixPath(found.relative_to(ROOT))), anchor


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_to_a_file_and_an_anchor(page: str) -> None:
    broken = []
    for target in links(page):
        path, anchor = resolve(page, target)
        if not (ROOT / path).exists() or (anchor and path.endswith(".md") and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_every_page_of_docs_is_reachable() -> None:
    todo = [entry for entry in ENTRIES if (ROOT / entry).exists()]
    reached = set(todo)
    while todo:
        page = todo.pop()
        for path in (resolve(page, target)[0] for target in links(page)):
            # GitHub shows a folder as a list of its files.
            files = (
                [path] if not (ROOT / path).is_dir() else [f"{path}/{each.name}" for each in (ROOT / path).iterdir()]
            )
            new = [name for name in files if name.endswith(".md") and name not in reached]
            reached.update(new)
            todo += new
    assert sorted(page for page in pages() if page.startswith("docs/") and page not in reached) == []


def test_every_make_target_of_a_page_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = {
        (word, page)
        for page in pages()
        for command in commands(page)
        for call in re.findall(r"(?:^|&& )make ((?:[a-z0-9-]+(?:=\S+)?(?: |$))+)", command)
        for word in call.split()
        if "=" not in word
    }
    assert {"demo", "test", "cluster"} <= {word for word, _ in named}
    assert sorted((page, word) for word, page in named if word not in targets) == []


def test_every_make_target_has_a_help_text() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.M)
    helped = re.findall(r"^([a-z0-9-]+):[^#\n]*## [A-Z]", makefile, flags=re.M)
    assert sorted(phony.split()) == sorted(helped)


def test_job_file_of_the_readme_is_accepted(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(# jobs/.*?)```", README, flags=re.S)
    path = ROOT / text.splitlines()[0].removeprefix("# ")
    copy = tmp_path / path.parent.name / path.name
    copy.parent.mkdir()
    copy.write_text(text)
    assert JobFile(copy).problems() == []
    assert len(text.splitlines()) <= 15


def test_generated_pages_are_up_to_date() -> None:
    command = [sys.executable, "scripts/docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
