"""The environment variables of a manifest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from tfd import assets
from tfd.importing.context import Context
from tfd.importing.ledger import Field
from tfd.importing.manifest import Replicas
from tfd.importing.paths import is_within, moved
from tfd.text import shown

_RULE = assets.CHART / "templates" / "rules" / "_environment.tpl"
_FIELDS = {"metadata.name": "$(POD_NAME)", "status.podIP": "$(POD_IP)"}
_LABELS = {"replica-index": "$(TASK_INDEX)", "replica-type": "$(TASK_TYPE)", "job-role": "$(TASK_TYPE)"}
_LABEL = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_INDEX = re.compile(r"\$\((?:VK|VC)_TASK_INDEX\)")
_WHY_RESERVED = {
    "TF_CONFIG": "the chart sets it, with the addresses of this run",
    "HOME": "it is /tmp, which each attempt of a task finds empty",
    "RUN_DIR": "the chart sets it to the folder of the run in the storage",
}
_NO_KEY_FILE = "its file is not in the run: the service account has the rights"


def reserved() -> set[str]:
    """Return the variables that the chart sets itself: the chart's rule is the only list of them."""
    [define] = re.findall(
        r'define "tf-distributed\.reservedVariables".*?\n(.*?)\{\{- end \}\}', _RULE.read_text("utf-8"), re.S
    )
    return set(re.findall(r'"([A-Z][A-Z_]+)"', define))


def read_environment(context: Context) -> None:
    """Set env: each variable of a role becomes one of all tasks."""
    own = reserved() - ({"CODE_DIR", "PYTHONPATH"} if not context.draft.get("code") else set())
    values: dict[str, list[tuple[Replicas, Field, dict[str, Any]]]] = {}
    for each in context.replicas:
        for variable in _last_of_each(each):
            name = variable.child("name").text()
            if name in own and not _is_elsewhere(context, variable):
                variable.dropped(_WHY_RESERVED.get(name, "the chart sets it"))
            elif (value := _value(context, variable)) is not None:
                values.setdefault(name, []).append((each, variable, value))
        each.container.child("envFrom").dropped("no key; name each variable in env, so that a review can read it")
    for source in _sources(context):
        question = f"which variables of {source} does the program read?"
        key = context.draft.append("env", {"name": "", "value": ""})
        context.draft.ask(*key, "name", question=question)
    for name, found in values.items():
        _variable(context, name, found)


def _chart_path(context: Context, name: str) -> str | None:
    """Return the path that the chart sets a variable to, empty if it sets none; None for another variable."""
    data, code = context.draft.get("data"), context.draft.get("code")
    if name == "DATA_DIR":
        return (data.get("at") or "/data") if data else ""
    return "/code" if code and name in ("CODE_DIR", "PYTHONPATH") else None


def _is_elsewhere(context: Context, variable: Field) -> bool:
    """Return whether a program would find another path in a variable of the chart than in the manifest."""
    value, path = variable.child("value").value, _chart_path(context, variable.child("name").text())
    return isinstance(value, str) and value != "" and path not in (None, moved(context, value).rstrip("/"))


def _sources(context: Context) -> list[str]:
    """Return the Secrets and ConfigMaps whose keys are variables of a role, each once."""
    kinds = {"secretRef": "Secret", "configMapRef": "ConfigMap"}
    lists = (each.container.child("envFrom").items() for each in context.replicas)
    found = [
        f"{kinds[kind]} {source.at(kind, 'name').text()}"
        for source in itertools.chain(*lists)
        for kind in kinds
        if source.child(kind).value
    ]
    return list(dict.fromkeys(found))


def _last_of_each(each: Replicas) -> Iterator[Field]:
    """Yield the variables of a container; of two with one name, Kubernetes takes the last."""
    names = [variable.child("name").value for variable in each.container.child("env").items()]
    for index, variable in enumerate(each.container.child("env").items()):
        if names[index] in names[index + 1 :]:
            variable.dropped("a later variable of this name wins")
        else:
            yield variable


def _value(context: Context, variable: Field) -> dict[str, Any] | None:
    """Return value or valueFrom of a variable; None, with its line, if a job file cannot have it."""
    source = variable.child("valueFrom")
    if not source.value:
        value = variable.child("value")
        text = "" if value.value is None else value.word()
        if any(is_within(text, at) for at in context.removed):
            return _without_value(context, variable, _NO_KEY_FILE)
        new = moved(context, _INDEX.sub("$(TASK_INDEX)", text))
        if new != text:
            variable.changed("env", "it follows a path that has moved, or the index of the task")
        return {"value": new}
    for kind in ("secretKeyRef", "configMapKeyRef"):
        reference = source.child(kind)
        if reference.value:
            if reference.child("optional").value:
                reference.child("optional").dropped("the object has to exist, else the task waits")
            return {"valueFrom": {kind: {"name": reference.child("name").text(), "key": reference.child("key").text()}}}
    path = source.at("fieldRef", "fieldPath").text()
    replaced = _FIELDS.get(path) or _from_pod(context, path)
    if replaced is None:
        why = f"no key for {path or next(iter(source.block()))}; TASK_TYPE, TASK_INDEX, POD_NAME and POD_IP exist"
        return _without_value(context, variable, why)
    variable.changed("env", f"{shown(replaced)} instead of {path}")
    return {"value": replaced}


def _without_value(context: Context, variable: Field, why: str) -> dict[str, Any] | None:
    """Drop a variable that has no value in a run, unless the program names it."""
    if not _is_named(context, variable.child("name").text()):
        variable.dropped(why)
        return None
    variable.changed("env", why)
    return {"value": None}


def _is_named(context: Context, name: str) -> bool:
    """Return whether a word or a variable of the manifest names a variable, which would be missing without it."""
    named = re.compile(rf"\$(?:\({re.escape(name)}\)|\{{?{re.escape(name)}\b)")
    for each in context.replicas:
        words = each.container.child("command").words() + each.container.child("args").words()
        values = [str(variable.child("value").value) for variable in each.container.child("env").items()]
        if any(map(named.search, [*words, *values])):
            return True
    return False


def _from_pod(context: Context, path: str) -> str | None:
    if path == "metadata.namespace" and context.team:
        return context.team
    if path == "spec.serviceAccountName":
        return context.draft.get("serviceAccountName") or None
    label = _LABEL.fullmatch(path)
    name = label[2].rpartition("/")[2] if label and label[1] == "labels" else ""
    if name in ("job-name", "tf-job-name"):
        return context.run
    return _LABELS.get(name.removeprefix("tf-"))


def _variable(context: Context, name: str, found: list[tuple[Replicas, Field, dict[str, Any]]]) -> None:
    values = [value for _, _, value in found]
    if {"value": None} in values:
        key = context.draft.append("env", {"name": name})
        question = f"which value of {name}, which the program names, is right for every task?"
        context.draft.ask(*key, "value", question=question)
        why = ""
    elif all(value == values[0] for value in values):
        context.draft.append("env", {"name": name, **values[0]})
        why = "" if len(found) == len(context.replicas) else "every task gets it"
    elif all(value == {"value": context.target(each)} for each, _, value in found):
        context.draft.append("env", {"name": name, "value": "$(TASK_TYPE)"})
        why = "TASK_TYPE is the role of each task"
    else:
        shares = "; ".join(f"{each.name}: {shown(value.get('value', value))}" for each, _, value in found)
        key = context.draft.append("env", {"name": name})
        question = f"which one value of {name} is right for every task?"
        context.draft.ask(
            *key, "valueFrom", question=question, hints=(shares, "TASK_TYPE and TASK_INDEX differ by task.")
        )
        why = "its values differ by role, and a run has one environment"
    if (path := _chart_path(context, name)) is not None:
        hint = f"The chart sets {name} to {path}." if path else f"The chart sets {name} for `data` only."
        key = ("env", len(context.draft.get("env")) - 1, "name")
        context.draft.ask(
            *key, question=f"in which other variable does the program find this path of {name}?", hints=(hint,)
        )
        why = f"the chart sets {name} itself, to another path"
    for _, variable, _ in found:
        variable.changed("env", why) if why else variable.same("env")
