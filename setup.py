"""The build steps that pyproject.toml cannot express: the data of a wheel, and the links of the README.

A wheel carries the chart, the schemas and the examples in tfd/data. An editable install reads them in the checkout, so
there is no copy in git. A package index does not have the files that the README links to, so the links of the
description lead to the repository.
"""

import re
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
DATA = ("charts/tf-distributed", "schema", "jobs/examples", "workbench")
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
        for folder in DATA:
            copytree(ROOT / folder, target / folder, ignore=ignore_patterns("tests"))


def description() -> str:
    """Return the README with links that also work outside the repository."""
    return LINK.sub(rf"]({REPOSITORY}/blob/main/\1)", (ROOT / "README.md").read_text(encoding="utf-8"))


setup(
    cmdclass={"build_py": BuildWithData},
    long_description=description(),
    long_description_content_type="text/markdown",
)
