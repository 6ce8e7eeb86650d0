"""Each block of commands in the pages is run by a test or has a reason, and its options exist."""

import ast
import importlib
from collections.abc import Iterator

import click
import pytest

from tests.conventions.repository import ROOT
from tests.pages.blocks import Block, blocks
from tfd.cli import main
from trainer.check.command import parser

BLOCKS = blocks()


def names_of_tests(path: str) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def of_tfd() -> Iterator[tuple[Block, list[str]]]:
    """Yield the words behind each `tfd`."""
    for block in BLOCKS:
        yield from ((block, command[1:]) for command in block.commands() if command[0] == "tfd")


def test_pages_have_commands() -> None:
    assert len(BLOCKS) > 40
    assert {"", "run by", "not run"} == {block.mark for block in BLOCKS}


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.tests], ids=lambda block: block.name)
def test_tests_that_a_mark_names_exist_and_use_the_commands(block: Block) -> None:
    text = ""
    for test in block.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), f"{block.name}: {path} does not exist"
        assert not name or name in names_of_tests(path), f"{block.name}: {path} has no {name}"
        text += (ROOT / path).read_text(encoding="utf-8")
    used = [command[1] for command in block.commands() if command[0] == "tfd" and not command[1].startswith("-")]
    assert [name for name in used if name not in text] == []


def test_options_of_tfd_exist() -> None:
    wrong = []
    for block, (name, *words) in of_tfd():
        command = main.get_command(click.Context(main), name) if not name.startswith("-") else main
        if command is None:
            wrong.append(f"{block.name}: tfd {name}")
            continue
        try:
            # The parser has the options. It reads no file and starts nothing.
            command.make_parser(click.Context(command, info_name=name, **command.context_settings)).parse_args(words)
        except click.UsageError as error:
            wrong.append(f"{block.name}: tfd {name}: {error.message}")
    assert wrong == []


def test_options_of_the_trainer_and_modules_of_python_exist() -> None:
    for block in BLOCKS:
        for command in block.commands():
            if command[:2] == ["python", "-m"]:
                assert importlib.util.find_spec(command[2].split(".")[0]), block.name
            if command[:4] == ["python", "-m", "trainer", "check"]:
                parser().parse_args(command[4 : command.index(">") if ">" in command else None])


def test_files_that_commands_of_a_checkout_name_exist() -> None:
    named = {word for block in BLOCKS for command in block.commands() for word in command}
    folders = ("jobs/examples/", "scripts/", "charts/", "monitoring/", "trainer/")
    found = {word for word in named if word.startswith(folders)}
    assert found
    assert sorted(word for word in found if not (ROOT / word).exists()) == []
