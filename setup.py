"""The build step that pyproject.toml cannot express: a wheel carries the chart and the schemas in tfd/data.

An editable install reads them in the checkout, so there is no copy in git.
"""

from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
DATA = ("charts", "schema", "jobs/examples", "workbench")


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


setup(cmdclass={"build_py": BuildWithData})
