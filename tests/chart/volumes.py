"""What must hold for the volumes of every rendered pod."""

from collections.abc import Iterator

from tests.chart.rendering import Object


def pod_specs(found: list[Object]) -> list[Object]:
    """Return the spec of the pods of each object."""
    return [each["spec"]["template"]["spec"] for each in found if each["kind"] in ("Job", "Deployment")]


def problems(spec: Object) -> Iterator[str]:
    """Yield what is wrong with the volumes of a pod and their mounts."""
    volumes = {each["name"]: each for each in spec["volumes"]}
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    if len(volumes) < len(spec["volumes"]):
        yield "two volumes have one name"
    claims = [
        each["persistentVolumeClaim"]["claimName"] for each in volumes.values() if "persistentVolumeClaim" in each
    ]
    if len(claims) > len(set(claims)):
        yield "two volumes have one claim"
    if volumes.keys() != {mount["name"] for each in containers for mount in each["volumeMounts"]}:
        yield "not every volume is mounted, or not every mount has a volume"
    for container in containers:
        mounts = container["volumeMounts"]
        paths = [f"{mount['mountPath']}/" for mount in mounts]
        if any(a.startswith(b) for index, a in enumerate(paths) for b in paths[:index] + paths[index + 1 :]):
            yield f"{container['name']} has a mount inside another one"
        for mount in mounts:
            scratch = "emptyDir" in volumes[mount["name"]]
            if not (mount.get("readOnly") or scratch or mount["name"] == "runs"):
                yield f"{container['name']} can write to {mount['mountPath']}"
