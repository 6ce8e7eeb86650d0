"""The page of the command line: each command of `tfd` and of the trainer, with its arguments and options."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator

import click
from chart_docs import cell

from tfd.cli import main
from trainer.__main__ import parser as trainer_parser
from trainer.check.command import parser as check_parser

VERBATIM = "\b"
"""What click writes above a paragraph whose lines stay as they are."""


def command_line() -> str:
    """Return the sections of all commands."""
    return "\n\n".join([*_tfd(), *_trainer()])


def _tfd() -> Iterator[str]:
    top = click.Context(main, info_name="tfd")
    for name, command in ((name, main.get_command(top, name)) for name in main.list_commands(top)):
        if command is None:
            continue
        context = click.Context(command, info_name=name, parent=top)
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        records = [each.get_help_record(context) for each in command.get_params(context)]
        # `--help` is the same everywhere, and click has no text for an argument: the help of the command names it.
        rows = [(option, text) for option, text in filter(None, records) if text and "--help" not in option]
        yield f"## `tfd {name}`\n\n`{usage}`\n\n{_help(command.help or '')}{_table(rows)}"


def _help(text: str) -> str:
    """Return a help text of click as Markdown."""
    shown = ""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith(VERBATIM):
            shown += f"```text\n{paragraph.removeprefix(VERBATIM).strip(chr(10))}\n```\n\n"
        elif paragraph.startswith("Example"):
            shown += f"```text\n{paragraph}\n```\n\n"
        else:
            # Each sentence stands on a line of its own. A code span may have a full stop.
            words = " ".join(paragraph.split())
            shown += (
                re.sub(r"`[^`]*`|\. ", lambda found: found[0].replace(". ", ".\n", found[0] == ". "), words) + "\n\n"
            )
    return shown.rstrip("\n")


def _trainer() -> Iterator[str]:
    for parser in (trainer_parser(), check_parser()):
        rows = [
            (_option(action), action.help or "")
            for action in parser._actions
            if not isinstance(action, argparse._HelpAction)
        ]
        text = (parser.description or "").strip()
        shown = _help(text) if parser.usage is None else f"```text\n{text}\n```"
        yield f"## `{parser.prog}`\n\n{shown}{_table(rows)}"


def _option(action: argparse.Action) -> str:
    values = "|".join(action.choices) if action.choices else str(action.metavar or "")
    return " ".join(filter(None, [", ".join(action.option_strings) or action.dest.upper(), values]))


def _table(rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    head = "\n\n| option | effect |\n| --- | --- |\n"
    return head + "\n".join(f"| `{cell(option)}` | {cell(' '.join(text.split()))} |" for option, text in rows)
