"""Properties of every valid job file; Hypothesis generates the files."""

import json
import os
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.chart.rendering import Object, Values, by_name, of_kind, record, render
from tests.chart.volumes import pod_specs, problems
from tfd.jobfile import helm_yaml
from tfd.kubernetes import COMPONENT_LABEL
from tfd.local.pods import read_pods

NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
WORDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
DURATIONS = st.builds(lambda number, unit: f"{number}{unit}", st.integers(1, 9999), st.sampled_from("smh"))
GPU_RESOURCES = st.sampled_from(["nvidia.com/gpu", "amd.com/gpu", "google.com/tpu"])
SECRET = {"secretKeyRef": {"name": "token", "key": "key"}}
# YAML cannot hold some characters unescaped, so they are excluded. The tricky texts reveal a missing quote.
TRICKY = ["{{ .Values }}", "a: b # c", "- x", "<&>", "$(HOME)", "'\"", "\n\n", "~"]
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\ufeff\u2028\u2029")
TEXTS = st.text(CHARACTERS, max_size=60) | st.sampled_from(TRICKY)
SOURCES = st.sampled_from(
    [
        {"claim": "runs", "folder": "a/b"}, {"claim": "models"}, {"claim": "images"}, {"claim": "run-storage"},
        {"secret": "a"}, {"secret": "b"}, {"configMap": "a"}, {"scratch": "1Gi"},
    ]
)  # fmt: skip
POINTS = st.from_regex(r"(/[A-Za-z0-9_][-A-Za-z0-9_.]{0,9}){1,3}", fullmatch=True).map("/mnt{}".format)
HYPERPARAMETERS = st.dictionaries(WORDS, NUMBERS | st.booleans() | TEXTS, max_size=5)


@st.composite
def jobs(draw: st.DrawFn) -> Values:
    """Draw a job file that the chart accepts."""
    strategy = draw(st.sampled_from(["OneDevice", "Mirrored", "MultiWorkerMirrored", "ParameterServer"]))
    job: Values = {"strategy": strategy, "gpu": {"resource": draw(GPU_RESOURCES)}}
    job["storage"] = draw(
        st.sampled_from([{"claim": "runs"}, {"create": {"size": "50Gi"}}, {"uri": "gs://bucket/runs"}])
    )
    if "uri" not in job["storage"] and draw(st.booleans()):
        job["storage"] = job["storage"] | {"at": draw(POINTS).replace("/mnt", "/storage", 1)}
    job["data"] = draw(st.sampled_from([{}, {"claim": "images"}, {"claim": "runs", "at": "/images"}]))
    points = draw(st.lists(POINTS, max_size=8, unique_by=lambda point: point.split("/")[2]))
    job["mounts"] = [{"at": point, **draw(SOURCES)} for point in points]
    gpus: dict[str, int] = {}
    if strategy in ("OneDevice", "Mirrored", "ParameterServer"):
        gpus["chief"] = draw(st.integers(0, 1 if strategy == "OneDevice" else 8))
    if strategy == "ParameterServer":
        job["ps"] = {"replicas": draw(st.integers(1, 12))}
    if strategy in ("ParameterServer", "MultiWorkerMirrored"):
        job["worker"] = {"replicas": draw(st.integers(1, 12))}
        gpus["worker"] = draw(st.integers(0, 8))
    if draw(st.booleans()):
        job["evaluator"] = {"replicas": 1}
        gpus["evaluator"] = draw(st.integers(0, 2))
    for role, number in gpus.items():
        job.setdefault(role, {})["gpus"] = number
        if number:
            job[role]["resources"] = {"limits": {"memory": draw(st.sampled_from(["4Gi", None]))}}
        if draw(st.booleans()):
            job[role]["shm"] = draw(st.sampled_from(["64Mi", "2Gi", "2G"]))
    shares = {"Mirrored": gpus.get("chief", 1), "MultiWorkerMirrored": job.get("worker", {}).get("replicas", 1)}
    shares["MultiWorkerMirrored"] *= max(1, gpus.get("worker", 1))
    job["trainer"] = {
        "steps": draw(st.integers(1, 10**9)),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "batchSize": draw(st.integers(1, 1000)) * max(1, shares.get(strategy, 1)),
        "hyperparameters": draw(HYPERPARAMETERS),
    }
    names = draw(st.lists(WORDS.filter(lambda name: name not in RESERVED), unique=True, max_size=4))
    job["env"] = [
        {"name": name, "valueFrom": SECRET} if draw(st.booleans()) else {"name": name, "value": draw(TEXTS)}
        for name in names
    ]
    job["args"] = draw(st.lists(TEXTS.filter(lambda text: text != "--"), max_size=3))
    job["description"] = draw(TEXTS)
    job["deadline"] = draw(DURATIONS)
    job["failure"] = {"gracePeriod": draw(DURATIONS), "startTimeout": draw(DURATIONS)}
    job["scheduling"] = {
        "gang": draw(st.booleans()),
        "place": draw(st.sampled_from(["any", "spread", "pack"])),
        "queue": draw(st.sampled_from(["", "team"])),
    }
    job["network"] = {"port": draw(st.integers(1024, 65535))}
    job["state"] = draw(st.sampled_from(["active", "suspended"]))
    return job


RESERVED = {"TF_CLUSTER", "TASK_INDEX", "TF_CONFIG", "RUN_DIR", "DATA_DIR", "HOME", "JOB_COMPLETION_INDEX"}
RESERVED |= {"TASK_TYPE", "POD_NAME", "POD_IP", "USER", "NVIDIA_VISIBLE_DEVICES"}


def labels_of_pods(rendered: list[Object]) -> list[dict[str, str]]:
    """Return the labels of the pods of each Job and Deployment."""
    return [o["spec"]["template"]["metadata"]["labels"] for o in rendered if o["kind"] in ("Job", "Deployment")]


def selected(rendered: list[Object], selector: dict[str, str]) -> list[str]:
    """Return the components whose pods a selector takes."""
    return sorted(pod[COMPONENT_LABEL] for pod in labels_of_pods(rendered) if selector.items() <= pod.items())


def counts_of_kueue(rendered: list[Object]) -> list[tuple[str, int]]:
    """Return all roles and the tasks that Kueue counts, in alphabetical order; nothing without a queue."""
    sets = [each for workload in of_kind(rendered, "Workload") for each in workload["spec"]["podSets"]]
    found = {each["name"]: each["count"] for each in sets}
    assert list(found) == sorted(found) and all(found.values())
    return sorted((dict.fromkeys(("chief", "ps", "worker", "evaluator") if found else (), 0) | found).items())


def names_in(node: Any) -> list[str]:
    """Return every name that Kubernetes holds to 63 characters: of objects, volumes, containers, ports, claims."""
    if isinstance(node, list):
        return [name for child in node for name in names_in(child)]
    if not isinstance(node, dict):
        return []
    found = [node[key] for key in ("name", "claimName", "subdomain", "podGroupName") if isinstance(node.get(key), str)]
    return found + [name for child in node.values() for name in names_in(child)]


def same(seen: Any, written: Any) -> bool:
    """Whether two values are the same one: an integer to the last digit, a float to the last bit, 1 is not true."""
    if isinstance(written, dict):
        return seen.keys() == written.keys() and all(same(seen[name], value) for name, value in written.items())
    if isinstance(written, float):  # whole floats are written without a point
        return isinstance(seen, int | float) and not isinstance(seen, bool) and float(seen) == written
    return type(seen) is type(written) and seen == written


# Shrinking a failure takes minutes of renderings: add Phase.shrink for the smallest job file that fails.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


@pytest.mark.slow
@settings(max_examples=80, deadline=None, derandomize="CI" in os.environ, phases=PHASES)
@given(run=NAMES, job=jobs())
def test_any_valid_job_file(run: str, job: Values) -> None:
    """One rendering per job, so one test for all that must hold."""
    rendered = helm_yaml.load_all(render(job, run=run))
    pods = read_pods(rendered, lambda variable, name, key: "secret")
    objects = by_name(rendered)
    assert len(objects) == len(rendered)

    # The cluster spec matches the Jobs, and every task has its own address.
    cluster = json.loads(objects[f"ConfigMap/{run}"]["data"]["cluster"])
    sizes = {role: 0 for role in ("chief", "ps", "worker", "evaluator")}
    for item in of_kind(rendered, "Job"):
        sizes[item["metadata"]["name"].removeprefix(f"{run}-")] = item["spec"]["completions"]
    assert {role: len(cluster.get(role, [])) for role in ("chief", "ps", "worker")} == {
        role: number for role, number in sizes.items() if role != "evaluator"
    }
    addresses = [address for listed in cluster.values() for address in listed]
    assert len(addresses) == len(set(addresses)) == len([pod for pod in pods if pod.role != "evaluator"])
    for pod in pods:
        assert json.loads(pod.env["TF_CONFIG"]) == {"cluster": cluster, "task": {"type": pod.role, "index": pod.index}}

    # Service and NetworkPolicy select all tasks and no other pod, such as TensorBoard.
    tasks = sorted(role for role, number in sizes.items() if number)
    policy = objects[f"NetworkPolicy/{run}"]["spec"]
    [rule] = policy["ingress"]
    [peer] = rule["from"]
    for selector in (
        objects[f"Service/{run}"]["spec"]["selector"],
        policy["podSelector"]["matchLabels"],
        peer["podSelector"]["matchLabels"],
    ):
        assert selected(rendered, selector) == tasks
    assert selected(rendered, objects[f"Service/{run}-tensorboard"]["spec"]["selector"]) == ["tensorboard"]

    # Names of objects and pods fit into a DNS label, and volumes fit their mounts.
    too_long = [name for name in [*names_in(rendered), *(pod.name for pod in pods)] if len(name) > 63]
    assert too_long == [problem for spec in pod_specs(rendered) for problem in problems(spec)] == []
    assert {pod.name.rpartition("-")[0] for pod in pods} == {o["metadata"]["name"] for o in of_kind(rendered, "Job")}

    # A GPU is a limit and an equal request.
    for item in of_kind(rendered, "Job"):
        role = item["metadata"]["labels"][COMPONENT_LABEL]
        [container] = item["spec"]["template"]["spec"]["containers"]
        wanted = str(job.get(role, {}).get("gpus") or "")
        for kind in ("limits", "requests"):
            assert container["resources"][kind].get(job["gpu"]["resource"], "") == wanted

    # The gang holds all tasks of the cluster, without the evaluator. The group of Kueue holds all tasks.
    if job["scheduling"]["gang"]:
        assert objects[f"PodGroup/{run}"]["spec"]["schedulingPolicy"]["gang"]["minCount"] == len(addresses)
    assert counts_of_kueue(rendered) == (sorted(sizes.items()) if job["scheduling"]["queue"] else [])

    # The run record and the environment hold numbers and texts as the job file wrote them.
    identity = record(rendered)["identity"]
    for name, value in job["trainer"].items():
        assert same(identity["trainer"][name], value), name
    assert identity["args"] == job["args"]
    assert identity["replicas"] == sizes
    for pod in pods:
        for variable in job["env"]:
            assert pod.env[variable["name"]] == _expanded(variable, pod.env)


def _expanded(variable: Values, env: Any) -> str:
    """Return the value to which the kubelet expands a variable of the job file."""
    if "value" not in variable:
        return "secret"
    text: str = variable["value"]
    return text.replace("$$", "$") if "$(" not in text else text.replace("$(HOME)", env["HOME"]).replace("$$", "$")
