"""A git repository that Argo CD watches, with this checkout's chart released in it, and a clone to commit in."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster.paths import CHECKOUT, REGISTRY
from devcluster.shell import ClusterError, run

SOURCES = ("charts/tf-distributed", "schema")
REVIEW = f"""\
# What `tfd review` asks of a job file here: images of the cluster's own registry, by digest.
rules:
  imageDigest: {{waiver: []}}
  registries: {{allowed: ["{REGISTRY}"], waiver: []}}
  gpusPerRun: {{most: 8, waiver: []}}
"""
WHO = {f"GIT_{who}_{what}": "cluster@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


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
        """Return its address for Argo CD."""
        return f"file://{self.bare}"

    def git(self, *words: str) -> str:
        """Run git in the clone and return what it prints."""
        return run(["git", "-C", self.clone, *words], env=os.environ | WHO).strip()

    def start(self) -> None:
        """Clone it; if it is empty, begin with this checkout's chart as it is now, released, and rules for a review."""
        run(["git", "clone", "--quiet", self.bare, self.clone])
        if self.git("branch", "--remotes"):
            return
        tar = ["tar", "--create", "--directory", str(CHECKOUT), *SOURCES]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as made:
            subprocess.run(["tar", "--extract", "--directory", self.clone], stdin=made.stdout, check=True)
        if made.returncode:
            raise ClusterError(f"{' '.join(tar)}: left with {made.returncode}")
        self.push("The chart", {"review.yaml": REVIEW})
        self.tag(chart_version())

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files into the clone; without content they are deleted."""
        for name, content in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content)

    def commit(self, files: Mapping[str, str | None], message: str) -> None:
        """Commit files to the branch that the clone is on."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)

    def push(self, message: str = "", files: Mapping[str, str | None] | None = None) -> float:
        """Push what is checked out to main, after committing `files` under a message; return when it was pushed."""
        if message:
            self.commit(files or {}, message)
        now = time.time()
        self.git("push", "--quiet", "origin", "HEAD:main")
        return now

    def tag(self, version: str) -> None:
        """Release the chart that is checked out."""
        self.git("tag", "-a", f"tf-distributed-{version}", "-m", version)
        self.git("push", "--quiet", "origin", f"refs/tags/tf-distributed-{version}")
