"""Simulated nodes, without a cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from devcluster import cli, control, kwok
from devcluster.namespaces import NamespaceSet
from devcluster.shell import DevclusterError

STAGE = {
    "kind": "Stage",
    "spec": {"selector": {"matchExpressions": [{"key": ".status.phase", "operator": "In", "values": ["Running"]}]}},
}


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide a source of kwok in which each stage has one condition."""
    monkeypatch.setattr(kwok, "source", lambda: tmp_path)
    for name in (*kwok.STAGES, "pod/fast/pod-complete"):
        path = tmp_path / "kustomize" / "stage" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(STAGE | {"metadata": {"name": path.stem}}))


@pytest.mark.usefixtures("stages")
def test_pod_of_a_simulated_node_completes_only_with_the_annotation() -> None:
    *stages, logs = yaml.safe_load_all(kwok.config().read_text())
    conditions = {each["metadata"]["name"]: each["spec"]["selector"]["matchExpressions"] for each in stages}
    asked = {"key": f'.metadata.annotations["{kwok.COMPLETE}"]', "operator": "Exists"}
    assert asked in conditions.pop("pod-complete")
    assert len(conditions) == 4
    assert all(asked not in each for each in conditions.values())
    assert Path(logs["spec"]["logs"][0]["logsFile"]).read_text() == kwok.LOG


def test_simulated_node_keeps_other_pods_away() -> None:
    made = kwok.node("kwok1")
    assert made["spec"]["taints"] == [kwok.TAINT]
    assert made["metadata"]["labels"].items() >= kwok.LABEL.items()


def test_nodes_that_are_no_longer_wanted_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["kwok1", "kwok2"]
    deleted: list[str] = []
    stopped: list[str] = []

    def found(*words: str) -> dict[str, Any]:
        return {"items": [] if words[1] == "pods" else [{"metadata": {"name": name}} for name in names]}

    monkeypatch.setattr(kwok, "kubectl_json", found)
    monkeypatch.setattr(kwok, "kubectl", lambda *words: deleted.extend(words[2:]))
    monkeypatch.setattr(NamespaceSet, "stop", lambda _, component: stopped.append(component))
    kwok.up(0)
    assert (deleted, stopped) == (names, ["kwok"])


def test_component_is_stopped_and_its_pid_file_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    control.NAMESPACES.folder.mkdir(parents=True)
    control.NAMESPACES.stop("kwok")
    pid_file = control.NAMESPACES.folder / "kwok.pid"
    pid_file.write_text("1 0\n")
    control.NAMESPACES.stop("kwok")
    assert not pid_file.exists()


def test_simulated_nodes_need_a_cluster() -> None:
    done = CliRunner().invoke(cli.main, ["kwok", "2"])
    assert done.exit_code == 1
    assert "No cluster runs." in done.output
    assert isinstance(done.exception, SystemExit) and not isinstance(done.exception, DevclusterError)
