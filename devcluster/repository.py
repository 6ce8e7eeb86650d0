"""A git repository that Argo CD watches, with a release of this checkout's chart, and a clone to commit in."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster.paths import CHECKOUT, REGISTRY
from devcluster.shell import DevclusterError, run

SOURCES = ("charts", "schema")
REVIEW = f"""\
# The policy of `tfd review` in this repository: images by digest, from the registry of the cluster.
rules:
  imageDigest: {{waiver: []}}
  registries: {{allowed: ["{REGISTRY}"], waiver: []}}
  gpusPerRun: {{most: 8, waiver: []}}
"""
WHO = {f"GIT_{who}_{what}": "devcluster@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def chart_version() -> str:
    """Return the version of this checkout's chart."""
    lines = (CHECKOUT / "charts" / "tf-distributed" / "Chart.yaml").read_text().splitlines()
    return next(line.removeprefix("version: ") for line in lines if line.startswith("version: "))


@dataclass(frozen=True)
class Repository:
    """A bare repository and a clone of it."""

    bare: Path
    clone: Path

    @property
    def url(self) -> str:
        """Return the URL of the repository for Argo CD."""
        return f"file://{self.bare}"

    def git(self, *words: str) -> str:
        """Run git in the clone and return its output."""
        return run(["git", "-C", self.clone, *words], env=os.environ | WHO).strip()

    def start(self) -> None:
        """Clone the repository; fill an empty one with this checkout's chart, a release of it and a review policy."""
        run(["git", "clone", "--quiet", self.bare, self.clone])
        if self.git("branch", "--remotes"):
            return
        tar = ["tar", "--create", "--directory", str(CHECKOUT), *SOURCES]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
            subprocess.run(["tar", "--extract", "--directory", self.clone], stdin=archive.stdout, check=True)
        if archive.returncode:
            raise DevclusterError(f"{' '.join(tar)} exited with {archive.returncode}")
        self.push("The chart", {"review.yaml": REVIEW})
        self.tag(chart_version())

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files into the clone; delete those whose content is None."""
        for name, content in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content)

    def commit(self, files: Mapping[str, str | None], message: str) -> None:
        """Commit files to the current branch of the clone."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)

    def push(self, message: str = "", files: Mapping[str, str | None] | None = None) -> float:
        """Push HEAD to main and return the time; with a message, commit `files` first."""
        if message:
            self.commit(files or {}, message)
        now = time.time()
        self.git("push", "--quiet", "origin", "HEAD:main")
        return now

    def tag(self, version: str) -> None:
        """Tag HEAD as a release of the chart."""
        self.git("tag", "-a", f"tf-distributed-{version}", "-m", version)
        self.git("push", "--quiet", "origin", f"refs/tags/tf-distributed-{version}")
