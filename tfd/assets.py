"""Where the files are that `tfd` reads and that are not Python: charts, schemas, examples, notebooks, exit codes.

A wheel carries them in `tfd/data` in the layout of the repository (`setup.py`). A checkout has no such folder and
reads them where they are.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

_SHIPPED = Path(__file__).resolve().parent / "data"
ROOT = _SHIPPED if _SHIPPED.is_dir() else _SHIPPED.parents[1]

CHECKOUT = None if _SHIPPED.is_dir() else ROOT
"""The checkout that `tfd` is installed from; None for a package."""
CHART = ROOT / "charts" / "tf-distributed"
REVIEW_SCHEMA = ROOT / "schema" / "review.schema.json"
EXAMPLES = ROOT / "jobs" / "examples"
NOTEBOOKS = ROOT / "workbench" / "notebooks"
JUPYTER_CONFIG = ROOT / "workbench" / "jupyter"
STARTER = ROOT / "starter"
SHARED = (
    ROOT / "review.yaml",
    *(ROOT / ".github" / "workflows" / f"{name}.yaml" for name in ("review", "review-comment", "results")),
    *(ROOT / "scripts" / f"ci-{name}.sh" for name in ("comment", "find", "result", "review")),
    ROOT / "scripts" / "result_comment.py",
)
"""The files that a new repository has in common with this one."""


def exit_codes() -> str:
    """Return the list of exit codes, as JSON: the trainer is the only program that defines them."""
    return resources.files("trainer").joinpath("runtime", "exit_codes.json").read_text(encoding="utf-8")
