"""`make release` tags a valid version, and refuses every other version with a message."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHART = "charts/tf-distributed/Chart.yaml"
WORKBENCH = "charts/workbench/Chart.yaml"
VALUES = "charts/tf-distributed/values.yaml"
VERSION = "0.1.0"
# The settings of the user, such as signed commits, must not change the tests.
ENVIRONMENT = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
ENVIRONMENT |= {f"GIT_{who}_NAME": "t" for who in ("AUTHOR", "COMMITTER")}
ENVIRONMENT |= {f"GIT_{who}_EMAIL": "t@example.com" for who in ("AUTHOR", "COMMITTER")}
GRAMMAR = re.compile(r"^\S.*?: got .+; expected .+\. [A-Z].+\.$")


class Checkout:
    """A repository with the files that a release reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        [current] = re.findall(r"^version: (.+)$", (ROOT / CHART).read_text(), flags=re.M)
        files = {
            name: (ROOT / name).read_text().replace(current, VERSION) for name in (CHART, WORKBENCH, "pyproject.toml")
        }
        files[VALUES] = "trainer:\n  # -- Number of training steps.\n  steps: 1000\n"
        files["CHANGELOG.md"] = f"# Changelog\n\n## [{VERSION}] - 2026-11-30\n\n- The first version.\n"
        files |= {"scripts/tag-release.sh": (ROOT / "scripts" / "tag-release.sh").read_text()}
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    def git(self, *words: str) -> str:
        command = ["git", *words]
        return subprocess.run(
            command, cwd=self.folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
        ).stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def release(self) -> subprocess.CompletedProcess[str]:
        command = ["bash", "scripts/tag-release.sh"]
        return subprocess.run(command, cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True)

    def next_version(self) -> None:
        """Edit the files for the next release."""
        for chart in (CHART, WORKBENCH):
            self.edit(chart, VERSION, "0.2.0")
        self.edit("pyproject.toml", f'version = "{VERSION}"', 'version = "0.2.0"')
        self.edit("CHANGELOG.md", f"## [{VERSION}]", f"## [0.2.0] - 2026-12-24\n\n- Faster.\n\n## [{VERSION}]")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_release_tags_this_version_with_its_release_notes(checkout: Checkout) -> None:
    done = checkout.release()
    assert done.returncode == 0, done.stderr
    assert "defaults that changed" not in done.stdout
    message = checkout.git("tag", "--list", "--format=%(contents)", f"tf-distributed-{VERSION}")
    assert message.startswith(f"tf-distributed {VERSION}\n") and "The first version." in message


def test_release_prints_the_defaults_that_changed(checkout: Checkout) -> None:
    checkout.release()
    checkout.next_version()
    checkout.edit(VALUES, "  steps: 1000\n", "  steps: 2000  # more\n")
    checkout.edit(VALUES, "# -- Number of training steps.", "# -- Training steps.")
    checkout.commit()
    done = checkout.release()
    assert done.returncode == 0, done.stderr
    assert f"defaults that changed since {VERSION}" in done.stdout
    changed = [line for line in done.stdout.splitlines() if line.startswith(("-", "+"))]
    assert changed == ["-  steps: 1000", "+  steps: 2000"]
    assert "- Faster." in checkout.git("tag", "--list", "--format=%(contents)", "tf-distributed-0.2.0")


def nothing_new(checkout: Checkout) -> None:
    checkout.release()


def not_committed(checkout: Checkout) -> None:
    checkout.edit("CHANGELOG.md", "The first version.", "The very first.")


def no_notes(checkout: Checkout) -> None:
    checkout.edit("CHANGELOG.md", f"## [{VERSION}] - 2026-11-30", "## [Unreleased]")
    checkout.commit()


def two_versions(checkout: Checkout) -> None:
    checkout.edit("pyproject.toml", f'version = "{VERSION}"', 'version = "0.2.0"')
    checkout.commit()


def two_versions_of_charts(checkout: Checkout) -> None:
    checkout.edit(WORKBENCH, f"\nversion: {VERSION}\n", "\nversion: 0.2.0\n")
    checkout.commit()


def two_versions_of_applications(checkout: Checkout) -> None:
    checkout.edit(WORKBENCH, f"appVersion: {VERSION}", "appVersion: 0.2.0")
    checkout.commit()


def no_version(checkout: Checkout) -> None:
    checkout.edit(CHART, f"\nversion: {VERSION}\n", "\nversion: 0.1\n")
    checkout.commit()


def below_the_last(checkout: Checkout) -> None:
    checkout.git("tag", "tf-distributed-0.10.0")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (nothing_new, f"release: tag tf-distributed-{VERSION}: got an existing tag"),
        (not_committed, "release: checkout: got changes that are not committed; expected none."),
        (no_notes, f'release: CHANGELOG.md: got nothing below "## [{VERSION}] - DATE"; expected release notes.'),
        (two_versions, 'release: pyproject.toml version: got "0.2.0"; expected "0.1.0", the version of charts/'),
        (
            two_versions_of_charts,
            f'release: {WORKBENCH} version: got "0.2.0"; expected "0.1.0", the version of charts/',
        ),
        (two_versions_of_applications, f'release: {WORKBENCH} appVersion: got "0.2.0"; expected "0.1.0", the version'),
        (no_version, 'Chart.yaml version: got "0.1"; expected three numbers, as in 1.2.3.'),
        (below_the_last, 'Chart.yaml version: got "0.1.0"; expected more than the last release 0.10.0.'),
    ],
)
def test_invalid_release_is_refused_without_a_tag(
    checkout: Checkout, spoil: Callable[[Checkout], None], message: str
) -> None:
    spoil(checkout)
    tags = checkout.git("tag")
    done = checkout.release()
    assert done.returncode == 1
    assert message in done.stderr
    assert GRAMMAR.match(done.stderr.strip())
    assert checkout.git("tag") == tags
