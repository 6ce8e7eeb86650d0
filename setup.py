"""The build steps that pyproject.toml cannot express: the data of a wheel, and the links of the README.

A wheel carries the chart, the schemas and the examples in tfd/data. An editable install reads them in the checkout, so
there is no copy in git. A package index does not have the files that the README links to, so the links of the
description lead to the repository.
"""

import re
from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns, rmtree

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FOLDERS = ("charts", "schema", "jobs/examples", "workbench", "starter")
# What a repository of `tfd init` has in common with this one: tfd/assets.py.
FILES = (
    "review.yaml",
    ".github/workflows/re[sv]*.yaml",
    "scripts/ci-*.sh",
    "scripts/result_comment.py",
)
REPOSITORY = "https://github.com/tf-distributed/tf-distributed"
# A target of a Markdown link that is neither an address nor an anchor.
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)]+)\)")


class BuildWithData(build_py):
    """Copies the data files, in the layout of the repository."""

    def run(self) -> None:
        """Build the packages, and the data of a wheel."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "tfd" / "data"
        rmtree(target, ignore_errors=True)
        for folder in FOLDERS:
            copytree(ROOT / folder, target / folder, ignore=ignore_patterns("tests"))
        for file in (file for pattern in FILES for file in ROOT.glob(pattern)):
            copy = target / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copyfile(file, copy)


def description() -> str:
    """Return the README with links that also work outside the repository."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return LINK.sub(lambda link: f"]({REPOSITORY}/{_view(link[1])}/main/{link[1]})", text)


def _view(path: str) -> str:
    """Return what GitHub shows: the image itself, or the page of a file."""
    return "raw" if path.endswith(".png") else "blob"


setup(
    cmdclass={"build_py": BuildWithData},
    long_description=description(),
    long_description_content_type="text/markdown",
)
