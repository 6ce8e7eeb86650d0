"""The volumes of a manifest: each with its mounts, and the roles that have it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfd.importing.context import Context
from tfd.importing.ledger import Field
from tfd.importing.manifest import Replicas
from tfd.text import shown

EVERY_TASK = "every task mounts it"


@dataclass
class Volume:
    """A volume and its mount in one or more roles."""

    source: Field
    """The field of the volume that names its kind, such as persistentVolumeClaim."""
    mounts: list[Field] = field(default_factory=list)
    roles: list[Replicas] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Kind of the volume."""
        return str(self.source.path[-1])

    @property
    def at(self) -> str:
        """Folder where it is mounted."""
        path = self.mounts[0].child("mountPath").text()
        return path.rstrip("/") or "/"

    @property
    def host_path(self) -> str:
        """Path on the node; empty for a volume of another kind."""
        return str(self.source.child("path").value) if self.kind == "hostPath" else ""

    @property
    def folder(self) -> str:
        """Folder of the volume that is mounted; empty for the whole volume."""
        return self.mounts[0].child("subPath").text().strip("/")

    @property
    def claim(self) -> str:
        """Name of the claim; empty for a volume of another kind."""
        names = {"persistentVolumeClaim": "claimName", "volumeClaimName": ""}
        name = names.get(self.kind)
        if name is None:
            return ""
        return self.source.child(name).text() if name else self.source.text()

    @property
    def is_read_only(self) -> bool:
        """Whether no task writes to it."""
        of_volume = isinstance(self.source.value, dict) and self.source.child("readOnly").value is True
        return of_volume or all(mount.child("readOnly").value is True for mount in self.mounts)

    @property
    def sources(self) -> list[Field]:
        """The volume in each of its roles."""
        return [self.source, *(each for each in self.mounts if each.path[-1] == self.kind)]

    def settle(self, key: str, why: str = "", *, changed: bool = True) -> None:
        """Settle the volume and its mounts in all roles."""
        for each in (self.source, *self.mounts):
            each.changed(key, why) if changed else each.same(key, why)

    def dropped(self, why: str) -> None:
        """Settle the volume and its mounts as dropped."""
        for each in (self.source, *self.mounts):
            each.dropped(why)


def all_volumes(context: Context) -> list[Volume]:
    """Return the volumes of all roles; a volume that several roles mount at one place is one."""
    found: dict[tuple[str, str, str], Volume] = {}
    for each in context.replicas:
        for claims in (each.pod.child("volumeClaimTemplates"), each.block.child("volumeClaimTemplates")):
            if claims.value:
                raise claims.refused(
                    "one claim for all tasks", "Use a claim that all tasks can mount.", "a claim per task"
                )
        sources = _sources(each)
        used = set()
        for mount in each.container.child("volumeMounts").items():
            name = mount.child("name").text()
            if name not in sources:
                raise mount.child("name").refused("the name of a volume of the pod", "Correct the name.")
            used.add(name)
            _add(found, sources[name], mount, each)
        for name in sources.keys() - used:
            sources[name].dropped(f"no container mounts the volume {shown(name)}")
    _job_volumes(context, found)
    return list(found.values())


def _sources(each: Replicas) -> dict[str, Field]:
    sources = {}
    for volume in each.pod.child("volumes").items():
        name = volume.child("name")
        kinds = [kind for kind in volume.children() if kind.path[-1] != "name" and kind.value is not None]
        # Kubernetes takes a volume without a kind as an emptyDir.
        kind = kinds[0] if kinds else Field((*volume.path, "emptyDir"), {}, volume.ledger)
        sources[name.text()] = kind
        name.noise("the name only connects a volume with its mounts")
    return sources


def _add(found: dict[tuple[str, str, str], Volume], source: Field, mount: Field, each: Replicas) -> None:
    if mount.child("subPathExpr").value:
        raise mount.child("subPathExpr").refused("one folder for all tasks", "Use subPath, or a path in the program.")
    if source.path[-1] == "ephemeral":
        raise source.refused("one claim for all tasks", "Use a claim that all tasks can mount.", "a claim per task")
    at = mount.child("mountPath").text().rstrip("/")
    identity = (at, shown(source.value), str(mount.child("subPath").value))
    volume = found.setdefault(identity, Volume(source))
    volume.mounts.append(mount)
    volume.roles.append(each)
    if volume.source.path != source.path:
        volume.mounts.append(source)  # the same volume in another role: settled with it


def _job_volumes(context: Context, found: dict[tuple[str, str, str], Volume]) -> None:
    """Add the volumes of a Job of Volcano, which all of its tasks mount."""
    volumes = context.manifest.spec.child("volumes").items() if context.manifest.is_volcano else []
    for volume in volumes:
        source = volume.child("volumeClaimName")
        if source.value is None:
            source = volume.child("volumeClaim")
        at = volume.child("mountPath").text()
        found[(at, shown(source.value), "")] = Volume(source, [volume], list(context.replicas))
