"""Start the `tfd` command with `python -m tfd`."""

from tfd.cli import main

main(prog_name="tfd")
