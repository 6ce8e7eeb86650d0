"""What each task requests: CPU, memory, GPUs."""

from __future__ import annotations

import re
from typing import Any

from tfd.importing.context import Context
from tfd.importing.ledger import Field
from tfd.importing.manifest import Replicas
from tfd.jobfile.notes import DEFAULT_MEMORY
from tfd.kubernetes import ROLES

_GPU = re.compile(r".+/(gpu|gpu\.shared|vgpu|nvidia-gpu|mig-.+)|gpu\.intel\.com/.+")
_OLD_GPU = {"alpha.kubernetes.io/nvidia-gpu": "nvidia.com/gpu"}
_TPU = re.compile(r"(cloud-tpus\.google\.com/.+|google\.com/tpu)")
_KNOWN = ("cpu", "memory", "ephemeral-storage")
_DEFAULT_GPU = "nvidia.com/gpu"
_ON_PS = "GPUs of parameter servers idle: they only hold variables in memory"


def read_resources(context: Context) -> None:
    """Set resources and gpus of every role; ask for the memory where none is named."""
    # Of two roles that become one, the one with more tasks decides.
    for each in sorted(context.replicas, key=lambda each: -each.count):
        _role(context, each)
    names = {each for each in context.gpu_names}
    if len(names) == 1 and names != {_DEFAULT_GPU}:
        context.draft.set("gpu", "resource", value=names.pop())
    elif len(names) > 1:
        question = f"which GPUs do all roles use: {' or '.join(sorted(names))}?"
        context.draft.ask("gpu", "resource", question=question)
    roles = [each for each in ROLES if each in _targets(context)]
    for role in roles:
        _memory(context, role)
    idle = [role for role in roles if not context.draft.get(role, "resources", "requests", "cpu")]
    if idle:
        keys = ", ".join(f"{role}.resources.requests.cpu" for role in idle)
        context.ledger.note(keys, "the manifest requests none; the chart requests 1 CPU")
    gpus = context.draft.get("chief", "gpus")
    if context.draft.get("strategy") == "OneDevice" and isinstance(gpus, int) and gpus > 1:
        context.draft.set("strategy", value="Mirrored")


def _targets(context: Context) -> set[str]:
    return {*context.roles.values(), *(["chief"] if context.draft.get("chief") == {} else [])}


def _role(context: Context, each: Replicas) -> None:
    target = context.target(each)
    block, of_pod = each.container.child("resources"), each.pod.child("resources")
    if block.value:
        of_pod.dropped("the container has its own resources")
    else:
        block = of_pod
    quantities: dict[str, dict[str, Any]] = {"requests": {}, "limits": {}}
    for kind in ("limits", "requests"):
        for quantity in block.child(kind).children():
            _quantity(context, target, kind, quantity, quantities)
    block.child("claims").dropped("no key; request GPUs as an extended resource")
    # Kubernetes takes a limit without a request as the request, and so does the job file from here on.
    for name, value in quantities["limits"].items():
        quantities["requests"].setdefault(name, value)
    if "memory" in quantities["requests"] and "memory" not in quantities["limits"]:
        quantities["limits"]["memory"] = None  # no limit, as in the manifest: the chart has a default
    found = {kind: values for kind, values in quantities.items() if values}
    if context.draft.get(target, "resources") is None and found:
        context.draft.set(target, "resources", value=found)


def _quantity(context: Context, target: str, kind: str, quantity: Field, quantities: dict[str, dict[str, Any]]) -> None:
    name, value = str(quantity.path[-1]), quantity.value
    key = (target, "resources", kind, name)
    if value is None:
        return
    if _TPU.fullmatch(name):
        raise quantity.refused("no TPU", "Use GPUs: the chart requests no TPUs.", f"the resource {name}")
    if str(value) in ("0", "0m", "0Mi", "0Gi"):
        quantity.dropped("a request of nothing")
    elif _GPU.fullmatch(name):
        _gpu(context, target, quantity)
    elif name.startswith("hugepages-"):
        quantity.dropped("no key; the tasks use ordinary pages")
    elif name in _KNOWN or "/" in name:
        quantities[kind][name] = value
        if context.draft.get(target, "resources") is None or context.draft.get(*key) == value:
            quantity.same(".".join(key[:-1]))
        else:
            quantity.changed(".".join(key[:-1]), "two roles become one, and the resources of the larger one count")
    else:
        quantity.dropped("not a resource that Kubernetes counts")


def _gpu(context: Context, target: str, quantity: Field) -> None:
    name = str(quantity.path[-1])
    count = str(quantity.value)
    if not count.isdigit():
        raise quantity.refused("a whole number of GPUs", "Set a whole number.")
    if target == "ps":
        quantity.dropped(_ON_PS)
        return
    context.gpu_names.add(_OLD_GPU.get(name, name))
    gpus = max(int(count), context.draft.get(target, "gpus") or 0)
    context.draft.set(target, "gpus", value=gpus)
    why = f"gpu.resource: {name}" if name not in _OLD_GPU else f"{name} is now {_OLD_GPU[name]}"
    quantity.changed(f"{target}.gpus", why)


def _memory(context: Context, role: str) -> None:
    """Ask for the memory of a role that names none: the default of the chart would be a guess."""
    draft = context.draft
    if draft.get(role, "resources", "requests", "memory") or draft.get(role, "resources", "limits", "memory"):
        return
    if context.answers.memory:
        for kind in ("requests", "limits"):
            draft.set(role, "resources", kind, "memory", value=context.answers.memory)
        context.ledger.note(f"{role}.resources", "the manifest names no memory; it is that of --memory")
        return
    gpus = draft.get(role, "gpus")
    question = f"how much memory does a {role}{' with its GPUs' if gpus else ''} need?"
    hints = ("A task above its limit is killed (137). `kubectl top pod` shows what it uses today.",)
    draft.ask(role, "resources", "limits", "memory", question=question, hints=hints)
    why = f"the manifest names none; the chart's default is {DEFAULT_MEMORY}"
    context.ledger.note(f"{role}.resources.limits.memory", why)
