"""What the house promises: who imports whom, short functions, a README that can't rot."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfd.jobfile.jobfile import JobFile

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("tfd", "trainer", "scripts") for path in (ROOT / folder).rglob("*.py"))
README = (ROOT / "README.md").read_text()
LONGEST_FUNCTION = 60


def imports(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def test_tfd_never_imports_tensorflow_and_trainer_never_imports_tfd() -> None:
    for path in SOURCES:
        forbidden = {"tfd": {"tensorflow", "keras", "trainer"}, "trainer": {"tfd"}}
        package = path.relative_to(ROOT).parts[0]
        assert not imports(path) & forbidden.get(package, set()), path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_stay_short(path: Path) -> None:
    for function in functions(path):
        assert (function.end_lineno or 0) - function.lineno < LONGEST_FUNCTION, function.name


def test_the_job_file_that_the_readme_shows_is_accepted(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(# jobs/.*?)```", README, flags=re.S)
    path = ROOT / text.splitlines()[0].removeprefix("# ")
    copy = tmp_path / path.parent.name / path.name
    copy.parent.mkdir()
    copy.write_text(text)
    assert JobFile(copy).problems() == []
    assert len(text.splitlines()) <= 15


def test_every_file_that_the_readme_links_is_there() -> None:
    written = re.sub(r"<!-- values.*<!-- /values -->", "", README, flags=re.S)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", written) if "://" not in link]
    assert links
    for link in links:
        assert (ROOT / link.partition("#")[0]).exists(), link


def test_every_make_target_that_the_readme_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = {word for call in re.findall(r"`make ([a-z0-9 -]+)`|^make ([a-z0-9-]+)", README, flags=re.M)
             for word in " ".join(call).split()}  # fmt: skip
    assert {"demo", "test"} <= named <= targets


def test_the_generated_parts_of_the_readme_are_not_stale() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_lock_names_no_registry() -> None:
    for lock in (ROOT / "requirements").iterdir():
        assert "://" not in lock.read_text(), lock


def test_one_version_everywhere() -> None:
    chart = (ROOT / "charts" / "tf-distributed" / "Chart.yaml").read_text()
    values = (ROOT / "charts" / "tf-distributed" / "values.yaml").read_text()
    [version] = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), flags=re.M)
    assert re.findall(r"^version: (.+)$", chart, flags=re.M) == [version]
    assert re.findall(r'^appVersion: "?([^"\n]+)"?$', chart, flags=re.M) == [version]
    assert set(re.findall(r"image: tf-distributed/\w+:(.+)$", values, flags=re.M)) == {version}
