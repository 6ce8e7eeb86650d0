"""Builds small manifests of a shape: roles, API version, and the features that practitioners use."""

import re
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
_ROLES = {"C": "Chief", "M": "Master", "P": "PS", "W": "Worker", "E": "Evaluator", "X": "CONTROLLER"}
VOLCANO = "batch.volcano.sh/v1alpha1"
ELASTIC = "elastic.iml.github.io/v1alpha1"
IMAGE = "registry.example.com/vision/trainer:1"
BUILDS_TF_CONFIG = r"""PS_HOST=`cat /etc/volcano/ps.host | sed 's/$/&:2222/g' | sed 's/^/"/;s/$/"/' | tr "\n" ","`;
WORKER_HOST=`cat /etc/volcano/worker.host | sed 's/$/&:2222/g' | sed 's/^/"/;s/$/"/' | tr "\n" ","`;
TASK={\"type\":\"ROLE\",\"index\":${VK_TASK_INDEX}};
export TF_CONFIG={\"cluster\":{\"ps\":[${PS_HOST}],\"worker\":[${WORKER_HOST}]},\"task\":$TASK};
python train.py
"""
TAKES_HOSTS = r"""PS_HOST=`cat /etc/volcano/ps.host | sed 's/$/&:2222/g' | tr "\n" ","`;
WORKER_HOST=`cat /etc/volcano/worker.host | sed 's/$/&:2222/g' | tr "\n" ","`;
python benchmarks.py --job_name=ROLE --task_index=${VK_TASK_INDEX} --ps_hosts=${PS_HOST} --worker_hosts=${WORKER_HOST}
"""


class Shape:
    """A manifest in progress."""

    def __init__(self, roles: str, version: str) -> None:
        self.version = version
        self.metadata: Object = {"name": "run-1", "namespace": "vision"}
        self.spec: Object = {}
        self.roles: dict[str, Object] = {}
        for word in roles.split():
            [(letter, count, gpus)] = re.findall(r"([A-Z])(\d+)(?:g(\d+))?", word)
            container: Object = {"name": "tensorflow", "image": IMAGE, "command": ["python", "train.py"]}
            if gpus:
                container["resources"] = {"limits": {"nvidia.com/gpu": int(gpus)}}
            template = {"metadata": {}, "spec": {"containers": [container]}}
            self.roles[_ROLES[letter]] = {"replicas": int(count), "restartPolicy": "Never", "template": template}
        self.is_list = False

    @property
    def pods(self) -> list[Object]:
        """The pod specs of all roles."""
        return [role["template"]["spec"] for role in self.roles.values()]

    @property
    def containers(self) -> list[Object]:
        """The containers of all roles."""
        return [pod["containers"][0] for pod in self.pods]

    def mount(self, name: str, at: str, source: Object, pods: list[Object] | None = None, **mount: Any) -> None:
        """Add a volume and its mount to all pods, or to `pods`."""
        for pod in pods or self.pods:
            pod.setdefault("volumes", []).append({"name": name, **source})
            container = pod["containers"][0]
            container.setdefault("volumeMounts", []).append({"name": name, "mountPath": at, **mount})

    def manifest(self) -> Object:
        """Return the manifest."""
        if self.version == VOLCANO:
            tasks = [
                {"name": name.lower(), "replicas": role["replicas"], "template": role["template"]}
                for name, role in self.roles.items()
            ]
            for task in tasks:
                task["template"]["spec"]["restartPolicy"] = "OnFailure"
            spec = {"schedulerName": "volcano", "minAvailable": 3, "plugins": {"env": [], "svc": []}, "tasks": tasks}
            return self._object("Job", spec | self.spec)
        if self.is_list:
            types = {"Master": "MASTER", "Worker": "WORKER", "PS": "PS"}
            listed = [{"tfReplicaType": types[name], **role} for name, role in self.roles.items()]
            return self._object("TfJob", {"replicaSpecs": listed, **self.spec})
        if self.version == ELASTIC:
            return self._object(
                "ElasticJob", {"replicaSpecs": {n.lower(): r for n, r in self.roles.items()}, **self.spec}
            )
        return self._object("TFJob", {"tfReplicaSpecs": self.roles, **self.spec})

    def _object(self, kind: str, spec: Object) -> Object:
        return {"apiVersion": self.version, "kind": kind, "metadata": self.metadata, "spec": spec}


def _each(change: Callable[[Object], Any]) -> Callable[[Shape], None]:
    """Return a feature that changes each container."""

    def apply(shape: Shape) -> None:
        for container in shape.containers:
            change(container)

    return apply


def _pod(name: str, value: Any) -> Callable[[Shape], None]:
    """Return a feature that sets a field of each pod."""

    def apply(shape: Shape) -> None:
        for pod in shape.pods:
            pod[name] = value

    return apply


def _env(*variables: Object) -> Callable[[Shape], None]:
    return _each(lambda container: container.setdefault("env", []).extend(variables))


def _metadata(name: str, values: Object) -> Callable[[Shape], None]:
    def apply(shape: Shape) -> None:
        for role in shape.roles.values():
            role["template"]["metadata"].setdefault(name, {}).update(values)

    return apply


def _affinity(kind: str, key: str, term: Object) -> Callable[[Shape], None]:
    def apply(shape: Shape) -> None:
        for pod in shape.pods:
            pod.setdefault("affinity", {}).setdefault(kind, {})[key] = term if kind == "nodeAffinity" else [term]

    return apply


def _by_role(name: str, value: Callable[[str], Any]) -> Callable[[Shape], None]:
    def apply(shape: Shape) -> None:
        for role, container in zip(shape.roles, shape.containers, strict=True):
            container[name] = value(role.lower())

    return apply


def _claim(shape: Shape, at: str, name: str = "results") -> None:
    shape.mount(name, at, {"persistentVolumeClaim": {"claimName": f"team-{name}"}})


def _sub_path(shape: Shape) -> None:
    for container in shape.containers:
        for mount in container["volumeMounts"]:
            mount["subPath"] = "alice"


def _mounts_per_role(shape: Shape) -> None:
    del shape.containers[-1]["volumeMounts"], shape.pods[-1]["volumes"]


def _misplaced_mounts(shape: Shape) -> None:
    pod = shape.pods[-1]
    pod["volumeMounts"] = pod["containers"][0].pop("volumeMounts")


def _in_shell(text: str) -> Callable[[Shape], None]:
    return _by_role("command", lambda role: ["sh", "-c", text.replace("ROLE", role)])


def _path(shape: Shape, at: str) -> None:
    for container in shape.containers:
        if container.get("command", [""])[:1] == ["sh"]:
            container["args"] = [f"cd /opt/app && python train.py --output_dir={at}/out"]
        else:
            container["args"] = [f"--log_dir={at}/logs", f"--pipeline={at}/pipeline.config"]


def _no_command(shape: Shape) -> None:
    for container in shape.containers:
        del container["command"]


def _shell(shape: Shape) -> None:
    for container in shape.containers:
        container["command"] = ["sh", "-c"]
        container["args"] = ["cd /opt/app; python train.py --steps=1000 2>&1"]


def _hosts(shape: Shape) -> None:
    _in_shell(TAKES_HOSTS)(shape)
    for container in shape.containers:
        del container["args"]


def _tf_config(shape: Shape) -> None:
    _in_shell(BUILDS_TF_CONFIG)(shape)
    for container in shape.containers:
        del container["args"]


def _generate_name(shape: Shape) -> None:
    shape.metadata["generateName"] = f"{shape.metadata.pop('name')}-"


def _list(shape: Shape) -> None:
    shape.is_list = True


_HOST = "kubernetes.io/hostname"
_SOFT = "preferredDuringSchedulingIgnoredDuringExecution"
_HARD = "requiredDuringSchedulingIgnoredDuringExecution"
_TERM = {"topologyKey": _HOST, "labelSelector": {"matchLabels": {"app": "x"}}}
_GPU_NODES = {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a100"]}]}
_SECRET = {"secretKeyRef": {"name": "objects", "key": "id"}}
_KEY_FILE = "/var/secrets/key.json"

FEATURES: dict[str, Callable[[Shape], Any]] = {
    "no command": _no_command,
    "subPath": _sub_path,
    "workingDir": _each(lambda container: container.update(workingDir="/opt/app")),
    "env": _env({"name": "EPOCHS", "value": "3"}),
    "s3": _env({"name": "S3_ENDPOINT", "value": "https://objects.example.com"}),
    "secretKeyRef": _env({"name": "OBJECTS_ID", "valueFrom": _SECRET}),
    "literal secret": _env({"name": "AWS_SECRET_ACCESS_KEY", "value": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"}),
    "fieldRef": _env({"name": "JOB_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
    "own TF_CONFIG": _env({"name": "TF_CONFIG", "value": '{"task": {"index": 0}}'}),
    "cloud key": lambda shape: (
        shape.mount("key", "/var/secrets", {"secret": {"secretName": "user-gcp-sa"}}),
        _env({"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": _KEY_FILE})(shape),
    ),
    "secret files": lambda shape: shape.mount("cert", "/opt/certificates", {"secret": {"secretName": "kafka"}}),
    "azureFile": lambda shape: shape.mount("share", "/mnt/azure", {"azureFile": {"secretName": "a", "shareName": "b"}}),
    "hostPath": lambda shape: shape.mount("host", "/host", {"hostPath": {"path": "/data/nfs"}}),
    "emptyDir": lambda shape: shape.mount("work", "/opt/work", {"emptyDir": {}}),
    "shared memory": lambda shape: shape.mount("dshm", "/dev/shm", {"emptyDir": {"medium": "Memory"}}),
    "time zone": lambda shape: shape.mount(
        "tz", "/etc/localtime", {"hostPath": {"path": "/usr/share/zoneinfo/Europe/Berlin"}}
    ),
    "claim per task": lambda shape: shape.mount("work", "/data", {"ephemeral": {"volumeClaimTemplate": {"spec": {}}}}),
    "misplaced mounts": _misplaced_mounts,
    "mounts per role": _mounts_per_role,
    "image per role": _by_role("image", lambda role: f"registry.example.com/vision/{role}:1"),
    "command per role": _by_role("command", lambda role: ["python", f"{role}.py"]),
    "args per role": _by_role("args", lambda role: [f"--task={role}", f"--rate={len(role)}"]),
    "shell": _shell,
    "TF_CONFIG in shell": _tf_config,
    "hosts in shell": _hosts,
    "code below root": _each(lambda container: container.update(workingDir="/root/models")),
    "writes to root": _each(lambda container: container.update(command=["sh", "-c", "make && python train.py"])),
    "memory": _each(
        lambda container: container.setdefault("resources", {}).setdefault("limits", {}).update(cpu=1, memory="2Gi")
    ),
    "extended resources": _each(
        lambda container: container.setdefault("resources", {}).setdefault("limits", {}).update({"rdma/hca": 1})
    ),
    "ports": _each(lambda container: container.update(ports=[{"name": "tfjob-port", "containerPort": 2222}])),
    "privileged": _each(lambda container: container.update(securityContext={"privileged": True})),
    "capability": _each(lambda container: container.update(securityContext={"capabilities": {"add": ["IPC_LOCK"]}})),
    "sidecar": lambda shape: shape.pods[0]["containers"].append({"name": "proxy", "image": "envoy:1"}),
    "git-sync": _pod(
        "initContainers",
        [
            {
                "name": "init-code",
                "image": "registry.example.com/git-sync:v3",
                "env": [{"name": "GIT_SYNC_REPO", "value": "https://github.com/a/b.git"}],
            }
        ],
    ),
    "hostIPC": lambda shape: (_pod("hostIPC", True)(shape), _pod("hostPID", True)(shape)),
    "hostAliases": _pod("hostAliases", [{"ip": "10.0.0.1", "hostnames": ["db"]}]),
    "serviceAccount": _pod("serviceAccountName", "trainer"),
    "nodeSelector": _pod("nodeSelector", {"gpu": "t4"}),
    "tolerations": _pod("tolerations", [{"key": "gpu", "operator": "Exists"}]),
    "schedulerName": _pod("schedulerName", "volcano"),
    "pullSecrets": _pod("imagePullSecrets", [{"name": "registry"}]),
    "nodeAffinity": _affinity("nodeAffinity", _HARD, {"nodeSelectorTerms": [_GPU_NODES]}),
    "soft anti-affinity": _affinity("podAntiAffinity", _SOFT, {"weight": 1, "podAffinityTerm": _TERM}),
    "hard anti-affinity": _affinity("podAntiAffinity", _HARD, _TERM),
    "soft affinity": _affinity("podAffinity", _SOFT, {"weight": 1, "podAffinityTerm": _TERM}),
    "istio": _metadata("annotations", {"sidecar.istio.io/inject": "false"}),
    "annotations": _metadata("annotations", {"project": "public"}),
    "gang annotation": _metadata("annotations", {"scheduling.k8s.io/group-name": "run-1"}),
    "second network": _metadata("annotations", {"k8s.v1.cni.cncf.io/networks": "rdma"}),
    "TPU": _metadata("annotations", {"tf-version.cloud-tpus.google.com": "1.9"}),
    "pod labels": _metadata("labels", {"team": "a"}),
    "labels": lambda shape: shape.metadata.update(labels={"project": "ctr"}),
    "Kueue label": lambda shape: shape.metadata.setdefault("labels", {}).update({"kueue.x-k8s.io/queue-name": "q"}),
    "queue": lambda shape: shape.spec.update(queue="test"),
    "backoffLimit": lambda shape: shape.spec.update(runPolicy={"backoffLimit": 3}),
    "ttl": lambda shape: shape.spec.setdefault("runPolicy", {}).update(ttlSecondsAfterFinished=600),
    "generateName": _generate_name,
    "list of roles": _list,
}
_WITH_PATH: dict[str, Callable[[Shape, str], None]] = {
    "claim": _claim,
    "second claim": lambda shape, at: _claim(shape, at, "second"),
    "third claim": lambda shape, at: _claim(shape, at, "third"),
    "path": _path,
}


def build(roles: str, uses: list[str], version: str = "kubeflow.org/v1") -> Object:
    """Return a manifest with these roles and features. Features are applied in their order."""
    shape = Shape(roles, version)
    for use in uses:
        name, _, at = use.partition(" /")
        if at:
            _WITH_PATH[name](shape, f"/{at}")
        else:
            FEATURES[use](shape)
    return shape.manifest()
