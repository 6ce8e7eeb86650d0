"""`make release` tags what can be released, and says what is wrong otherwise."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("scripts/tag-release.sh", "charts/tf-distributed/Chart.yaml", "charts/tf-distributed/values.yaml",
         "pyproject.toml", "CHANGELOG.md")  # fmt: skip
VERSION = "0.1.0"


class Checkout:
    """A repository with what a release reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in FILES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        return subprocess.run(["git", *who, *words], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def release(self) -> subprocess.CompletedProcess[str]:
        env = {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.com"}
        return subprocess.run(
            [self.folder / "scripts" / "tag-release.sh"], capture_output=True, text=True,
            env={"PATH": "/usr/bin:/bin", **env},
        )  # fmt: skip

    def next_version(self) -> None:
        """Everything that the next release needs."""
        self.edit("charts/tf-distributed/Chart.yaml", VERSION, "0.2.0")
        self.edit("pyproject.toml", f'version = "{VERSION}"', 'version = "0.2.0"')
        self.edit("CHANGELOG.md", f"## {VERSION}", f"## 0.2.0\n\n- Faster.\n\n## {VERSION}")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_this_version_can_be_tagged_and_its_notes_are_in_the_tag(checkout: Checkout) -> None:
    done = checkout.release()
    assert done.returncode == 0, done.stderr
    assert "defaults that moved" not in done.stdout
    message = checkout.git("tag", "--list", "--format=%(contents)", f"tf-distributed-{VERSION}")
    assert message.startswith(f"tf-distributed {VERSION}\n") and "The first version." in message


def test_the_next_version_tells_which_defaults_moved(checkout: Checkout) -> None:
    checkout.release()
    checkout.next_version()
    checkout.edit("charts/tf-distributed/values.yaml", "  steps: 1000\n", "  steps: 2000  # more\n")
    checkout.edit("charts/tf-distributed/values.yaml", "# -- Training steps in all.", "# -- All training steps.")
    checkout.commit()
    done = checkout.release()
    assert done.returncode == 0, done.stderr
    assert f"defaults that moved since {VERSION}" in done.stdout
    changed = [line for line in done.stdout.splitlines() if line.startswith(("-", "+"))]
    assert changed == ["-  steps: 1000", "+  steps: 2000"]
    assert "- Faster." in checkout.git("tag", "--list", "--format=%(contents)", "tf-distributed-0.2.0")


def nothing_new(checkout: Checkout) -> None:
    checkout.release()


def not_committed(checkout: Checkout) -> None:
    checkout.edit("CHANGELOG.md", "The first version.", "The very first.")


def no_notes(checkout: Checkout) -> None:
    checkout.edit("CHANGELOG.md", f"## {VERSION}", "## 0.0.9")
    checkout.commit()


def two_versions(checkout: Checkout) -> None:
    checkout.edit("pyproject.toml", f'version = "{VERSION}"', 'version = "0.2.0"')
    checkout.commit()


def no_version(checkout: Checkout) -> None:
    checkout.edit("charts/tf-distributed/Chart.yaml", f"version: {VERSION}\nappVersion", "version: 0.1\nappVersion")
    checkout.commit()


def below_the_last(checkout: Checkout) -> None:
    checkout.git("tag", "tf-distributed-0.10.0")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (nothing_new, "is there already and is never moved"),
        (not_committed, "changes that are not committed"),
        (no_notes, f'nothing under "## {VERSION}"'),
        (two_versions, "pyproject.toml: got 0.2.0, but Chart.yaml says version: 0.1.0"),
        (no_version, "version: got 0.1: it must be three numbers"),
        (below_the_last, "got 0.1.0, which is below the last release 0.10.0"),
    ],
)
def test_what_can_not_be_released(checkout: Checkout, wrong: Callable[[Checkout], None], said: str) -> None:
    wrong(checkout)
    tags = checkout.git("tag")
    done = checkout.release()
    assert done.returncode == 1
    assert said in done.stderr
    assert checkout.git("tag") == tags
