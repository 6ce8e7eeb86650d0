"""Reads rendered Kubernetes Jobs as the Job controller and the kubelet do: one pod for each task."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tfd.kubernetes import INDEX_LABEL, Object, gpus, role_of

_LOOPBACK = "127.0.0.1"
_REFERENCE = re.compile(r"\$(\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")


@dataclass(frozen=True)
class Mount:
    """One volumeMount."""

    kind: str
    """persistentVolumeClaim, emptyDir, configMap or secret."""
    name: str
    """Name of the claim, the Secret or the ConfigMap; name of the volume where `tfd run` itself makes the files."""
    path: str
    """Path in the container."""
    files: Mapping[str, str]
    """The files of a ConfigMap that was rendered."""
    folder: str = ""
    """Folder of the claim that is mounted; empty for all of it."""


@dataclass(frozen=True)
class Container:
    """A program with its arguments, its environment and the folder in which it starts."""

    command: tuple[str, ...]
    """With the arguments; empty for the entry point of the image."""
    env: Mapping[str, str]
    folder: str = ""
    """Empty for the folder of the image."""


@dataclass(frozen=True)
class Pod:
    """One task of the run, as Kubernetes starts it."""

    name: str
    role: str
    index: int
    containers: tuple[Container, ...]
    """In the order in which they run; all but the last are init containers."""
    mounts: tuple[Mount, ...]
    gpus: int
    retries: int
    """How often the Kubernetes Job starts a replacement after an exit code that is retried."""
    permanent_exit_codes: frozenset[int]
    grace_period: int
    """Seconds between SIGTERM and SIGKILL."""
    deadline: int
    """Seconds after which the Kubernetes Job ends it."""
    suspended: bool
    """Whether the run is suspended, so that the Kubernetes Job starts no pod."""
    successes: int
    """Number of tasks whose success completes the Kubernetes Job."""
    is_expendable: bool
    """Whether the Kubernetes Job continues with its other tasks after the last retry of this one."""

    @property
    def env(self) -> Mapping[str, str]:
        """Environment of the task itself."""
        return self.containers[-1].env

    @property
    def needs_trainer(self) -> bool:
        """Whether the task runs the trainer, and so needs TensorFlow."""
        return self.containers[-1].command[:3] == ("python", "-m", "trainer")

    @property
    def mounts_folder(self) -> bool:
        """Whether the folder in which the task starts is in a volume, and not in its image."""
        folder = f"{self.containers[-1].folder}/"
        return any(folder.startswith(f"{mount.path}/") for mount in self.mounts)

    @property
    def task(self) -> str:
        """Short name for people: ``worker-0``."""
        return f"{self.role}-{self.index}"


def read_pods(objects: Iterable[Object], secret: Callable[[str, str, str], str]) -> list[Pod]:
    """Return the pods of all Jobs among `objects`.

    Args:
        objects: what `helm template` rendered.
        secret: returns the value for (variable, Secret, key), because this machine has no Secrets.

    """
    objects = list(objects)
    config_maps = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
    reader = _Reader(config_maps, secret)
    jobs = [o for o in objects if o["kind"] == "Job"]
    return [reader.pod(job, index) for job in jobs for index in range(job["spec"]["completions"])]


class _Reader:
    def __init__(self, config_maps: dict[str, dict[str, str]], secret: Callable[[str, str, str], str]) -> None:
        self._config_maps, self._secret = config_maps, secret

    def pod(self, job: Object, index: int) -> Pod:
        spec, template = job["spec"], job["spec"]["template"]
        [container] = template["spec"]["containers"]
        name = f"{job['metadata']['name']}-{index}"
        labels = template["metadata"]["labels"] | {INDEX_LABEL: str(index)}
        fields = {"metadata.name": name, "status.podIP": _LOOPBACK, **_label_fields(labels)}
        return Pod(
            name=name,
            role=role_of(template),
            index=index,
            containers=tuple(
                self._container(each, fields) for each in [*template["spec"].get("initContainers", []), container]
            ),
            mounts=tuple(self._mounts(template["spec"], container)),
            gpus=gpus(container.get("resources", {})),
            retries=spec.get("backoffLimitPerIndex", spec.get("backoffLimit", 6)),
            permanent_exit_codes=_permanent_exit_codes(spec),
            grace_period=template["spec"].get("terminationGracePeriodSeconds", 30),
            deadline=spec["activeDeadlineSeconds"],
            suspended=spec.get("suspend", False),
            successes=_successes(spec),
            is_expendable="backoffLimitPerIndex" in spec and "maxFailedIndexes" not in spec,
        )

    def _container(self, container: Object, fields: Mapping[str, str]) -> Container:
        env = self._env(container, fields)
        command = [*container["command"], *container.get("args", [])] if "command" in container else []
        return Container(tuple(expand(word, env) for word in command), env, container.get("workingDir", ""))

    def _env(self, container: Object, fields: Mapping[str, str]) -> dict[str, str]:
        env: dict[str, str] = {}
        for item in container.get("env", []):
            source = item.get("valueFrom", {})
            if "configMapKeyRef" in source:
                value = self._config_map_key(item["name"], **source["configMapKeyRef"])
            elif "secretKeyRef" in source:
                reference = source["secretKeyRef"]
                value = self._secret(item["name"], reference["name"], reference["key"])
            elif "fieldRef" in source:
                value = fields[source["fieldRef"]["fieldPath"]]
            else:
                value = expand(item.get("value", ""), env)
            env[item["name"]] = value
        return env

    def _config_map_key(self, variable: str, name: str, key: str) -> str:
        try:
            return self._config_maps[name][key]
        except KeyError:
            # A ConfigMap that the chart did not render exists only in the cluster, as a Secret does.
            return self._secret(variable, name, key)

    def _mounts(self, pod_spec: Object, container: Object) -> Iterable[Mount]:
        volumes = {volume["name"]: volume for volume in pod_spec.get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            [kind] = set(volume) - {"name"}
            source = volume[kind] or {}
            if source.get("medium") == "Memory":
                continue  # This machine has a /dev/shm of its own.
            data = self._config_maps.get(source["name"], {}) if kind == "configMap" else {}
            items = source.get("items") or [{"key": key, "path": key} for key in data]
            files = {item["path"]: data[item["key"]] for item in items}
            fields = () if files else ("claimName", "secretName", "name")
            name = next(filter(None, map(source.get, fields)), mount["name"])
            yield Mount(kind, name, mount["mountPath"], files, mount.get("subPath", ""))


def expand(text: str, env: Mapping[str, str]) -> str:
    """Return `text` with `$(NAME)` replaced for each known NAME, as the kubelet does; `$$` is a dollar sign."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else env.get(match[2], match[0])

    return _REFERENCE.sub(replace, text)


def _label_fields(labels: Mapping[str, str]) -> dict[str, str]:
    return {f"metadata.labels['{name}']": value for name, value in labels.items()}


def _permanent_exit_codes(spec: Object) -> frozenset[int]:
    rules = spec.get("podFailurePolicy", {}).get("rules", [])
    return frozenset(
        code for rule in rules if rule["action"] == "FailJob" for code in rule.get("onExitCodes", {}).get("values", [])
    )


def _successes(spec: Object) -> int:
    """Return the number of tasks whose success completes the Job: all, unless it has a policy."""
    rules = spec.get("successPolicy", {}).get("rules", [])
    return min((int(rule["succeededCount"]) for rule in rules), default=int(spec["completions"]))
