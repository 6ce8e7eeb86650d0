"""`tfd` as an installed package: a wheel of the source distribution, used outside the checkout."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from tests.chart.rendering import ROOT

pytestmark = pytest.mark.slow

BUILD = "import setuptools.build_meta as build, sys; print(getattr(build, f'build_{sys.argv[1]}')(sys.argv[2]))"
RELATIVE_LINK = re.compile(r"\]\((?!https?:|#)")
# Names of the standard library that macOS does not have.
WITHOUT_LINUX = """
import asyncio, ctypes, importlib, logging.handlers, os, pkgutil
import select, signal, socket, subprocess, sys, urllib.request
for module, name in ((os, "sched_getaffinity"), (os, "unshare"), (os, "setns"), (os, "eventfd"), (os, "memfd_create"),
                     (os, "posix_fadvise"), (signal, "sigtimedwait"), (signal, "sigwaitinfo"), (signal, "SIGRTMIN"),
                     (select, "epoll"), (socket, "AF_NETLINK"), (socket, "SO_BINDTODEVICE")):
    if hasattr(module, name):
        delattr(module, name)
sys.platform = "darwin"
import tfd, trainer.runtime
for package in (tfd, trainer.runtime):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name != "tfd.__main__":
            importlib.import_module(module.name)
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command outside the virtual environment of the tests, except for its Helm."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(cwd), "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def done(*command: str | Path, cwd: Path) -> str:
    finished = run(*command, cwd=cwd)
    assert finished.returncode == 0, f"{finished.stdout}\n{finished.stderr}"
    return finished.stdout


@pytest.fixture(scope="module")
def tfd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `tfd` of a wheel, with the dependencies of this environment and without the checkout."""
    folder = tmp_path_factory.mktemp("install")
    source = folder / "source"
    files = done("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    with tarfile.open(folder / "source.tar", "w") as archive:
        for name in files:
            if (ROOT / name).exists():
                archive.add(ROOT / name, name)
    with tarfile.open(folder / "source.tar") as archive:
        archive.extractall(source, filter="data")
    # The wheel is built from the source distribution, so a file that this lacks is missing in the wheel, too.
    sdist = done(sys.executable, "-c", BUILD, "sdist", folder, cwd=source).splitlines()[-1]
    with tarfile.open(folder / sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.removesuffix(".tar.gz")
    wheel = done(sys.executable, "-c", BUILD, "wheel", folder, cwd=unpacked).splitlines()[-1]
    done(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    done(python, "-m", "pip", "install", "--no-index", "--no-deps", "--disable-pip-version-check", folder / wheel,
         cwd=folder)  # fmt: skip
    purelib = Path(done(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (purelib / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    module = done(python, "-c", "import tfd; print(tfd.__file__)", cwd=folder).strip()
    assert Path(module).is_relative_to(folder), "the package is imported from the checkout"
    return folder / "venv" / "bin" / "tfd"


@pytest.fixture
def repository(tfd: Path, tmp_path: Path) -> Path:
    """A git repository with the job file of one run, copied from an example of the package."""
    done("git", "init", "-q", "-b", "main", cwd=tmp_path)
    done(tfd, "new", "vision/digits-1", "--from", "examples/digits-one-device", cwd=tmp_path)
    commit(tmp_path)
    return tmp_path


def commit(repository: Path) -> None:
    done("git", "add", ".", cwd=repository)
    done("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "change", cwd=repository)


def test_installed_check_reads_the_chart_of_the_package(tfd: Path, repository: Path) -> None:
    assert run(tfd, "check", "jobs", cwd=repository).stderr == "1 checked, 0 refused\n"
    (repository / "jobs/vision/digits-1.yaml").write_text("storage: {claim: runs}\nps: {replicas: 1}\n")
    refused = run(tfd, "check", "jobs", cwd=repository)
    assert refused.returncode == 1
    assert refused.stdout.startswith("jobs/vision/digits-1.yaml:2:6: ps.replicas: got 1; expected ")


def test_installed_review_judges_a_pull_request_without_charts_and_policy(tfd: Path, repository: Path) -> None:
    done(tfd, "new", "vision/digits-2", "--from", "vision/digits-1", cwd=repository)
    commit(repository)
    reviewed = run(tfd, "review", "--base", "HEAD~1", "--head", "HEAD", cwd=repository)
    assert reviewed.returncode == 0, reviewed.stderr
    assert "vision/digits-2 starts: " in reviewed.stdout
    assert "review.yaml:1:1: warning: Missing on the base branch." in reviewed.stdout


def test_installed_run_has_its_help_and_its_exit_codes(tfd: Path, repository: Path) -> None:
    assert "Exit codes:" in done(tfd, "run", "--help", cwd=repository)
    job = repository / "jobs/vision/digits-1.yaml"
    job.write_text("storage: {claim: runs}\ncommand: [sh, -c, exit 2]\n")
    failed = run(tfd, "run", "--plain", job, cwd=repository)
    assert failed.returncode == 2
    assert "digits-1 failed: chief-0 exited with 2: Bad configuration" in failed.stdout


def test_trainer_without_tensorflow_is_refused(tfd: Path, repository: Path) -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec; "
        "u.find_spec = lambda name, *rest: None if name == 'tensorflow' else find(name, *rest); "
        "sys.argv = ['tfd', 'run', 'jobs/vision/digits-1.yaml']; from tfd.cli import main; main()"
    )
    refused = run(tfd.parent / "python", "-c", code, cwd=repository)
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "TensorFlow: got no package; expected an installed package. Install tf-distributed"
    )


def test_missing_helm_is_refused_with_where_to_get_it(tfd: Path, repository: Path) -> None:
    refused = subprocess.run(
        [tfd, "check", "jobs"], cwd=repository, env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("helm: got no program; expected Helm 3.18 or newer on the PATH. Install it from ")


def test_installed_package_has_the_version_of_its_chart(tfd: Path, repository: Path) -> None:
    version = done(tfd, "--version", cwd=repository).split()[-1]
    assert f"chartVersion: {version}\n" in (repository / "jobs/vision/digits-1.yaml").read_text()


def test_description_of_the_package_links_only_to_addresses(tfd: Path, repository: Path) -> None:
    code = "from importlib.metadata import metadata; print(metadata('tf-distributed')['Description'])"
    description = done(tfd.parent / "python", "-c", code, cwd=repository)
    assert description.startswith("# tf-distributed\n")
    assert "](https://github.com/tf-distributed/tf-distributed/blob/main/docs/index.md)" in description
    assert RELATIVE_LINK.findall(description) == []


def test_modules_of_tfd_and_of_the_runtime_need_nothing_that_only_linux_has(tfd: Path, repository: Path) -> None:
    done(tfd.parent / "python", "-c", WITHOUT_LINUX, cwd=repository)
