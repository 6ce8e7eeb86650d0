from __future__ import annotations

import json

import pytest

from trainer.runtime.errors import ConfigError
from trainer.runtime.tf_config import parse

CLUSTER = {"chief": ["run-chief-0.run:2222"], "ps": ["run-ps-0.run:2222"], "worker": ["a:1", "b:2"]}


def config(cluster: object, role: object, index: object = 0) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})


@pytest.mark.parametrize("text", [None, ""])
def test_task_without_tf_config_is_a_single_chief(text: str | None) -> None:
    cluster = parse(text)
    assert (cluster.name, cluster.is_chief, cluster.address, cluster.chief_address) == ("chief-0", True, None, None)


def test_worker_in_a_cluster_with_a_chief_is_not_the_chief() -> None:
    cluster = parse(config(CLUSTER, "worker", 1))
    assert (cluster.name, cluster.is_chief, cluster.address) == ("worker-1", False, "b:2")
    assert cluster.chief_address == "run-chief-0.run:2222"
    assert cluster.peers("ps", "worker") == {"ps-0": "run-ps-0.run:2222", "worker-0": "a:1"}


def test_worker_0_is_the_chief_in_a_cluster_without_a_chief() -> None:
    cluster = {"worker": ["a:1", "b:2"]}
    assert [parse(config(cluster, "worker", i)).is_chief for i in (0, 1)] == [True, False]
    assert parse(config(cluster, "worker", 1)).chief_address == "a:1"
    assert not parse(config(CLUSTER, "worker", 0)).is_chief


def test_evaluator_has_no_address_in_the_cluster() -> None:
    cluster = parse(config(CLUSTER, "evaluator"))
    assert (cluster.name, cluster.is_chief, cluster.address) == ("evaluator-0", False, None)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("{", "TF_CONFIG: got invalid JSON"),
        ("[]", "TF_CONFIG: got []; expected a JSON object."),
        ("{}", "TF_CONFIG.task: got nothing"),
        (
            config(CLUSTER, "master"),
            'TF_CONFIG.task.type: got "master"; expected one of "chief", "ps",',
        ),
        (
            config(CLUSTER, "worker", 2),
            "TF_CONFIG.task.index: got 2; expected less than 2, the number of worker",
        ),
        (config(CLUSTER, "worker", -1), "TF_CONFIG.task.index: got -1"),
        (config(CLUSTER, "worker", "0"), 'TF_CONFIG.task.index: got "0"'),
        (config(CLUSTER, "worker", True), "TF_CONFIG.task.index: got true"),
        (config({"evaluator": ["a:1"]}, "chief"), "TF_CONFIG.cluster.evaluator: got an unknown key"),
        (config({"worker": []}, "worker"), "TF_CONFIG.cluster.worker: got []"),
        (config({"worker": ["a"]}, "worker"), 'TF_CONFIG.cluster.worker[0]: got "a"; expected host:port, with'),
        (config({"worker": ["::1:2222"]}, "worker"), 'TF_CONFIG.cluster.worker[0]: got "::1:2222"; expected'),
        (config({"worker": ["[a]:2222"]}, "worker"), 'TF_CONFIG.cluster.worker[0]: got "[a]:2222"; expected'),
        (config({"worker": ["a:0"]}, "worker"), 'TF_CONFIG.cluster.worker[0]: got "a:0"'),
        (config({"worker": ["a:65536"]}, "worker"), 'TF_CONFIG.cluster.worker[0]: got "a:65536"'),
        (config({"worker": [3]}, "worker"), "TF_CONFIG.cluster.worker[0]: got 3"),
        (
            config({"chief": ["a:1", "b:1"]}, "chief"),
            'TF_CONFIG.cluster.chief: got ["a:1", "b:1"]; expected one',
        ),
        (config(["a:1"], "chief"), 'TF_CONFIG.cluster: got ["a:1"]'),
    ],
)
def test_refusal_of_an_invalid_tf_config_has_the_key_and_the_fix(text: str, rule: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert str(error.value).startswith(rule)
    assert ". Set TF_CONFIG to" in str(error.value)
