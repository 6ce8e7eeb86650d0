"""The worked example of the guide is real: its manifest, its commands, their output and the job file."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conventions.repository import ROOT
from tfd.cli import main

GUIDE = ROOT / "docs" / "guides" / "migrating-from-tfjob.md"
EXAMPLE = GUIDE.read_text(encoding="utf-8").partition("## A worked example")[2].partition("\n## ")[0]


def test_worked_example_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [(name, manifest)] = re.findall(r"```yaml\n# (\w+\.yaml)\n(.*?)```", EXAMPLE, re.S)
    Path(name).write_text(manifest)
    commands = re.findall(r"```console\n\$ tfd (.*?)\n(.*?)```", EXAMPLE, re.S)
    assert [
        (words, CliRunner().invoke(main, shlex.split(words), catch_exceptions=False).stdout) for words, _ in commands
    ] == commands
    [(job_file, text)] = re.findall(r"```yaml\n# (jobs/\S+)\n(.*?)```", EXAMPLE, re.S)
    assert Path(job_file).read_text() == text
