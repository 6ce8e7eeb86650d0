"""Every field of a manifest ends in exactly one of the three lists, whatever the manifest contains."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tfd.importing.answers import imported
from tests.unit.tfd.importing.shapes import ELASTIC, FEATURES, Object, build
from tfd.importing.job_file import Result
from tfd.importing.ledger import UNKNOWN
from tfd.importing.manifest import UnreadableError
from tfd.importing.report import as_json
from tfd.jobfile import helm_yaml
from tfd.jobfile.helm_yaml import Key
from tfd.text import dotted

MANIFESTS = sorted(Path(__file__).with_name("manifests").glob("*.yaml"))
# Features that refuse a manifest, and those that remove what another feature needs.
APART = {"sidecar", "TPU", "second network", "hostAliases", "claim per task"}
APART |= {"subPath", "misplaced mounts", "mounts per role", "list of roles", "TF_CONFIG in shell", "hosts in shell"}
NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC", min_size=1, max_size=12).map(lambda name: f"{name}Zz")


def leaves(value: Any, path: Key = ()) -> Iterator[Key]:
    """Yield the path of each value that contains no other one."""
    if isinstance(value, dict | list) and value:
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(child, (*path, name))
    else:
        yield path


def blocks(value: Any, path: Key = ()) -> Iterator[Key]:
    """Yield the path of each mapping."""
    if isinstance(value, dict):
        yield path
    if isinstance(value, dict | list):
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from blocks(child, (*path, name))


def at(value: Any, path: Key) -> Any:
    for name in path:
        value = value[name]
    return value


def counts(result: Result, manifest: Any) -> Counter[Key]:
    """Return for each leaf of a manifest the number of lines that settle it."""
    lines = [line.path for line in result.context.ledger.lines if line.path]
    found: Counter[Key] = Counter({leaf: 0 for leaf in leaves(manifest)})
    for leaf in found:
        found[leaf] = sum(leaf[: len(path)] == path for path in lines)
    return found


def everything() -> Any:
    """Return a manifest with every feature that others allow."""
    uses = ["claim /train", "second claim /data", "path /train", *sorted(set(FEATURES) - APART)]
    return build("C1g1 P2g1 W2g1 E1", uses)


SAMPLES = [helm_yaml.load(path.read_text(encoding="utf-8")).value for path in MANIFESTS] + [everything()]


@pytest.mark.parametrize("manifest", SAMPLES, ids=[*(path.stem for path in MANIFESTS), "everything"])
def test_each_field_has_exactly_one_line(manifest: Any) -> None:
    result = imported(json.dumps(manifest), run="run-1")
    assert {leaf: number for leaf, number in counts(result, manifest).items() if number != 1} == {}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_unknown_field_anywhere_is_reported(data: st.DataObject) -> None:
    manifest = copy.deepcopy(data.draw(st.sampled_from(SAMPLES)))
    place = data.draw(st.sampled_from(list(blocks(manifest))))
    name = data.draw(NAMES)
    value = data.draw(st.one_of(st.integers(), st.just("text"), st.just({"inner": [1]}), st.booleans()))
    at(manifest, place)[name] = value
    try:
        result = imported(json.dumps(manifest), run="run-1")
    except UnreadableError:
        return  # for example a role or a second kind of a volume
    assert {leaf: number for leaf, number in counts(result, manifest).items() if number != 1} == {}
    line = next(
        line for line in result.context.ledger.lines if line.path and (*place, name)[: len(line.path)] == line.path
    )
    listed = [each for fate in ("same", "changed", "dropped") for each in as_json(result)[fate]]
    assert dotted(line.path) in {each["field"] for each in listed}


@pytest.mark.parametrize("name", ["resouces", "volumeMount", "imagePullpolicy"])
def test_misspelled_field_is_dropped_with_the_name_that_its_author_meant(name: str) -> None:
    manifest = build("W2", ["claim /train"])
    container = manifest["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    container[name] = {"limits": {"cpu": 1}}
    lines = imported(json.dumps(manifest)).context.ledger.lines
    [line] = [line for line in lines if line.path[-1:] == (name,)]
    assert line.fate == "dropped"
    assert "did its author mean " in line.why


@pytest.mark.parametrize(
    ("place", "name", "value", "parent"),
    [
        (("spec", "tfReplicaSpecs", "Worker", "template"), "annotations", {"a": "b"}, "metadata"),
        (("spec", "tfReplicaSpecs", "Worker"), "annotations", {"a": "b"}, "metadata"),
        (("spec", "tfReplicaSpecs", "Worker", "template", "spec"), "volumeMounts", [{"name": "x"}], "containers"),
        (("spec",), "cleanPodPolicy", "None", "runPolicy"),
        (("spec",), "backoffLimit", 3, "runPolicy"),
        (("spec", "tfReplicaSpecs", "Worker", "template"), "volumes", [{"name": "x"}], "template.spec"),
        (("spec", "tfReplicaSpecs", "Worker"), "hostNetwork", True, "template.spec"),
        (("spec", "tfReplicaSpecs", "Worker"), "image", "r/a:1", "containers"),
        (("spec",), "restartPolicy", "Never", "the role"),
        (("spec",), "replicas", 2, "the role"),
    ],
)
def test_misplaced_field_is_dropped_with_its_place(place: Key, name: str, value: Any, parent: str) -> None:
    manifest = build("W2", [])
    at(manifest, place)[name] = value
    lines = imported(json.dumps(manifest)).context.ledger.lines
    [line] = [line for line in lines if line.path == (*place, name)]
    assert line.fate == "dropped"
    assert parent in line.why


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"image": "<image>:1"}, ["image"]),
        ({"image": "r/a:1", "resources": {"limits": {"cpu": "x", "memory": "1Gi"}}}, ["cpu"]),
    ],
)
def test_value_that_became_a_question_is_not_called_the_same(change: Object, names: list[str]) -> None:
    manifest = build("W2", [])
    manifest["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0] |= change
    lines = imported(json.dumps(manifest)).context.ledger.lines
    assert [line.path[-1] for line in lines if line.why == "see the TODO of this key"] == names
    assert {line.fate for line in lines if line.why == "see the TODO of this key"} == {"changed"}


def test_fields_of_dlrover_are_dropped_with_a_reason() -> None:
    manifest = build("W2", ["memory"], ELASTIC)
    names = {"autoScale": True, "restartTimeout": 10, "priority": "high"}
    manifest["spec"]["replicaSpecs"]["worker"] |= names
    manifest["spec"] |= {"resourceLimits": {"cpu": "8"}, "brainService": "brain"}
    lines = {line.path[-1]: line.why for line in imported(json.dumps(manifest)).context.ledger.lines if line.path}
    assert UNKNOWN not in lines.values()
    assert lines.keys() >= {*names, "resourceLimits", "brainService"}


def test_field_that_the_operator_wrote_is_listed_in_json_only() -> None:
    manifest = build("W1", ["memory"])
    manifest["status"] = {"conditions": [{"type": "Succeeded"}]}
    manifest["metadata"] |= {"uid": "1", "managedFields": [{"manager": "x"}], "creationTimestamp": None}
    manifest["spec"]["tfReplicaSpecs"]["Worker"]["template"]["metadata"] = {"creationTimestamp": None}
    result = imported(json.dumps(manifest))
    noise = {each["field"] for each in as_json(result)["dropped"] if each["noise"]}
    assert {"status", "metadata.uid", "metadata.managedFields", "metadata.creationTimestamp"} <= noise
    assert "spec.tfReplicaSpecs.Worker.template.metadata" in noise


@pytest.mark.parametrize("number", [1, 7])
def test_other_objects_of_the_file_are_reported(number: int) -> None:
    objects = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{each}"}} for each in range(number)]
    text = "\n---\n".join(map(json.dumps, [*objects, {"values": 1}, build("W1", ["memory"])]))
    [line] = [line for line in imported(text).context.ledger.lines if line.key == "file"]
    assert line.fate == "dropped"
    assert "ConfigMap c0" in line.why
    assert ("and 2 more" in line.why) == (number == 7)


def test_duplicate_key_is_reported_with_both_lines() -> None:
    text = """\
apiVersion: kubeflow.org/v1
kind: TFJob
metadata: {name: a, namespace: vision}
spec:
  tfReplicaSpecs:
    Worker:
      template: {metadata: {annotations: {sidecar.istio.io/inject: "false"}}}
      template:
        spec:
          containers: [{name: tensorflow, image: "r/a:1", command: [python, a.py]}]
"""
    [line] = [line for line in imported(text).context.ledger.lines if "last one" in line.why]
    assert line.path == ("spec", "tfReplicaSpecs", "Worker", "template")
    assert line.why == "the key is on line 7 too; the last one, on line 8, wins"
