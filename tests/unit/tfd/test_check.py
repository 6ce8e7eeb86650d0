"""`tfd check`: many files take one Helm process, and the result is that of one process for each file."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.chart.rejected import cases
from tests.chart.rendering import ACCEPTED, EXAMPLES, render, tool
from tfd.assets import CHART
from tfd.cli import main
from tfd.jobfile import helm, helm_yaml, jobfile, rules
from tfd.jobfile.jobfile import JobFile, check
from tfd.jobfile.schema import Refusal

RUN = "storage: {claim: runs}\n"
TWO_RULES = "strategy: OneDevice\nps: {replicas: 2}\nworker: {replicas: 1}\n" + RUN
# Breaks the rule of `run_named_crash` in a way that ends Helm.
CRASHING_RULES = """
{{- define "tf-distributed.problems" -}}
{{- if eq .Release.Name "crash" }}{{ fail "out of order" }}{{ end -}}
{{- if eq .Values.retries 0.0 }}["retries: got 0; expected 1 or more. Set retries."]{{ else }}[]{{ end -}}
{{- end -}}
"""


def write(folder: Path, **files: str) -> list[Path]:
    team = folder / "team"
    team.mkdir(exist_ok=True)
    for name, text in files.items():
        (team / f"{name}.yaml").write_text(text)
    return [team / f"{name}.yaml" for name in files]


def tfd(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words], catch_exceptions=False)


@pytest.mark.slow
def test_all_files_at_once_have_the_problems_of_each_file_alone(tmp_path: Path) -> None:
    paths = [*EXAMPLES, *ACCEPTED]
    for number, case in enumerate(cases()):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths.append(case.path(folder))
    files = [JobFile(path) for path in paths]
    alone = [problem for file in files for problem in file.problems()]
    assert sorted(map(str, check(files))) == sorted(map(str, alone))


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_path_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    [path] = write(tmp_path, run=RUN)
    path.unlink()
    {"folder": path.mkdir, "link": lambda: path.symlink_to("nothing"), "pipe": lambda: os.mkfifo(path)}[kind]()
    done = tfd(str(tmp_path))
    assert (
        done.stdout
        == f"{path}:1:1: file: got no regular file; expected a file. Replace it with a file, or remove it.\n"
    )
    assert done.exit_code == 1


def test_error_of_the_check_itself_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write(tmp_path, fine=RUN, odd="owner: odd\n" + RUN)

    def broken(values: dict[str, Any], chart: Path) -> list[Refusal]:
        return [] if "owner" not in values else [1 // 0]  # type: ignore[list-item]

    monkeypatch.setattr(jobfile, "schema_errors", broken)
    done = tfd(*map(str, paths))
    assert done.exit_code == 2
    assert done.stderr == f"{paths[1]}: The check itself failed (ZeroDivisionError). Report the file as a bug of tfd.\n"


@pytest.mark.parametrize("name", ["helm3", "helm4"])
def test_file_that_takes_helm_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(helm, "find_helm", lambda: tool(name))
    monkeypatch.setattr(helm, "SECONDS", 0.001)
    [path] = write(tmp_path, run=RUN)
    done = tfd(str(path))
    assert ": file: got more than 0.001 s of Helm; expected less. Request fewer tasks.\n" in done.stdout
    assert done.exit_code == 1


@pytest.mark.parametrize("version", ["helm3", "helm4"])
def test_every_broken_rule_of_a_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(helm, "find_helm", lambda: tool(version))
    [path] = write(tmp_path, run=TWO_RULES)
    alone = [problem.message.partition(":")[0] for problem in JobFile(path).problems()]
    assert alone == ["ps.replicas", "worker.replicas"]
    done = tfd(str(path), *map(str, write(tmp_path, fine=RUN)))
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [f"{path}:2:6", f"{path}:3:10"]
    assert (done.exit_code, done.stderr) == (1, "2 checked, 1 refused\n")


@pytest.fixture
def crashing_chart(tmp_path: Path) -> Path:
    """A chart whose rules end Helm for a run called crash."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("templates", "tests"))
    (chart / "templates").mkdir()
    (chart / "templates" / "_rules.tpl").write_text(CRASHING_RULES)
    (chart / "templates" / "rules.yaml").write_text(
        '{{ with include "tf-distributed.problems" . | fromJsonArray }}'
        '{{ fail (printf "tf-distributed: %s" (first .)) }}{{ end }}'
    )
    return chart


def test_a_file_that_ends_helm_hides_no_other_problem(tmp_path: Path, crashing_chart: Path) -> None:
    paths = write(tmp_path, a=RUN, b=f"{RUN}retries: 0\n", crash=RUN, d=f"{RUN}retries: 0\n", e=RUN)
    found = check([JobFile(path, crashing_chart) for path in paths])
    assert [problem.path.stem for problem in found] == ["b", "crash", "d"]
    assert "out of order" in found[1].message


def test_older_chart_without_rules_as_a_template_is_rendered_file_by_file(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("templates", "tests"))
    (chart / "templates").mkdir()
    (chart / "templates" / "validate.yaml").write_text(
        '{{ if eq .Values.retries 0.0 }}{{ fail "tf-distributed: retries: got 0; expected 1. Set it." }}{{ end }}'
    )
    assert not rules.has_rules(chart)
    paths = write(tmp_path, a=RUN, b=f"{RUN}retries: 0\n")
    assert [str(problem) for problem in check([JobFile(path, chart) for path in paths])] == [
        f"{paths[1]}:2:1: retries: got 0; expected 1. Set it."
    ]


def test_a_block_that_was_accepted_once_is_refused_where_another_schema_applies(tmp_path: Path) -> None:
    paths = write(tmp_path, a=f"{RUN}worker: {{replicas: 0}}\nps: {{gpus: 0}}\n", b=f"{RUN}worker: {{claim: runs}}\n")
    assert check([JobFile(path) for path in paths[:1]]) == []
    assert [problem.message.partition(":")[0] for problem in check([JobFile(path) for path in paths])] == [
        "worker.claim"
    ]


def test_json_is_a_list_of_problems(tmp_path: Path) -> None:
    [path] = write(tmp_path, run=f"stat: active\n{RUN}")
    done = tfd("--json", str(path))
    [problem] = json.loads(done.stdout)
    assert {key: problem[key] for key in ("path", "line", "column")} == {"path": str(path), "line": 1, "column": 1}
    assert problem["message"].startswith("stat: got an unknown key; expected state.")
    assert (done.exit_code, done.stderr) == (1, "")


def test_folder_without_job_files_is_refused(tmp_path: Path) -> None:
    done = tfd(str(tmp_path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{tmp_path}: got no job file; expected *.yaml files. Name a job file")


@pytest.mark.parametrize("escape", [r"\N", r"\x7f", r"\x80", r"\x9f", r"\uFFFE", r"\uFFFF"])
@pytest.mark.parametrize("key", ["description", "args[0]"])
def test_character_that_argo_cd_does_not_pass_on_is_refused(tmp_path: Path, escape: str, key: str) -> None:
    value = f'["a{escape}    b"]' if "[" in key else f'"a{escape}b"'
    path = tmp_path / "run.yaml"
    path.write_text(f"storage: {{claim: runs}}\n{key.partition('[')[0]}: {value}\n")
    [problem] = JobFile(path).problems()
    assert problem.message.startswith(f"{key}: got U+")
    assert "; expected text without control characters, which Argo CD passes on as other text. " in problem.message


def test_every_other_character_reaches_helm_as_argo_cd_passes_it_on(tmp_path: Path) -> None:
    """Argo CD writes the values as JSON, in which Go escapes what is below U+0020, U+2028 and U+2029 only."""
    escapes = r"\x01\a\t\n\r\e\x1f\_\xad\u200B\L\P\u202E\uFEFF\uFFFD\U0001FFFE\U0010FFFF"
    path = tmp_path / "run.yaml"
    path.write_text(f'storage: {{claim: runs}}\ndescription: "a{escapes}b"\nargs: ["a{escapes}b"]\n')
    assert JobFile(path).problems() == []
    values = helm_yaml.load(path.read_text()).value
    text = json.dumps(values, ensure_ascii=False).translate({0x2028: r"\u2028", 0x2029: r"\u2029"})
    (tmp_path / "values.yaml").write_text(text)
    assert render(path) == render(tmp_path / "values.yaml", run="run")


def test_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("storage: {claim: runs}\n")
    assert JobFile(path).problems() == []

    def denied(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)
    [problem] = JobFile(path).problems()
    assert problem.message == (
        "file: got a file that cannot be read (Permission denied); expected a file that you may read. "
        "Change its permissions."
    )
