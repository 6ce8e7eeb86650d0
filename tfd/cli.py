"""The group of all `tfd` commands; each command is a module of `tfd.commands`."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = (
    "init", "check", "chart-diff", "plan", "try", "run", "new", "import", "review", "doctor", "status", "runs",
    "compare", "logs", "tensorboard", "workbench",
)  # fmt: skip
# Python allows no such names for modules.
_MODULES = {"import": "import_", "try": "try_", "chart-diff": "chart_diff"}


class _Commands(click.Group):
    """Imports the module of a command when it is used: all together take longer than most commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"tfd.commands.{_MODULES.get(cmd_name, cmd_name)}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tf-distributed", prog_name="tfd")
def main() -> None:
    """Check, plan, run, review and observe the training runs that job files describe."""
