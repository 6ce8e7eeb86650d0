"""`python -m release`."""

from release.cli import main

main(prog_name="python -m release")
