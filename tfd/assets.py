"""Where the files are that `tfd` reads and that are not Python: chart, schemas, examples, notebooks, exit codes.

A wheel carries them in `tfd/data` in the layout of the repository (`setup.py`). A checkout has no such folder and
reads them where they are.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

_SHIPPED = Path(__file__).resolve().parent / "data"
_ROOT = _SHIPPED if _SHIPPED.is_dir() else _SHIPPED.parents[1]

CHECKOUT = None if _SHIPPED.is_dir() else _ROOT
"""The checkout that `tfd` is installed from; None for a package."""
CHART = _ROOT / "charts" / "tf-distributed"
REVIEW_SCHEMA = _ROOT / "schema" / "review.schema.json"
EXAMPLES = _ROOT / "jobs" / "examples"
NOTEBOOKS = _ROOT / "workbench" / "notebooks"
JUPYTER_CONFIG = _ROOT / "workbench" / "jupyter"


def exit_codes() -> str:
    """Return the list of exit codes, as JSON: the trainer is the only program that defines them."""
    return resources.files("trainer").joinpath("runtime", "exit_codes.json").read_text(encoding="utf-8")
