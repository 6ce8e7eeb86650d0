"""Helm holds each number as a float, but the run record must hold it as the job file wrote it."""

import hashlib
import json
from pathlib import Path

from tests.chart.rendering import objects, of_kind, record, render
from tfd.jobfile import helm_yaml

JOB = """
storage: {claim: runs}
trainer:
  steps: 1000000
  seed: 4294967295
  hyperparameters:
    {learningRate: 1e-3, epsilon: 1e-8, big: 123456789012, ratio: 0.30000000000000004, name: "1e3", augment: on}
"""
TRAINER = {
    "steps": 1000000,
    "seed": 4294967295,
    "hyperparameters": {
        "learningRate": 0.001,
        "epsilon": 1e-8,
        "big": 123456789012,
        "ratio": 0.30000000000000004,
        "name": "1e3",
        "augment": True,
    },
}


def test_yaml_file_and_json_of_argo_cd_give_the_same_record(tmp_path: Path) -> None:
    """The ApplicationSet passes the job file to Helm as one JSON string: `toPrettyJson` in argocd/."""
    (tmp_path / "run.yaml").write_text(JOB)
    (tmp_path / "run.json").write_text(json.dumps({"storage": {"claim": "runs"}, "trainer": TRAINER}))
    by_yaml, by_json = render(tmp_path / "run.yaml"), render(tmp_path / "run.json")
    assert by_yaml == by_json
    trainer = record(helm_yaml.load_all(by_yaml))["identity"]["trainer"]
    assert {name: trainer[name] for name in TRAINER} == TRAINER


def test_no_number_of_the_record_is_written_as_a_float(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(JOB)
    [config] = of_kind(helm_yaml.load_all(render(tmp_path / "run.yaml")), "ConfigMap")
    for line in ('"steps": 1000000,', '"big": 123456789012,', '"learningRate": 0.001,', '"name": "1e3",'):
        assert line in config["data"]["run.json"]


def test_option_set_gives_the_same_hash_as_a_file() -> None:
    """Helm reads integers from --set and floats from a file."""
    job = {"storage": {"claim": "runs"}}
    by_set = helm_yaml.load_all(render(job, "--set", "trainer.steps=1000000,trainer.seed=7"))
    assert record(by_set) == record(objects(job | {"trainer": {"steps": 1000000, "seed": 7}}))


def test_hash_is_the_sha256_of_the_identity_as_compact_json() -> None:
    """Any program can compute the hash from the run record."""
    job = {"storage": {"claim": "runs"}, "trainer": {"steps": 1000000, "hyperparameters": {"learningRate": 1e-3}}}
    made = record(objects(job))
    compact = json.dumps(made["identity"], sort_keys=True, separators=(",", ":"))
    assert made["hash"] == f"sha256:{hashlib.sha256(compact.encode()).hexdigest()}"
    assert {o["metadata"]["annotations"]["tf-distributed.github.io/hash"] for o in objects(job)} == {made["hash"]}
