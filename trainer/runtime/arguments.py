"""The base of both command lines: `python -m trainer` and `python -m trainer check`."""

from __future__ import annotations

import argparse
from typing import NoReturn

from trainer.runtime.errors import ConfigError, Words


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser whose errors are refusals like those of any other input."""

    def error(self, message: str) -> NoReturn:
        """Raise a `ConfigError` in place of argparse's own exit."""
        raise ConfigError(
            "args",
            got=Words(f"an invalid command line ({message})"),
            expected=f"the arguments of {self.prog}",
            fix=f"Run {self.prog} --help for the list",
        )
