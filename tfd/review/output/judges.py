"""Names the changed paths that decide how later pull requests are judged. None is ever cut."""

from __future__ import annotations

from collections.abc import Iterator

from tfd.review.analysis.policy import is_below
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.output.redaction import Redactor
from tfd.review.output.shown import count

# Besides what the rule separateChanges names: a pull request could have emptied it before.
_PLACES = (
    "review.yaml", ".github/", ".ci/", "charts/", "schema/", "tfd/", "argocd/", "scripts/", "requirements/", "tools/",
    "devcluster/", "pyproject.toml", "setup.py", "MANIFEST.in", "Makefile", ".pre-commit-hooks.yaml",
    ".pre-commit-config.yaml",
)  # fmt: skip
_NAMES = ("CODEOWNERS",)
# Git, Python, uv and Go read settings from hidden and top-level files of any name. A merged .venv/ is the next tool.
_HIDDEN, _TOP = ".*", "*"
_PROSE = (".md", ".ipynb", "LICENSE")
_MOST_FILES = 3
_LONGEST = 80


def line(review: PullRequestReview, redactor: Redactor) -> str:
    """Return the line about changes to what judges; empty if there are none.

    Each place is named with up to 3 of its files, so that no number of files hides a place.
    """
    places: dict[str, list[str]] = {}
    for path in sorted({*review.policy_paths, *review.other_paths} - {*others(review)}):
        places.setdefault(_place(path) or path.split("/")[0], []).append(path)
    if not places:
        return ""
    return (
        f"⚠️ Changes what judges later pull requests: {', '.join(_texts(places, redactor))}. "
        "This review uses the policy and the tool of the base branch, and charts at their git tags."
    )


def others(review: PullRequestReview) -> list[str]:
    """Return the changed paths that neither are job files nor judge."""
    return [path for path in review.other_paths if not _place(path)]


def _place(path: str) -> str:
    name = path.rpartition("/")[2]
    if name.startswith(".git"):
        return ".git*"
    if name in _NAMES:
        return name
    if place := next((place for place in _PLACES if is_below(path, place)), ""):
        return place
    if path.startswith("."):
        return _HIDDEN
    return "" if "/" in path or name.endswith(_PROSE) else _TOP


def _texts(places: dict[str, list[str]], redactor: Redactor) -> Iterator[str]:
    for place, paths in places.items():
        if len(paths) <= _MOST_FILES:
            yield ", ".join(redactor.inline(redactor.text(path), _LONGEST) for path in paths)
        else:
            some = ", ".join(redactor.inline(redactor.text(path), _LONGEST) for path in paths[:_MOST_FILES])
            yield f"{some} and {count(len(paths) - _MOST_FILES, 'more file')} of {redactor.code(place)}"
