"""A fresh folder for the commands of a page, with git repositories in place of those on GitHub."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from release.pages import steps
from tests.conventions.repository import ROOT
from tests.pages.blocks import Block

PRODUCT = "https://github.com/tf-distributed/tf-distributed"
RUNS = "https://github.com/example-org/runs"
# This page starts in an empty folder, the others in a checkout.
IN_AN_EMPTY_FOLDER = {"docs/install.md"}
# These pages have files and output, too. They start in a repository of job files.
GUIDES = {f"docs/guides/{name}.md" for name in ("custom-image", "custom-script", "serve-the-model", "warm-start")}
# These pages train, which tests/integration/test_pages.py does.
TRAINING = {"docs/install.md", "docs/guides/scaling.md", *GUIDES}
# A copy of release 0.1.0 without its history, as "Use this template" creates it, with a change of its own.
# Release 0.2.0 changes the charts and the README.
UPGRADE = f"""\
release() {{
  sed -i "s/^version: .*/version: $1/" charts/*/Chart.yaml
  echo "Release $1" >>README.md
  git commit --quiet --all --message "Release $1"
  git tag --force "tf-distributed-$1"
  git push --quiet --force origin "tf-distributed-$1"
}}
release 0.1.0
release 0.2.0
git checkout --quiet tf-distributed-0.1.0
rm -rf .git
git init --quiet
sed -i "s/^chartVersion: .*/chartVersion: 0.1.0/" jobs/vision/digits-41.yaml
echo "# ours" >>review.yaml
git add --all
git commit --quiet --message "Use this template"
git remote add origin {RUNS}
"""
# What a page asks its reader to have before its first command.
BEFORE = {
    "argocd/README.md": f"sed -i 's|^repository: .*|repository: {RUNS}|' argocd/values.yaml\n",
    "docs/platform/upgrade.md": UPGRADE,
    "docs/guides/scaling.md": "tfd run --plain jobs/examples/digits-one-device.yaml\n",
}
# The runs that the pages copy.
EARLIER = {"vision/digits-41": "examples/digits-multi-worker", "vision/line-1": "examples/digits-one-device"}
LIMIT = 300
"""Seconds after which the commands of a page are stopped."""


@dataclass(frozen=True)
class World:
    """Two bare repositories, and a configuration of git that finds them at the addresses of the pages."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user with an installed `tfd`."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if name in ("HOME", "TFD_CACHE", "TMPDIR")}
        return kept | {"PATH": path, "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}

    def run(self, script: str, cwd: Path, *, options: str = "-eux") -> subprocess.CompletedProcess[str]:
        """Run a script of bash, which stops at its first error and, with the option -x, prints each command."""
        command = ["bash", options, "-o", "pipefail", "-c", script]
        return subprocess.run(
            command, cwd=cwd, env=self.environment, text=True, timeout=LIMIT,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def must(self, script: str, cwd: Path) -> str:
        """Run a script and return its output."""
        done = self.run(script, cwd)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def play(self, blocks: list[Block], folder: Path) -> str:
        """Run the blocks of one page in their order, in a new folder."""
        if blocks[0].page not in IN_AN_EMPTY_FOLDER:
            self.must(f"git clone -q {PRODUCT} {folder}", self.folder)
        return self.must(BEFORE.get(blocks[0].page, "") + "\n".join(block.text for block in blocks), folder)

    def follow(self, page: str, folder: Path) -> None:
        """Follow a page in a new repository of job files: write its files, run its commands, compare their output."""
        self.must(f"tfd init {folder} --team vision", self.folder)
        for step in steps(ROOT / page):
            place = f"{page}:{step.line}"
            if step.path and not step.skipped:
                (folder / step.path).parent.mkdir(parents=True, exist_ok=True)
                (folder / step.path).write_text(step.text)
            elif not step.skipped:
                done = self.run(step.text, folder, options="-eu")
                assert done.returncode == 0, f"{place}: {done.stdout}"
                assert step.shows(done.stdout), f"{place}: got {done.stdout}\nexpected {step.output}"


def create(folder: Path, version: str) -> World:
    """Create the repositories; that of the product has the files of this checkout, with changes."""
    world = World(folder)
    product, runs, work = (folder / name for name in ("product.git", "runs.git", "work"))
    (folder / "gitconfig").write_text(
        "[user]\n name = Ada\n email = ada@example.com\n[init]\n defaultBranch = main\n"
        + "".join(f'[url "file://{to}"]\n insteadOf = {of}\n' for of, to in ((PRODUCT, product), (RUNS, runs)))
    )
    work.mkdir()
    copy = f"git -C {ROOT} ls-files -z --cached --others --exclude-standard"
    world.must(f"(cd {ROOT} && {copy} | xargs -0 cp --parents --no-dereference -t {work})", folder)
    world.must(f"git init -q --bare {runs} && git init -q --bare {product}", folder)
    earlier = "\n".join(f"tfd new {run} --from {example}" for run, example in EARLIER.items())
    world.must(
        f"git init -q && {earlier}\ngit add --all && git commit -q -m all && git tag tf-distributed-{version}"
        f" && git push -q {product} main --tags",
        work,
    )
    return world
