"""Which strategy a manifest means, and which tasks of the run its roles become."""

from __future__ import annotations

from tfd.importing.context import Context
from tfd.importing.ledger import Field
from tfd.importing.manifest import Replicas

STRATEGY = "the strategy stands in your program; this one gives it the same tasks"


def decide(context: Context) -> None:
    """Set strategy and replicas, and the role that each role of the manifest becomes.

    Raises:
        RefusedError: the roles do not make a run.

    """
    found = {each.role: each for each in context.manifest.replicas}
    context.roles = {role: role for role in found}
    for each in context.manifest.replicas:
        each.block.child("tfReplicaType").same(each.role)
    if "chief" in found and found["chief"].count != 1:
        raise _count(found["chief"]).refused("1 chief", "Set 1: TensorFlow has one chief.")
    _evaluator(context, found)
    trains = [each for each in context.manifest.replicas if each.role in ("chief", "worker")]
    if not trains:
        specs = context.manifest.spec
        raise specs.refused("a chief or a worker", "Add the tasks that train.", "no task that trains")
    if "ps" in found:
        _parameter_server(context, found)
    elif sum(each.count for each in trains) == 1:
        _one_task(context, trains[0])
    else:
        _workers(context, found)


def _count(each: Replicas) -> Field:
    return each.block.child("replicas")


def _evaluator(context: Context, found: dict[str, Replicas]) -> None:
    evaluator = found.get("evaluator")
    if evaluator is None:
        return
    if "ps" in found and context.answers.script == "coordinator":
        expected = "no evaluator with --script coordinator, because the trainer runs the script on the chief alone"
        fix = "Remove the evaluator and evaluate in the script, or use --script every-task."
        raise _count(evaluator).refused(expected, fix)
    context.draft.set("evaluator", "replicas", value=1)
    if evaluator.count == 1:
        _count(evaluator).same("evaluator.replicas")
    else:
        _count(evaluator).changed("evaluator.replicas", "one evaluator evaluates every checkpoint")


def _one_task(context: Context, only: Replicas) -> None:
    context.roles[only.role] = "chief"
    context.draft.set("strategy", value="OneDevice")  # or Mirrored, once its GPUs are known
    _count(only).changed(
        "strategy", f"one task is the chief of OneDevice, or of Mirrored with several GPUs; {STRATEGY}"
    )
    if only.role != "chief" or only.name.lower() == "master":
        context.ledger.note("chief", f"TF_CONFIG names the task chief instead of {only.name.lower()}")


def _workers(context: Context, found: dict[str, Replicas]) -> None:
    chief, worker = found.get("chief"), found.get("worker")
    total = (chief.count if chief else 0) + (worker.count if worker else 0)
    context.draft.set("strategy", value="MultiWorkerMirrored")
    context.draft.set("worker", "replicas", value=total)
    context.ledger.note("strategy", f"MultiWorkerMirrored, for several tasks without parameter servers; {STRATEGY}")
    if worker:
        _count(worker).same("worker.replicas")
    if chief:
        context.roles["chief"] = "worker"
        _count(chief).changed("worker.replicas", "the chief becomes worker 0, which leads the workers")
        context.ledger.note("worker", f"TF_CONFIG has {total} workers and no {chief.name.lower()}")


def _parameter_server(context: Context, found: dict[str, Replicas]) -> None:
    chief, worker = found.get("chief"), found.get("worker")
    draft = context.draft
    draft.set("strategy", value="ParameterServer")
    context.ledger.note("strategy", f"ParameterServer, because the manifest has parameter servers; {STRATEGY}")
    draft.set("ps", "replicas", value=found["ps"].count)
    _count(found["ps"]).same("ps.replicas")
    if worker:
        draft.set("worker", "replicas", value=worker.count)
        _count(worker).same("worker.replicas")
    elif context.answers.script == "coordinator":
        draft.ask("worker", "replicas", question="how many workers does the coordinator use?")
    else:
        draft.set("worker", "replicas", value=1)
        context.roles["chief"] = "worker"
    if chief and (worker or context.answers.script == "coordinator"):
        _count(chief).same("chief")
        if chief.name.lower() == "master":
            context.ledger.note("chief", "TF_CONFIG names the task chief instead of master")
    elif chief:
        draft.set("chief", "replicas", value=0)
        _count(chief).changed("worker.replicas", "the chief becomes worker 0, because a run needs a worker")
    elif context.answers.script == "coordinator":
        context.ledger.note("chief", "a coordinator needs a chief: one task is added")
        draft.set("chief", value={})
    else:
        draft.set("chief", "replicas", value=0)
        context.ledger.note("chief.replicas", "0: the manifest has no chief, so worker 0 leads, as before")
