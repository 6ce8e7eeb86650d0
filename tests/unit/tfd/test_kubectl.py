"""What `tfd` makes of the answers of kubectl that are neither objects nor one line."""

import json
import os
import shlex
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.tfd.fake_cluster import Cluster, all_running, job, record
from tests.unit.tfd.test_terminal import assert_harmless
from tfd.cli import main
from tfd.remote.kubectl import ClusterError, Kubectl

DENIED = """\
Warning: would violate PodSecurity "restricted:latest"
Error from server: error when creating "STDIN": admission webhook "kyverno" denied the request:

resource Pod/vision/probe was blocked:
  signed: the image has no signature
"""


def answering(folder: Path, monkeypatch: pytest.MonkeyPatch, out: str = "", error: str = "") -> None:
    program = folder / "kubectl"
    end = f"printf %s {shlex.quote(error)} >&2; exit 1" if error else f"printf %s {shlex.quote(out)}"
    program.write_text(f'#!/bin/sh\ncase "$1" in config) printf vision ;; *) {end} ;; esac\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("text", ["<html>\x1b[31m::error::Log in</html>", "null", "[]", ""])
@pytest.mark.parametrize("words", [("doctor",), ("status", "little"), ("logs", "little"), ("runs",)])
def test_answer_of_another_server_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], text: str
) -> None:
    answering(tmp_path, monkeypatch, text)
    done = CliRunner().invoke(main, list(words))
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"got {json.dumps(text)}; expected an object of the API. Check the server" in done.stderr
    assert_harmless(done.stderr)


@pytest.mark.parametrize("words", [("status", "little"), ("runs",)])
def test_list_without_items_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    answering(tmp_path, monkeypatch, '{"metadata": null, "items": null}')
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == (1 if "status" in words else 0), done.output


def test_message_of_an_admission_webhook_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(tmp_path, monkeypatch, error=DENIED)
    with pytest.raises(ClusterError) as caught:
        Kubectl("vision").apply()
    assert str(caught.value).startswith("Error from server: error when creating")
    assert str(caught.value).endswith("was blocked: signed: the image has no signature")


def test_status_ignores_a_config_map_that_is_not_a_record(cluster: Cluster) -> None:
    cluster.answers["items"] = [record() | {"data": {"run.json": "{}"}}, job("chief")]
    done = cluster.tfd("status", "little")
    assert (done.exit_code, done.stderr.startswith('run: got "little"; expected a run')) == (1, True)


def test_event_about_an_object_without_a_name_hides_no_run(cluster: Cluster) -> None:
    cluster.answers |= {"items": all_running(), "events": [{"involvedObject": {"kind": "Node"}, "message": "odd"}]}
    assert cluster.status()["state"] == "starting"
