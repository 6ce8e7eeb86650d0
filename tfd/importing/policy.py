"""How a manifest retries, ends and starts: the run policy of its operator."""

from __future__ import annotations

from tfd.importing.context import Context
from tfd.importing.ledger import Field
from tfd.importing.manifest import Replicas
from tfd.importing.metadata import VOLCANO_QUEUE, set_pod_annotation

_MISPLACED = "outside of runPolicy, where the operator ignores it since version 1.1"
_CLEAN = "every task of a run ends with its leader"
_ARCHIVED = "the Jobs of a run stay until its file has state: archived"
# The operator retries an exit code from 128 on, and no other.
_PERMANENT = list(range(1, 128))
# What KubeDL and DLRover have in the spec, next to the fields of a TFJob.
_OTHER_OPERATORS = {
    "cacheBackend": "no key; mount the data as a claim at its mountPath",
    "modelVersion": "no key; the model is in the run directory",
    "cronPolicy": "no key; a run trains once",
    "distributionStrategy": "the roles decide the strategy",
    "optimizeMode": "a run has the tasks and the resources of its file",
    "enableElasticScheduling": "a run has the tasks and the resources of its file",
    "enableDynamicSharding": "the program shares out its data",
    "resourceLimits": "a run has the tasks and the resources of its file",
    "brainService": "a run has the tasks and the resources of its file",
    "envs": "no key; set each variable in the env of the container",
}
_ROLE_OF_DLROVER = {
    "autoScale": "a run has the tasks and the resources of its file",
    "restartTimeout": "failure.startTimeout limits how long the tasks wait for each other",
    "priority": "no key; scheduling.priorityClassName is one for all roles",
}
# Plug-ins of Volcano for programs that have no TF_CONFIG.
_FRAMEWORKS = ("pytorch", "mpi", "ray")
_DEFAULT_DEADLINE = "24h"


def read_policy(context: Context) -> None:
    """Settle the fields of the spec that are about the job as a whole."""
    spec = context.manifest.spec
    if context.manifest.is_volcano:
        _volcano(context, spec)
    else:
        policy = spec.child("runPolicy")
        # From v1.1 on, Kubeflow's operator reads runPolicy; the older versions and kubedl read the spec itself.
        _common(context, policy)
        if context.manifest.version == "kubeflow.org/v1":
            for name in ("cleanPodPolicy", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds"):
                spec.child(name).dropped(_MISPLACED)
        else:
            _common(context, spec)
        _tfjob(context, spec)
    for each in context.replicas:
        _restart_policy(context, each)
    if context.draft.get("deadline") is None:
        context.draft.set("deadline", value=_DEFAULT_DEADLINE)
        context.ledger.note("deadline", f"{_DEFAULT_DEADLINE}: the manifest has no time limit, and a run needs one")


def _common(context: Context, policy: Field) -> None:
    """Settle what all versions of a TFJob have, in runPolicy or in the spec."""
    draft = context.draft
    policy.child("cleanPodPolicy").dropped(_CLEAN)
    for name in ("ttlSecondsAfterFinished", "ttlSecondsAfterFinishing"):
        policy.child(name).dropped(_ARCHIVED)
    _budget(context, policy.child("backoffLimit"))
    _deadline(context, policy.child("activeDeadlineSeconds"))
    suspend = policy.child("suspend")
    if suspend.value is True and draft.get("scheduling", "queue"):
        suspend.dropped("Kueue suspends a job that waits in its queue, and starts it")
    elif suspend.value is True:
        draft.set("state", value="suspended")
        suspend.same("state")
    suspend.dropped("a run is active unless its file has a state")
    policy.child("managedBy").noise("it names the controller of the object")
    _scheduling_policy(context, policy.child("schedulingPolicy"))


def _budget(context: Context, limit: Field) -> None:
    if limit.value is None:
        return
    if all(_restarts(context, each)[1] == "Never" for each in context.replicas):
        limit.dropped("with the restart policy Never it has no effect")
        return
    context.draft.set("retries", value=limit.whole(0))
    context.draft.set("failure", "retriesPerTask", value=limit.whole(0))
    limit.changed("retries, failure.retriesPerTask", "a budget for each task instead of one for the job")


def _deadline(context: Context, seconds: Field) -> None:
    if seconds.value is not None:
        context.draft.set("deadline", value=f"{seconds.whole(0)}s")
        seconds.changed("deadline", "a limit for each Kubernetes Job of the run, counted from its start")


def _scheduling_policy(context: Context, policy: Field) -> None:
    queue = policy.child("queue")
    if queue.value is not None:
        _volcano_queue(context, queue)
    gang = policy.child("minAvailable")
    if gang.value is not None:
        _gang(context, gang)
    _priority(context, policy.child("priorityClass"))
    timeout = policy.child("scheduleTimeoutSeconds")
    if timeout.value is not None:
        context.draft.set("failure", "startTimeout", value=f"{timeout.whole(0)}s")
        timeout.changed("failure.startTimeout", "the tasks wait for each other, with or without a gang")
    policy.child("minResources").dropped("the scheduler counts the requests of the pods")


def _priority(context: Context, priority: Field) -> None:
    """Set the priority class of the job, unless its pods have another one."""
    if not priority.value:
        return
    context.draft.set("scheduling", "priorityClassName", value=priority.text())
    if all(each.pod.child("priorityClassName").value in (None, priority.value) for each in context.replicas):
        priority.same("scheduling.priorityClassName")
    else:
        priority.changed("scheduling.priorityClassName", "the pods have another one, which wins")


def _scheduler_names(context: Context) -> list[str]:
    fields = [
        context.manifest.spec.child("schedulerName"),
        *(each.pod.child("schedulerName") for each in context.replicas),
    ]
    return [each.value for each in fields if each.value not in (None, "", "default-scheduler")]


def _gang(context: Context, gang: Field) -> None:
    """Set scheduling.gang, unless the manifest, or its queue, needs another scheduler."""
    if gang.whole(0) <= 1:
        gang.dropped("it lets each task start alone, as a run without scheduling.gang does")
    elif _scheduler_names(context) or context.draft.get("scheduling", "schedulerName"):
        gang.dropped(
            "another scheduler makes groups of its operator's pods only; scheduling.gang needs the default one"
        )
    else:
        context.draft.set("scheduling", "gang", value=True)
        gang.changed("scheduling.gang", "all tasks but the evaluator, by Kubernetes 1.37 with GenericWorkload")


def _volcano_queue(context: Context, queue: Field) -> None:
    if not set_pod_annotation(context, VOLCANO_QUEUE, queue.value):
        queue.dropped("not the name of a queue of Volcano")
        return
    if not _scheduler_names(context):
        context.draft.set("scheduling", "schedulerName", value="volcano")
    queue.changed(f"podAnnotations.{VOLCANO_QUEUE}", "Volcano's scheduler reads the queue of a pod from there")


def _tfjob(context: Context, spec: Field) -> None:
    """Settle what only a TFJob has."""
    policy = spec.child("successPolicy")
    if policy.value in (None, "", "Default", "default"):
        policy.same("", "the run is done when its leader is done")
    else:
        policy.changed("", "the run is done when its leader is done, and not when all workers are")
    spec.child("enableDynamicWorker").dropped(
        "a program of your own waits for all workers; those of a Task class join and leave with worker.minReplicas"
    )
    spec.child("terminationPolicy").dropped("the run is done when its leader is done")
    for name in ("tensorboard", "tensorBoard"):
        spec.child(name).changed("tensorboard", "a run has a TensorBoard for its run directory")
    for name in ("RuntimeId", "runtimeId"):
        spec.child(name).noise("the operator wrote it")
    for name, why in _OTHER_OPERATORS.items():
        spec.child(name).dropped(why)
    spec.child("tfImage").dropped("only the operator's own parameter servers use it")


def _restarts_failed(policy: Field) -> bool:
    """Return whether a policy of Volcano restarts pods that fail, and not only those that are evicted."""
    events = {policy.child("event").text(), *policy.child("events").words()}
    return str(policy.child("action").value).startswith("Restart") and bool(events & {"PodFailed", "*", "Unknown"})


def _restarts(context: Context, each: Replicas) -> tuple[Field, str]:
    """Return the restart policy of a role: its field and its value, which may be a default.

    The policy inside the pod has an effect for Volcano and Kubeflow's v1alpha1 only.
    """
    version = context.manifest.version
    is_kubedl = "kubedl.io/" in version
    if context.manifest.is_volcano:
        policies = [*context.manifest.spec.child("policies").items(), *each.block.child("policies").items()]
        field = each.pod.child("restartPolicy")
        restarts = any(map(_restarts_failed, policies))
        return field, "OnFailure" if restarts else field.text() or "Always"
    if version.endswith("v1alpha1") and not is_kubedl:
        field = each.pod.child("restartPolicy")
        return field, field.text() or "OnFailure"
    field = each.block.child("restartPolicy")
    return field, field.text() or ("ExitCode" if is_kubedl else "Never")


def _retries(context: Context, each: Replicas) -> tuple[str, ...]:
    """Return the key with the retries of a role."""
    return ("retries",) if context.target(each) in ("chief", "evaluator") else ("failure", "retriesPerTask")


def _restart_policy(context: Context, each: Replicas) -> None:
    """Set the retries of a role."""
    if context.manifest.kind == "ElasticJob":
        _restart_count(context, each)
        return
    field, policy = _restarts(context, each)
    key = _retries(context, each)
    shown = ".".join(key)
    policies = [(other, _restarts(context, other)[1]) for other in context.replicas]
    never = [other.name for other, its in policies if its == "Never" and _retries(context, other) == key]
    by_code = [other.name for other, its in policies if its == "ExitCode"]
    if policy == "Never":
        context.draft.set(*key, value=0)
        why = "0: one failure ends the run, as before"
    elif never:
        why = f"0 instead of {policy}: one value for both roles, and that of {' and '.join(never)} is Never"
    elif policy == "ExitCode":
        context.draft.set("failure", "permanentExitCodes", value=_PERMANENT)
        why = f"exit codes from 128 on are retried, within {shown} instead of without a limit"
        shown = f"failure.permanentExitCodes, {shown}"
    else:
        why = "a new pod for each retry instead of a restart in the pod"
        why += ", at most 5 times" if context.draft.get(*key) is None else ""
        why += f"; exit codes below 128 are final, as for {' and '.join(by_code)}" if by_code else ""
    if field.value is None:
        context.ledger.note(shown, f"{why}; {each.name} has no restart policy, and {policy} is the default")
    field.changed(shown, why)
    each.pod.child("restartPolicy").dropped("the operator overwrites it with the restart policy of the role")


def _restart_count(context: Context, each: Replicas) -> None:
    """Set the retries of a role of DLRover, whose master starts new pods whatever the policy of a pod is."""
    count, key = each.block.child("restartCount"), _retries(context, each)
    if count.value is not None:
        context.draft.set(*key, value=max(count.whole(0), context.draft.get(*key) or 0))
        count.changed(".".join(key), "the chart retries, instead of the master of DLRover")
    each.pod.child("restartPolicy").dropped("new pods take the place of those that fail, as before")
    for name, why in _ROLE_OF_DLROVER.items():
        each.block.child(name).dropped(why)


def _volcano(context: Context, spec: Field) -> None:
    """Settle what only a Job of Volcano has."""
    if spec.child("queue").value not in (None, ""):
        _volcano_queue(context, spec.child("queue"))
    minimum = spec.child("minAvailable")
    if minimum.value is not None:
        _gang(context, minimum)
    _priority(context, spec.child("priorityClassName"))
    scheduler = spec.child("schedulerName")
    if scheduler.value:
        context.draft.set("scheduling", "schedulerName", value=scheduler.text())
        scheduler.same("scheduling.schedulerName")
    _budget(context, spec.child("maxRetry"))
    spec.child("ttlSecondsAfterFinished").dropped(_ARCHIVED)
    spec.child("minSuccess").dropped("the run is done when its leader is done")
    spec.child("runningEstimate").dropped("only `deadline` limits the time of a run")
    plugins = {
        "env": ("TASK_INDEX", "it replaces VK_TASK_INDEX and VC_TASK_INDEX"),
        "svc": ("", "the run has a Service of its own"),
        "ssh": ("", "the tasks speak by gRPC; TensorFlow needs no ssh"),
        "tensorflow": ("TF_CONFIG", "the chart sets it"),
    }
    for plugin in spec.child("plugins").children():
        if plugin.path[-1] in _FRAMEWORKS:
            fix = "Leave it to Volcano: the tasks of a run find each other by TF_CONFIG only."
            raise plugin.refused("a program of TensorFlow", fix, f"the plugin {plugin.path[-1]}")
        key, why = plugins.get(str(plugin.path[-1]), ("", "a plugin of Volcano"))
        plugin.changed(key, why) if key else plugin.dropped(why)
    for policies in (spec, *(each.block for each in context.manifest.replicas)):
        policies.child("policies").dropped("the chart restarts tasks by their exit codes, and all end with the leader")
    for each in context.manifest.replicas:
        each.block.child("name").same(context.target(each))
        each.block.child("minAvailable").dropped("a run has all of its tasks, or none")
        each.block.child("maxRetry").dropped("the retries of the run count for each task")
        each.block.child("dependsOn").dropped("the tasks wait for each other")
