"""Name, labels and annotations of a manifest, and what the operator has written into it."""

from __future__ import annotations

import re
from typing import Any

from tfd.importing.context import Context
from tfd.importing.ledger import Field
from tfd.jobfile.schema import refusals, schema

_WRITTEN = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "selfLink",
    "managedFields",
    "deletionTimestamp",
)
_KUBERNETES_WROTE = "Kubernetes wrote it"
_OPERATOR_WROTE = "the operator wrote it"
_OWN_LABELS = re.compile(r"(app\.kubernetes\.io|helm\.sh|tf-distributed\.github\.io)/.*")
_OPERATOR_LABELS = re.compile(
    r"(training\.kubeflow\.org|volcano\.sh|batch\.volcano\.sh|kubedl\.io)/.*|group[-_]name|(tf[-_])?job[-_](name|role)"
    r"|(tf[-_])?replica[-_](type|index)|controller-name|tf_job_key|runtime_id"
)
_OPERATOR_ANNOTATIONS = re.compile(
    r"(batch\.volcano\.sh|volcano\.sh|kubedl\.io)/.*|kubectl\.kubernetes\.io/last-applied-configuration"
    r"|kubectl\.kubernetes\.io/restartedAt"
)
_GANG = re.compile(
    r"scheduling\.(k8s\.io|volcano\.sh|sigs\.k8s\.io)/(group-name|pod-group)|pod-group\..*|.*/group-name"
)
_KUEUE = "kueue.x-k8s.io/"
_QUEUE = "kueue.x-k8s.io/queue-name"
_PRIORITY = "kueue.x-k8s.io/priority-class"
VOLCANO_QUEUE = "scheduling.volcano.sh/queue-name"
_MESH = "sidecar.istio.io/inject"
_TPU = re.compile(r".*cloud-tpus?\..*|.*\btpu\b.*")
_NETWORKS = re.compile(r"(k8s\.v1\.cni\.cncf\.io|v1\.multus-cni\.io|networking\.gke\.io)/.*")
_CLOSED = "a pod annotation that admission plug-ins may read; the job file has a closed list of them"


def read_metadata(context: Context) -> None:
    """Settle the metadata, the status and the kind of the object."""
    root = context.manifest.root
    root.child("apiVersion").changed("chartVersion", "the version of the chart takes its place")
    root.child("kind").noise("a job file has no kind")
    root.child("status").noise(_OPERATOR_WROTE)
    metadata = root.child("metadata")
    metadata.child("name").changed("file name", f"the run is {context.run}: the file name is the name of the run")
    metadata.child("generateName").changed("file name", f"the run is {context.run}: one file is one run")
    metadata.child("namespace").changed("folder", "the folder of the file is the team and the namespace")
    for name in _WRITTEN:
        metadata.child(name).noise(_KUBERNETES_WROTE)
    for name in ("ownerReferences", "finalizers"):
        metadata.child(name).noise("it belongs to the object of the operator")
    for label in metadata.child("labels").children():
        _job_label(context, label)
    for annotation in metadata.child("annotations").children():
        _job_annotation(context, annotation)


def read_pod_metadata(context: Context, metadata: Field) -> None:
    """Settle labels and annotations of the pods of a role."""
    for name in _WRITTEN:
        metadata.child(name).noise(_KUBERNETES_WROTE)
    metadata.child("name").dropped("the chart names the pods")
    metadata.child("generateName").dropped("the chart names the pods")
    for label in metadata.child("labels").children():
        _pod_label(context, label)
    for annotation in metadata.child("annotations").children():
        read_pod_annotation(context, annotation)


def _job_label(context: Context, label: Field) -> None:
    name = str(label.path[-1])
    if name in (_QUEUE, _PRIORITY):
        _kueue(context, label)
    elif _OPERATOR_LABELS.fullmatch(name):
        label.noise(_OPERATOR_WROTE)
    elif _OWN_LABELS.fullmatch(name):
        label.dropped("the chart sets the labels of this prefix")
    elif name.startswith(_KUEUE):
        label.dropped("Kueue reads it on the run as a whole, which has no key for it; `deadline` limits the time")
    else:
        context.draft.values.setdefault("labels", {})[name] = label.text()
        label.same("labels")


def _kueue(context: Context, label: Field) -> None:
    key = "queue" if label.path[-1] == _QUEUE else "priority"
    context.draft.set("scheduling", key, value=label.text())
    label.changed(f"scheduling.{key}", "Kueue admits the run as a whole")


def _job_annotation(context: Context, annotation: Field) -> None:
    if _OPERATOR_ANNOTATIONS.fullmatch(str(annotation.path[-1])):
        annotation.noise(_OPERATOR_WROTE)
    elif annotation.path[-1] == VOLCANO_QUEUE:
        read_pod_annotation(context, annotation)
    elif _annotation_rule(str(annotation.path[-1])):
        annotation.dropped("on the job it has no effect: it belongs to the pods")
    else:
        annotation.dropped("nothing reads annotations of a job file; `owner` and `description` are for people")


def _pod_label(context: Context, label: Field) -> None:
    name = str(label.path[-1])
    if name in (_QUEUE, _PRIORITY):
        _kueue(context, label)
    elif name == _MESH and label.value == "false":
        label.same("", "the chart sets this label on every pod")
    elif _OPERATOR_LABELS.fullmatch(name):
        label.noise(_OPERATOR_WROTE)
    elif context.draft.get("labels", name) == label.value:
        label.changed("labels", "the label stands on the Jobs, not on their pods")
    else:
        label.dropped("pods have the labels of the chart only; select them by app.kubernetes.io/instance")


def _annotation_rule(name: str) -> dict[str, Any] | None:
    """Return the schema of a pod annotation; None if a job file cannot have it."""
    rules = schema()["properties"].get("podAnnotations", {}).get("patternProperties", {})
    return next((rule for pattern, rule in rules.items() if re.search(pattern, name)), None)


def set_pod_annotation(context: Context, name: str, value: Any) -> bool:  # noqa: ANN401 - a manifest is anything
    """Set an annotation of the pods, and return true, if the schema has this one with this value."""
    rule = _annotation_rule(name)
    if rule is None or list(refusals(value, rule | {"$defs": schema()["$defs"], "x-hint": "Set it."})):
        return False
    context.draft.values.setdefault("podAnnotations", {})[name] = value
    return True


def read_pod_annotation(context: Context, annotation: Field) -> None:
    """Settle an annotation of the pods: the schema has the closed list of those that a run may have."""
    name = str(annotation.path[-1])
    if _TPU.fullmatch(name):
        raise annotation.refused("no TPU", "Use GPUs: the chart requests no TPUs.", f"the annotation {name}")
    if _NETWORKS.fullmatch(name):
        fix = "Remove it: tasks of a run have one network interface."
        raise annotation.refused("no second network", fix, f"the annotation {name}")
    known = context.draft.get("podAnnotations", name)
    if known not in (None, annotation.value):
        annotation.changed(f"podAnnotations.{name}", "one value for all roles, and another role came first")
    elif set_pod_annotation(context, name, annotation.value):
        every = annotation.path[:1] == ("metadata",) or all(
            each.block.at("template", "metadata", "annotations").child(name).value is not None
            for each in context.replicas
        )
        if every:
            annotation.same(f"podAnnotations.{name}")
        else:
            annotation.changed(f"podAnnotations.{name}", "the pods of every role have it")
    elif name == _MESH and annotation.value == "false":
        annotation.changed("", "the chart sets the label of this name on every pod")
    elif _GANG.fullmatch(name):
        annotation.dropped("the group of pods of the other operator does not exist; scheduling.gang makes one")
    elif _OPERATOR_ANNOTATIONS.fullmatch(name):
        annotation.noise(_OPERATOR_WROTE)
    else:
        annotation.dropped(_CLOSED)
