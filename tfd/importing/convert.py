"""Converts a manifest to a job file, part by part."""

from __future__ import annotations

import difflib
from dataclasses import replace

from tfd.importing import (
    environment,
    metadata,
    paths,
    pods,
    policy,
    programs,
    resources,
    secrets,
    storage,
    surroundings,
    topology,
)
from tfd.importing.context import Context
from tfd.importing.ledger import UNKNOWN, Line
from tfd.jobfile.helm_yaml import Key
from tfd.jobfile.schema import schema_errors

# Where a field has an effect, for those that manifests have in other places.
_PARENTS = {
    **pods.PARENTS,
    "annotations": "metadata",
    "labels": "metadata",
    "volumeMounts": "containers",
    "resources": "containers",
    "env": "containers",
    "cleanPodPolicy": "runPolicy",
    "backoffLimit": "runPolicy",
    "ttlSecondsAfterFinished": "runPolicy",
    "activeDeadlineSeconds": "runPolicy",
    "schedulingPolicy": "runPolicy",
    "restartPolicy": "the role",
    "volumes": "template.spec",
    "nodeSelector": "template.spec",
    "tolerations": "template.spec",
    "affinity": "template.spec",
    "containers": "template.spec",
    "replicas": "the role",
    "template": "the role",
}
_SIMILAR = 0.75
# How many other objects of the file the report names.
_LISTED = 5


def convert(context: Context) -> None:
    """Fill the draft and the ledger of an import.

    Raises:
        RefusedError: a run cannot have the same meaning.

    """
    topology.decide(context)
    metadata.read_metadata(context)
    policy.read_policy(context)
    pods.read_pods(context)
    storage.read_volumes(context)
    programs.read_images(context)
    programs.read_program(context)
    environment.read_environment(context)
    resources.read_resources(context)
    storage.without_storage(context)
    paths.note_moves(context)
    paths.point_output_at_the_run(context)
    surroundings.note_surroundings(context)
    secrets.hide_secrets(context)
    programs.finish_program(context)
    secrets.hide_in_comments(context)
    _ask_about_refused_values(context)
    _correct_lines_of_questions(context)
    _drop_the_rest(context)


def _ask_about_refused_values(context: Context) -> None:
    """Turn each value of the manifest that the schema refuses into a question with the rule in it."""
    for refusal in list(schema_errors(context.draft.values)):
        value = context.draft.get(*refusal.key)
        if value is not None and not isinstance(value, dict | list) and not context.draft.is_open(refusal.key):
            _, _, rest = refusal.message.partition(": ")
            context.draft.ask(*refusal.key, question="which value is allowed here?", hints=(rest,))


def _correct_lines_of_questions(context: Context) -> None:
    """Turn each line that calls a value the same into a change where a question has taken its place."""
    lines, questions = context.ledger.lines, [each.key for each in context.draft.questions]
    for position, line in enumerate(lines):
        if line.fate == "same" and any(_is_of(key, line) for key in questions):
            lines[position] = replace(line, fate="changed", why="see the TODO of this key")


def _is_of(question: Key, line: Line) -> bool:
    """Return whether a question is about the value that a line names."""
    names = tuple(line.key.split("."))
    rest, last = question[len(names) :], line.path[-1]
    is_named = isinstance(last, str) and last in rest
    return question[: len(names)] == names and (not rest or is_named or line.key in ("storage", "data"))


def _drop_the_rest(context: Context) -> None:
    """Report every field that no part has read: an unknown one is never lost."""
    root = context.manifest.root
    for path, value in list(context.ledger.rest(root.value)):
        noise = _is_empty(value)
        context.ledger.write(Line(path, "dropped", "", "it is empty" if noise else _unknown(path), noise=noise), value)
    for key, first, second in _duplicates(context):
        why = f"the key is on line {first} too; the last one, on line {second}, wins"
        context.ledger.lines.append(Line(key, "dropped", "", why))
    if others := context.manifest.others:
        names = ", ".join(others[:_LISTED]) + (f" and {len(others) - _LISTED} more" if len(others) > _LISTED else "")
        context.ledger.lines.append(
            Line((), "dropped", "file", f"it has other objects too, which stay as they are: {names}")
        )
    if context.manifest.document.alias is not None:
        context.ledger.note("file", "aliases (*name) are written out, because a job file has none")


def _is_empty(value: object) -> bool:
    """Return whether a field has no value, such as `creationTimestamp: null`, nor has any field below it."""
    if isinstance(value, dict | list):
        return all(map(_is_empty, value.values() if isinstance(value, dict) else value))
    return value is None or value == ""


def _unknown(path: Key) -> str:
    """Return why a field without a reader is dropped, with the field that its author may have meant."""
    name = str(path[-1])
    if parent := _PARENTS.get(name):
        return f"misplaced: it has an effect below {parent} only"
    close = difflib.get_close_matches(name, _PARENTS, n=1, cutoff=_SIMILAR)
    return f"{UNKNOWN}; did its author mean {close[0]}?" if close else UNKNOWN


def _duplicates(context: Context) -> list[tuple[Key, int, int]]:
    prefix = context.manifest.prefix
    found = context.manifest.document.duplicates
    return sorted({(key[len(prefix) :], first, second) for key, first, second in found if key[: len(prefix)] == prefix})
