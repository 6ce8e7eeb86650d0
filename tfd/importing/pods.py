"""The pods of a manifest: where they run, as whom, and what restricted Pod Security leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tfd.importing.context import Context
from tfd.importing.git_sync import is_git_sync, read_git_sync
from tfd.importing.ledger import Field
from tfd.importing.manifest import Replicas
from tfd.importing.metadata import read_pod_metadata
from tfd.text import shown

_HOST = "restricted Pod Security refuses it, and TensorFlow does not need it"
_HOSTNAME = "kubernetes.io/hostname"
_REASONS = {
    "hostIPC": f"{_HOST}; set ROLE.shm for programs that share memory",
    "hostPID": _HOST,
    "hostNetwork": f"{_HOST}; the tasks reach each other through their own network",
    "hostUsers": _HOST,
    "shareProcessNamespace": "a task has one container",
    "dnsPolicy": "the chart uses the DNS of the cluster",
    "dnsConfig": "the chart uses the DNS of the cluster",
    "hostname": "the chart names the pods: TF_CONFIG has their addresses",
    "subdomain": "the chart names the pods: TF_CONFIG has their addresses",
    "setHostnameAsFQDN": "the chart names the pods: TF_CONFIG has their addresses",
    "enableServiceLinks": "the chart turns service variables off",
    "automountServiceAccountToken": "no pod gets a token of the Kubernetes API",
    "runtimeClassName": "no key; the cluster's GPU runtime must be its default, or set by its nodes",
    "preemptionPolicy": "the priority class has it",
    "priority": "the priority class has it",
    "overhead": "Kubernetes computes it",
    "readinessGates": "no program waits for the readiness of a task",
    "schedulingGates": "set state: suspended for a run that waits",
    "resourceClaims": "no key; request GPUs as an extended resource",
    "activeDeadlineSeconds": "`deadline` limits the time of the run",
    "os": "the chart runs on Linux",
    "ephemeralContainers": "Kubernetes adds them to pods that run",
}
_PORT = "the chart opens network.port for the tasks; no other client can connect (the NetworkPolicy)"
_CONTAINER_REASONS = {
    "ports": _PORT,
    "livenessProbe": "the trainer or your program ends when it fails; a probe would end a slow step",
    "readinessProbe": "no program waits for the readiness of a task",
    "startupProbe": "no program waits for the readiness of a task",
    "lifecycle": "no key; handle SIGTERM in your program",
    "stdin": "a task has no terminal",
    "stdinOnce": "a task has no terminal",
    "tty": "a task has no terminal",
    "terminationMessagePath": "the chart sets it",
    "terminationMessagePolicy": "the chart sets it",
    "resizePolicy": "a task keeps its resources",
    "restartPolicy": "the Kubernetes Job restarts pods",
    "volumeDevices": "no key; a raw block device belongs to one node",
}
_MISPLACED_IN_POD = (
    "volumeMounts",
    "command",
    "args",
    "env",
    "image",
    "imagePullPolicy",
    "workingDir",
    "ports",
)
PARENTS = dict.fromkeys(_REASONS, "template.spec") | dict.fromkeys(
    (*_CONTAINER_REASONS, "image", "imagePullPolicy", "workingDir", "command", "args"), "containers"
)
"""Where fields of pods and containers have an effect."""


def read_pods(context: Context) -> None:
    """Settle what the pods have in common, and then what each role has."""
    pods = [each.pod for each in context.replicas]
    _one_value_keys(context, pods)
    for each in context.replicas:
        read_pod_metadata(context, each.block.at("template", "metadata"))
        aliases = each.pod.child("hostAliases")
        if aliases.value:
            raise aliases.refused("no hostAliases", "Give these hosts names in the DNS of the cluster.")
        _init_containers(context, each.pod)
        _scheduling(context, each)
        _security(context, each)
        for name, why in _REASONS.items():
            each.pod.child(name).dropped(why)
        each.container.child("name").noise("the chart names the container")
        for name, why in _CONTAINER_REASONS.items():
            each.container.child(name).dropped(why)
        for name in _MISPLACED_IN_POD:
            each.pod.child(name).dropped("it stands next to the containers, where Kubernetes ignores it")


def _one_value_keys(context: Context, pods: list[Field]) -> None:
    accounts = [each.child(name) for each in pods for name in ("serviceAccountName", "serviceAccount")]
    if (name := context.one_value("serviceAccountName", accounts, Field.text)) and name != "default":
        context.draft.set("serviceAccountName", value=name)
    priorities = [each.child("priorityClassName") for each in pods]
    if name := context.one_value("scheduling.priorityClassName", priorities, Field.text):
        context.draft.set("scheduling", "priorityClassName", value=name)
    schedulers = [each.child("schedulerName") for each in pods]
    name = context.one_value("scheduling.schedulerName", schedulers, Field.text)
    if name and name != "default-scheduler":
        context.draft.set("scheduling", "schedulerName", value=name)
    grace = [each.child("terminationGracePeriodSeconds") for each in pods]
    seconds = context.one_value("failure.gracePeriod", grace, lambda each: each.whole(0))
    if seconds is not None:
        context.draft.set("failure", "gracePeriod", value=f"{seconds}s")
    secrets: list[dict[str, str]] = []
    for each in (item for pod in pods for item in pod.child("imagePullSecrets").items()):
        secret = {"name": each.child("name").text()}
        secrets += [secret] if secret not in secrets else []
        each.same("imagePullSecrets")
    if secrets:
        context.draft.set("imagePullSecrets", value=secrets)


def _init_containers(context: Context, pod: Field) -> None:
    for init in pod.child("initContainers").items():
        if not is_git_sync(init):
            got = f"the init container {shown(init.child('name').value)}"
            raise init.refused("no init container but git-sync", "Put its work into the image or the program.", got)
        read_git_sync(context, init)


def _scheduling(context: Context, each: Replicas) -> None:
    target = context.target(each)
    selector = each.pod.child("nodeSelector")
    for label in selector.children():
        name = str(label.path[-1])
        others = [other.pod.child("nodeSelector").child(name).value for other in _peers(context, each)]
        why = "" if all(value is not None for value in others) else f"every task of {target} has it"
        _select(context, target, name, label.text(), label, why)
    node = each.pod.child("nodeName")
    if node.value is not None:
        _select(context, target, _HOSTNAME, node.text(), node, "the scheduler places the pod, by the label of the node")
    tolerations = each.pod.child("tolerations")
    if tolerations.items():
        known = context.draft.get(target, "tolerations") or []
        context.draft.set(
            target, "tolerations", value=known + [item for item in tolerations.value if item not in known]
        )
        if all(other.pod.child("tolerations").value == tolerations.value for other in _peers(context, each)):
            tolerations.same(f"{target}.tolerations")
        else:
            tolerations.changed(f"{target}.tolerations", f"every task of {target} has them")
    affinity = each.pod.child("affinity")
    _node_affinity(context, target, affinity.child("nodeAffinity"))
    for kind, place in (("podAntiAffinity", "spread"), ("podAffinity", "pack")):
        for term, required in _terms(affinity.child(kind)):
            _place(context, term, place, required)
    for spread in each.pod.child("topologySpreadConstraints").items():
        _place(context, spread, "spread", spread.child("whenUnsatisfiable").value == "DoNotSchedule")


def _peers(context: Context, each: Replicas) -> list[Replicas]:
    """Return the other roles whose tasks become the same role of the job file."""
    return [other for other in context.replicas if context.target(other) == context.target(each) and other != each]


def _select(context: Context, target: str, name: str, value: str, settled: Field, why: str) -> None:
    """Select nodes by a label, unless another role or another field selects by another value of it."""
    known = context.draft.get(target, "nodeSelector", name)
    if known not in (None, value):
        settled.changed(f"{target}.nodeSelector", f"{shown(known)} came first, and a selector has one value")
        return
    context.draft.set(target, "nodeSelector", name, value=value)
    if why:
        settled.changed(f"{target}.nodeSelector", why)
    else:
        settled.same(f"{target}.nodeSelector")


def _node_affinity(context: Context, target: str, affinity: Field) -> None:
    affinity.child("preferredDuringSchedulingIgnoredDuringExecution").dropped("a soft wish; nodeSelector is strict")
    required = affinity.child("requiredDuringSchedulingIgnoredDuringExecution")
    terms = required.child("nodeSelectorTerms").items()
    for expression in (each for term in terms for each in term.child("matchExpressions").items()):
        values, name = expression.child("values").words(), expression.child("key").text()
        if expression.child("operator").value == "In" and len(values) == 1 and len(terms) == 1:
            _select(context, target, name, values[0], expression, "a selector of the same label")
        else:
            rule = f"{name} {expression.child('operator').value} {', '.join(values)}".strip()
            question = f"which node label do the allowed nodes share ({rule[:80]})?"
            if not isinstance(context.draft.get(target, "nodeSelector"), dict):
                context.draft.set(target, "nodeSelector", value={})
            context.draft.ask(target, "nodeSelector", name, question=question)
            expression.changed(f"{target}.nodeSelector", "a selector compares one value only")
    required.dropped("a selector by fields has no key")


def _terms(affinity: Field) -> Iterator[tuple[Field, bool]]:
    for weighted in affinity.child("preferredDuringSchedulingIgnoredDuringExecution").items():
        yield weighted, False
    for term in affinity.child("requiredDuringSchedulingIgnoredDuringExecution").items():
        yield term, True


def _place(context: Context, term: Field, place: str, required: bool) -> None:
    inner = term.child("podAffinityTerm") if "podAffinityTerm" in term.block() else term
    if inner.child("topologyKey").value != _HOSTNAME:
        term.dropped("scheduling.place compares nodes only")
    elif context.draft.get("scheduling", "place") not in (None, place):
        term.dropped("scheduling.place has one value, and the other wish came first")
    else:
        context.draft.set("scheduling", "place", value=place)
        term.changed("scheduling.place", f"{place}{' as a wish, no longer as a condition' if required else ''}")


def _security(context: Context, each: Replicas) -> None:
    handlers: dict[str, Callable[[Field], None]] = {
        "runAsUser": partial(_user, context),
        "readOnlyRootFilesystem": partial(_root, context),
    }
    reasons = {
        "privileged": _HOST,
        "capabilities": "restricted Pod Security drops all capabilities",
        "allowPrivilegeEscalation": "the chart forbids it",
        "runAsGroup": "the group has the number of runAsUser",
        "fsGroup": "the group has the number of runAsUser",
        "fsGroupChangePolicy": "the chart sets it",
        "supplementalGroups": "no key",
        "runAsNonRoot": "the chart requires it",
        "seccompProfile": "the chart sets RuntimeDefault",
        "seLinuxOptions": "no key",
        "sysctls": "no key",
        "procMount": "no key",
    }
    own = each.container.child("securityContext")
    for block in (own, each.pod.child("securityContext")):
        for setting in block.children():
            name = str(setting.path[-1])
            if name in handlers and block != own and own.child(name).value is not None:
                setting.dropped("the container has its own value, which wins")
            elif name in handlers:
                handlers[name](setting)
            elif name in reasons:
                setting.dropped(reasons[name])


def _user(context: Context, user: Field) -> None:
    if user.whole(0) == 0:
        user.dropped("restricted Pod Security refuses root; the tasks run as user 65534")
    elif context.draft.get("runAsUser") in (None, user.value):
        context.draft.set("runAsUser", value=user.value)
        if all(_has_user(other) for other in context.replicas):
            user.same("runAsUser")
        else:
            user.changed("runAsUser", "every task runs as this user")
    else:
        user.changed("runAsUser", "one user for all roles, and another role came first")


def _has_user(each: Replicas) -> bool:
    return any(block.at("securityContext", "runAsUser").value for block in (each.container, each.pod))


def _root(context: Context, setting: Field) -> None:
    blocks = [other.container.child("securityContext") for other in context.replicas]
    is_written = any(block.child("readOnlyRootFilesystem").value is False for block in blocks)
    context.draft.set("readOnlyRoot", value=not is_written)
    if setting.value is not is_written:
        setting.same("readOnlyRoot")
    else:
        setting.changed("readOnlyRoot", "false: another role writes into its image")
