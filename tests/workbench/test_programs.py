"""What `tfd workbench` prepares and starts: the token, the folder, the notebooks, the ports."""

import os
import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.grammar import GRAMMAR
from tfd import assets
from tfd.commands.workbench import command
from tfd.jobfile.helm import HelmError
from tfd.workbench import environment
from tfd.workbench.environment import WorkbenchError
from tfd.workbench.programs import Settings, check_ports, prepare, programs, token


def settings(folder: Path, runs: Path | str | None = None, host: str = "127.0.0.1", idle: int = 0) -> Settings:
    return Settings(folder, str(runs) if runs else None, host, 8888, 6006, idle)


def test_token_comes_from_the_variable_the_file_or_chance(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    assert token({"JUPYTER_TOKEN": "given", "JUPYTER_TOKEN_FILE": str(file)}) == ("given", False)
    assert token({"JUPYTER_TOKEN_FILE": str(file)}) == ("from-file", False)
    # An empty variable would switch off the authentication of JupyterLab.
    first, new = token({"JUPYTER_TOKEN": " "})
    assert new and len(first) == 48 and first != token({})[0]


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_file_without_a_token_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(WorkbenchError) as error:
        token({"JUPYTER_TOKEN_FILE": str(file)})
    assert GRAMMAR.fullmatch(str(error.value))


def test_folder_gets_the_notebooks_that_it_lacks(tmp_path: Path) -> None:
    folder, runs = tmp_path / "home", tmp_path / "team"
    runs.mkdir()
    prepare(settings(folder, runs))
    shipped = sorted(path.name for path in assets.NOTEBOOKS.glob("*.ipynb"))
    assert sorted(path.name for path in folder.glob("*.ipynb")) == shipped and len(shipped) == 6
    (folder / shipped[0]).write_text("mine")
    (folder / shipped[1]).unlink()
    prepare(settings(folder))
    assert (folder / shipped[0]).read_text() == "mine"
    assert (folder / shipped[1]).exists()


def test_tensorboard_shows_logs_runs_and_the_runs_of_the_team(tmp_path: Path) -> None:
    folder, runs = tmp_path / "home", tmp_path / "team"
    runs.mkdir()
    prepare(settings(folder, runs))
    links = {path.name: path.resolve() for path in (folder / ".tensorboard").iterdir()}
    assert links == {"logs": folder / "logs", "runs": folder / "runs", "team": runs}
    prepare(settings(folder))
    assert sorted(path.name for path in (folder / ".tensorboard").iterdir()) == ["logs", "runs"]


def test_token_is_in_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of the machine can read command lines."""
    monkeypatch.setenv("JUPYTER_TOKEN_FILE", "/run/token")
    started = programs(settings(tmp_path), Path(sys.executable), "secret-token")
    assert [program.name for program in started] == ["JupyterLab", "TensorBoard"]
    for program in started:
        assert "secret-token" not in " ".join(program.command)
        assert program.environment["JUPYTER_TOKEN"] == "secret-token"
        assert "JUPYTER_TOKEN_FILE" not in program.environment
        assert program.environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
        assert program.environment["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0] == str(assets.JUPYTER_CONFIG)
    assert list(assets.JUPYTER_CONFIG.rglob("*.json"))
    assert started[1].environment["CUDA_VISIBLE_DEVICES"] == "-1"


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "::", "127.0.0.1"])
def test_address_opens_in_a_browser_of_this_machine(tmp_path: Path, host: str) -> None:
    [editor, board] = programs(settings(tmp_path, host=host), Path(sys.executable), "t")
    assert (editor.address, board.address) == ("http://127.0.0.1:8888/lab", "http://127.0.0.1:6006/")


def test_port_of_another_program_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(WorkbenchError, match=r"^--port: got ") as error:
            check_ports(Settings(Path(), None, "127.0.0.1", taken.getsockname()[1], 1))
    assert GRAMMAR.fullmatch(str(error.value))


def test_missing_helm_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> str:
        raise HelmError("helm: missing")

    monkeypatch.setattr("tfd.workbench.programs.find_helm", missing)
    monkeypatch.setattr("tfd.commands.workbench.python", lambda: Path(sys.executable))
    monkeypatch.setattr("tfd.commands.workbench.check_ports", lambda settings: None)
    result = CliRunner().invoke(command, ["--dir", str(tmp_path / "home")])
    assert (result.exit_code, result.stderr, (tmp_path / "home").exists()) == (2, "helm: missing\n", False)


def test_package_without_jupyterlab_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(assets, "CHECKOUT", None)
    with pytest.raises(WorkbenchError) as error:
        environment.python()
    assert GRAMMAR.fullmatch(str(error.value))


def test_environment_with_jupyterlab_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: object())
    assert environment.python() == Path(sys.executable)


def test_checkout_installs_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "workbench.sh"
    script.parent.mkdir()
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(assets, "CHECKOUT", tmp_path)
    script.write_text("#!/bin/sh\necho /some/python\n")
    script.chmod(0o755)
    assert environment.python() == Path("/some/python")
    script.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(WorkbenchError, match="exit code 3"):
        environment.python()


def test_refused_start_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_TOKEN_FILE", str(tmp_path / "absent"))
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    result = CliRunner().invoke(command, ["--dir", str(tmp_path / "home")])
    assert (result.exit_code, (tmp_path / "home").exists()) == (1, False)
    assert result.stderr.startswith("JUPYTER_TOKEN_FILE: got ")


def test_tensorboard_shows_runs_in_a_bucket(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "gs://bucket/runs")
    [_, board] = programs(chosen, Path(sys.executable), "t")
    spec = board.command[board.command.index("--logdir_spec") + 1]
    assert spec == f"logs:{tmp_path}/logs,runs:{tmp_path}/runs,team:gs://bucket/runs"
    prepare(chosen)
    assert sorted(path.name for path in (tmp_path / ".tensorboard").iterdir()) == ["logs", "runs"]


def test_one_program_starts_without_the_other(tmp_path: Path) -> None:
    alone = Settings(tmp_path, None, "127.0.0.1", None, 6006)
    assert [each.name for each in programs(alone, Path(sys.executable), "t")] == ["TensorBoard"]
    alone = Settings(tmp_path, None, "127.0.0.1", 8888, None)
    assert [each.name for each in programs(alone, Path(sys.executable), "t")] == ["JupyterLab"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        # The port of a program that does not start may be in use.
        check_ports(Settings(tmp_path, None, "127.0.0.1", None, None))


def test_jupyterlab_ends_idle_kernels_terminals_and_itself_after_the_same_time(tmp_path: Path) -> None:
    [editor, board] = programs(settings(tmp_path, idle=7200), Path(sys.executable), "t")
    timeouts = dict(word.removeprefix("--").split("=") for word in editor.command if "timeout=" in word)
    assert timeouts == {
        "MappingKernelManager.cull_idle_timeout": "7200",
        "TerminalManager.cull_inactive_timeout": "7200",
        "ServerApp.shutdown_no_activity_timeout": "7200",
    }
    assert "--MappingKernelManager.cull_connected=True" in editor.command
    assert editor.end == "had no activity for 2:00:00, or was shut down from its menu"
    assert board.end == ""
    [editor, _] = programs(settings(tmp_path), Path(sys.executable), "t")
    assert not [word for word in editor.command if "timeout=" in word or "cull" in word]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["--no-editor", "--no-tensorboard"], "--no-tensorboard"),
        (["--no-editor", "--idle-after", "1h"], "--idle-after"),
    ],
)
def test_options_without_effect_are_refused(tmp_path: Path, options: list[str], key: str) -> None:
    result = CliRunner().invoke(command, ["--dir", str(tmp_path / "home"), *options])
    assert (result.exit_code, (tmp_path / "home").exists()) == (1, False)
    assert result.stderr.startswith(f"{key}: got ") and GRAMMAR.fullmatch(result.stderr.strip())


@pytest.mark.parametrize(
    ("option", "value"), [("--idle-after", "0s"), ("--idle-after", "2 h"), ("--idle-after", "90"), ("--runs", "absent")]
)
def test_bad_value_of_an_option_is_refused(tmp_path: Path, option: str, value: str) -> None:
    result = CliRunner().invoke(command, ["--dir", str(tmp_path / "home"), option, value])
    assert (result.exit_code, (tmp_path / "home").exists()) == (2, False)
    assert f'got "{value}"; expected ' in result.stderr
