"""TensorFlow itself reads the TF_CONFIG of every task of every job, as the kubelet expands it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.rendering import ACCEPTED, EXAMPLES, objects, of_kind
from tfd.local.pods import Pod, read_pods

FILES = EXAMPLES + ACCEPTED
# TensorFlow runs in another process, because it takes seconds to load and logs warnings that fail this suite.
PARSE = """
import json, os, sys
from tensorflow.python.distribute.cluster_resolver.tfconfig_cluster_resolver import TFConfigClusterResolver
parsed = []
for text in json.load(sys.stdin):
    os.environ["TF_CONFIG"] = text
    resolver = TFConfigClusterResolver()
    parsed.append([resolver.task_type, resolver.task_id, resolver.cluster_spec().as_dict()])
json.dump(parsed, sys.stdout)
"""


def pods(path: Path) -> list[Pod]:
    """Return the pods of a job file, with a made-up value for each Secret."""
    return read_pods(objects(path), lambda variable, name, key: f"{name}/{key}")


def sizes(path: Path) -> dict[str, int]:
    """Return the number of tasks that each Job of a cluster has."""
    jobs = {job["metadata"]["name"].rpartition("-")[2]: job["spec"] for job in of_kind(objects(path), "Job")}
    assert all(spec["completions"] == spec["parallelism"] for spec in jobs.values())
    return {role: spec["completions"] for role, spec in jobs.items() if role != "evaluator"}


@pytest.mark.slow
def test_tensorflow_reads_every_task_of_every_job() -> None:
    tasks = [(path, pod) for path in FILES for pod in pods(path)]
    assert len({pod.role for _, pod in tasks}) == 4
    done = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps([pod.env["TF_CONFIG"] for _, pod in tasks]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for (path, pod), (task_type, task_id, cluster) in zip(tasks, json.loads(done.stdout), strict=True):
        assert (task_type, task_id) == (pod.role, pod.index), path.name
        assert {role: len(addresses) for role, addresses in cluster.items()} == sizes(path), path.name
        assert cluster == json.loads(pod.env["TF_CONFIG"])["cluster"], path.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_address_of_every_task_is_its_pod_in_the_service(path: Path) -> None:
    """The host name of a pod of an Indexed Job is JOB-INDEX, inside the headless Service."""
    for pod in pods(path):
        config = json.loads(pod.env["TF_CONFIG"])
        assert config["task"] == {"type": pod.role, "index": pod.index}
        assert "evaluator" not in config["cluster"]
        if pod.role != "evaluator":
            host, _, port = config["cluster"][pod.role][pod.index].partition(":")
            [service] = [o for o in of_kind(objects(path), "Service") if o["spec"].get("clusterIP") == "None"]
            assert host == f"{pod.name}.{service['metadata']['name']}"
            assert int(port) == service["spec"]["ports"][0]["port"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_tasks_of_a_run_have_the_same_cluster(path: Path) -> None:
    assert len({json.dumps(json.loads(pod.env["TF_CONFIG"])["cluster"]) for pod in pods(path)}) <= 1
