"""The steps of a page: commands, their output and files."""

from pathlib import Path

import pytest

from devcluster.shell import DevclusterError
from release.pages import Step, steps
from release.walkthrough import PAGE

FENCE = "```"


def page(folder: Path, *blocks: str) -> Path:
    path = folder / "page.md"
    path.write_text("\n\n".join(["# Title", *blocks]))
    return path


def block(language: str, text: str) -> str:
    return f"{FENCE}{language}\n{text}{FENCE}"


def test_page_has_commands_with_output_and_files(tmp_path: Path) -> None:
    blocks = (block("sh", "ls\n"), block("text", "a ...\n"), block("python", "# a/b.py\nx = 1\n"))
    assert list(steps(page(tmp_path, *blocks))) == [
        Step(3, "ls\n", output="a ...\n"),
        Step(11, "# a/b.py\nx = 1\n", path="a/b.py"),
    ]


def test_marked_block_is_skipped_and_the_next_one_is_not(tmp_path: Path) -> None:
    blocks = ("<!-- not run: no Docker here. -->\n" + block("sh", "docker build .\n"), block("sh", "ls\n"))
    assert [each.skipped for each in steps(page(tmp_path, *blocks))] == ["no Docker here.", ""]


def test_block_that_is_neither_commands_nor_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DevclusterError, match=r'page.md:3: got a block "console"; expected commands or a file\.'):
        list(steps(page(tmp_path, block("console", "$ ls\n"))))


def test_each_skipped_block_of_the_first_page_has_a_reason() -> None:
    found = list(steps(PAGE))
    assert {each.path for each in found if each.path} == {"houses/price.py", "jobs/vision/price-1.yaml", "Dockerfile"}
    assert [each.text.split()[0] for each in found if each.skipped] == ["curl", "docker"]


@pytest.mark.parametrize(
    ("output", "shown"), [("", True), ("a 1\n", True), ("a ...\n", True), ("a 2\n", False), ("a\n", False)]
)
def test_page_shows_what_its_commands_print(output: str, shown: bool) -> None:
    assert Step(1, "ls\n", output=output).shows("a  1\n") is shown
