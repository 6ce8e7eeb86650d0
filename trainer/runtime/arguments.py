"""The argument parser of `python -m trainer` and `python -m trainer check`."""

from __future__ import annotations

import argparse
from typing import NoReturn

from trainer.runtime.errors import ConfigError, Words


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser that raises a `ConfigError` for an invalid command line."""

    def error(self, message: str) -> NoReturn:
        """Raise a `ConfigError` instead of an exit.

        Raises:
            ConfigError: always, with the `message` of argparse.

        """
        raise ConfigError(
            "args",
            got=Words(f"an invalid command line ({message})"),
            expected=f"the arguments of {self.prog}",
            fix=f"Run {self.prog} --help for the list",
        )
