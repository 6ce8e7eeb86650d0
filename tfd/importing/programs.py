"""The program of a manifest: its image, command, arguments and folder, one for all tasks of the run."""

from __future__ import annotations

import re
from collections import Counter

from tfd.importing import shell
from tfd.importing.context import Context
from tfd.importing.ledger import Field
from tfd.importing.manifest import Replicas
from tfd.importing.paths import is_within, moved
from tfd.importing.yaml_text import flow

# Kubernetes pulls an image with the tag latest, or without a tag, for every pod.
_MOVING = re.compile(r"[^@]*:latest|[^@]*/[^:@/]*|[^:@/]+")
_HOSTS = re.compile(r"/etc/volcano/(\w+)\.host")
_INDEX = re.compile(r"\$\{?(?:VK|VC|VOLCANO)_TASK_INDEX\}?")
# What only the operator brings to a program: by kind of the manifest, its name, and its files, programs and variables.
_OPERATORS = {
    "Job": ("Volcano", re.compile(r"/etc/volcano/[\w.]*|\b(?:VK|VC)_\w+")),
    "ElasticJob": (
        "DLRover",
        re.compile(r"\bdlrover(?:-run|\.\w[\w.]*)|\bDLROVER_\w+|\b(?:NODE|WORKER)_(?:NUM|RANK|ID)\b"),
    ),
    "TFJob": ("the operator", re.compile(r"(?!)")),
}
_PYTHON = re.compile(r"(?:.*/)?python[0-9.]*")
_TRAINER = "The image needs Python 3.11, TensorFlow 2.21 and the package trainer."

Words = list[str] | None
"""The words of a command; None where the image's ENTRYPOINT runs."""


def read_images(context: Context) -> None:
    """Set image, imagePullPolicy and the images of single roles."""
    fields = {each.role: each.container.child("image") for each in context.replicas}
    names = [each.text() for each in fields.values() if each.text()]
    common = Counter(names).most_common(1)[0][0] if names else ""
    if common:
        context.draft.set("image", value=common)
    else:
        context.draft.ask("image", question="which image has the program?")
    for each in context.replicas:
        image, target = fields[each.role], context.target(each)
        alone = sum(context.target(other) == target for other in context.replicas) == 1
        if image.text() in (common, ""):
            image.same("image")
        elif alone:
            context.draft.set(target, "image", value=image.text())
            image.same(f"{target}.image")
        else:
            image.changed("image", f"two roles become {target}, and their tasks have one image")
    policies = [each.container.child("imagePullPolicy") for each in context.replicas]
    if policy := context.one_value("imagePullPolicy", policies, Field.text):
        context.draft.set("imagePullPolicy", value=policy)
    elif any(map(_MOVING.fullmatch, names)):
        context.draft.set("imagePullPolicy", value="Always")
        why = "Always, as Kubernetes does for the tag latest; the default of the chart is IfNotPresent"
        context.ledger.note("imagePullPolicy", why)
    if any("@sha256:" not in name for name in names):
        context.ledger.note("image", "a tag can move, and review.yaml may require a digest")


def read_program(context: Context) -> None:
    """Set command, args and workingDir to those of the manifest, as one program for all tasks."""
    _folder(context)
    found = [(each, *_program(context, each)) for each in context.replicas]
    commands = _unified(context, [(each, command) for each, command, _ in found])
    args = _unified(context, [(each, words) for each, _, words in found])
    if commands is None or args is None:
        context.programs = [f"{each.name}: {flow([*(command or []), *words])}" for each, command, words in found]
        _, command, words = found[0]
    else:
        [command], words = commands, args[0] or []
    if command is not None:
        context.draft.set("command", value=command)
    if words:
        context.draft.set("args", value=words)
    if any("$(TASK_TYPE)" in word for word in [*(command or []), *words]):
        context.ledger.note("args", "$(TASK_TYPE) is the role of each task")


def finish_program(context: Context) -> None:
    """Ask how the program works where the manifest does not show it, and settle its fields."""
    draft = context.draft
    command, args = draft.get("command"), draft.get("args") or []
    servers = draft.get("strategy") == "ParameterServer"
    if context.programs:
        hints = (*context.programs, "All tasks start one program, which may read TASK_TYPE and TASK_INDEX.")
        draft.ask("command", question="which one program do all tasks start?", hints=hints)
        draft.values.pop("args", None)
    elif missing := _missing(context, command or [], args):
        place, question, hint = missing
        draft.ask(place, question=question, hints=(f"The program is {flow([*(command or []), *args])}.", hint))
    elif servers and context.answers.script == "coordinator":
        _coordinator(context, command, args)
    elif servers and command is None:
        _ask_entry_point(context)
    elif servers and not context.answers.script:
        _ask_script(context, command)
    elif command is None:
        draft.set("command", value=[])
        context.ledger.note("command", "[]: the image's own ENTRYPOINT runs, as before")
    for each in context.replicas:
        for name in ("command", "args"):
            _settle_words(context, each.container.child(name), name)


def _missing(context: Context, command: list[str], args: list[str]) -> tuple[str, str, str] | None:
    """Return the key to ask about, a question and a hint where the program needs what a run does not have."""
    if found := _of_operator(context, [*command, *args]):
        name, operator = found
        place = "args" if any(name in word for word in args) else "command"
        hint = "TF_CONFIG has the addresses of all tasks, and TASK_INDEX the number of each."
        return place, f"how does the program do without {name} of {operator}?", hint
    first = next(iter(command), "")
    mounts = context.draft.get("mounts") or []
    if any(is_within(first, each["at"]) for each in mounts if "configMap" in each or "secret" in each):
        hint = "Put that program before it, such as sh or python: the files of this mount have mode 0440."
        return "command", f"which program runs the file {first}?", hint
    return None


def _of_operator(context: Context, words: list[str]) -> tuple[str, str] | None:
    """Return what a word or a variable names and only the operator brings, and the operator."""
    operator, brings = _OPERATORS[context.manifest.kind]
    roles = "|".join(re.escape(each.name.lower()) for each in context.replicas)
    job = re.escape(context.manifest.root.at("metadata", "name").text())
    # The name of a pod or of its Service, by which the tasks of another operator find each other.
    host = re.compile(rf"(?<![\w./-]){job}-(?:{roles})-\d+(?![\w-])(?:[.][\w.-]+)?")
    values = (str(each.get("value", "")) for each in context.draft.get("env") or [])
    for word in [*words, *values]:
        if found := brings.search(word) or (host.search(word) if job else None):
            return found[0], operator
    return None


def _settle_words(context: Context, field: Field, name: str) -> None:
    words = context.draft.get(name) or []
    if context.programs:
        field.changed("command", "see the TODO of this key")
    elif words == (field.value or []):
        field.same(name)
    elif words == field.words():
        field.changed(name, "a number is a string now, as Kubernetes requires")
    else:
        field.changed(name, _difference(context, name))


def _difference(context: Context, name: str) -> str:
    """Return where the reader finds how the words of a program differ."""
    if context.draft.is_open((name,)):
        return "see the TODO of this key"
    return "see the lines of this key" if context.draft.get(name) else "see args"


def _folder(context: Context) -> None:
    fields = [each.container.child("workingDir") for each in context.replicas]

    def place(field: Field) -> str:
        return moved(context, field.text()).rstrip("/") or field.text()[:1]

    for each in fields:
        if place(each) != each.text():
            each.changed("workingDir", "it follows a path that has moved, or ends without a slash")
    if folder := context.one_value("workingDir", fields, place):
        context.draft.set("workingDir", value=folder)


def _program(context: Context, each: Replicas) -> tuple[Words, list[str]]:
    """Return command and args of a role, at the new places of paths, and without building TF_CONFIG."""
    command = each.container.child("command")
    words = [moved(context, _INDEX.sub("${TASK_INDEX}", word)) for word in command.words()]
    args = [moved(context, _INDEX.sub("${TASK_INDEX}", word)) for word in each.container.child("args").words()]
    last = args or words
    builds = last and re.search(r"TF_CONFIG=|/etc/volcano/", last[-1])
    parts = shell.statements(last[-1]) if builds and shell.is_script(words, args) else None
    if parts is not None:
        kept = _without_tf_config(parts)
        last[-1] = "\n".join(kept)
        why = f"the chart sets it: the script of {each.name} no longer builds it"
        context.ledger.note("TF_CONFIG", why)
    return (words if command.items() else None), args


def _without_tf_config(parts: list[str]) -> list[str]:
    """Return the statements that do more than build TF_CONFIG; addresses that they need come from TF_CONFIG."""
    found = [(part, shell.assigned(part)) for part in parts]
    hosts = {name: match[1] for part, name in found if name and (match := _HOSTS.search(part))}
    others = [
        part
        for part, name in found
        if name not in hosts
        and name != "TF_CONFIG"
        and not shell.uses(part, "TF_CONFIG")
        and part != "export TF_CONFIG"
    ]
    dropped = [part for part, _ in found if part not in others]
    for part, name in reversed(found):
        helps = name and any(shell.uses(each, name) for each in dropped) and not part.startswith("export")
        if part in others and helps and not any(shell.uses(each, name) for each in others):
            others.remove(part)
    needed = [name for name in hosts if any(shell.uses(part, name) for part in others)]
    return [*(_addresses(name, hosts[name]) for name in needed), *others]


def _addresses(name: str, role: str) -> str:
    """Return a statement that sets a variable to the addresses of a role: HOST:PORT, with commas between them."""
    return f"""{name}=`echo "$TF_CONFIG" | sed -n 's/.*"{role}": *\\[\\([^]]*\\)\\].*/\\1/p' | tr -d '" '`"""


def _unified(context: Context, found: list[tuple[Replicas, Words]]) -> list[Words] | None:
    """Return the one list of words of all roles, in a list; None if roles differ by more than their names."""
    lists = [words for _, words in found]
    if all(words == lists[0] for words in lists):
        return [lists[0]]
    if any(words is None for words in lists) or len({len(words or []) for words in lists}) > 1:
        return None
    result: list[str] = []
    for position in range(len(lists[0] or [])):
        word = _one_word([(context.target(each), (words or [])[position]) for each, words in found])
        if word is None:
            return None
        result.append(word)
    return [result]


def _one_word(words: list[tuple[str, str]]) -> str | None:
    """Return one word for all roles, with TASK_TYPE where each has the name of its role; None if there is none."""
    split = [(role, re.split(r"(\W+|_)", word)) for role, word in words]
    if len({len(parts) for _, parts in split}) > 1:
        return None
    result = ""
    for position in range(len(split[0][1])):
        pieces = [(role, parts[position]) for role, parts in split]
        if len({piece for _, piece in pieces}) == 1:
            result += pieces[0][1]
        elif all(piece == role for role, piece in pieces):
            result += "$(TASK_TYPE)"
        else:
            return None
    return result


def _ask_entry_point(context: Context) -> None:
    question = f"which ENTRYPOINT does {context.draft.get('image')} have?"
    hints = (
        "A guard stands before the program of each task, so it has to be named: [PROGRAM, ARGUMENTS].",
        "Print it with `docker inspect IMAGE`. If only the chief runs it, import again with --script coordinator.",
    )
    context.draft.ask("command", question=question, hints=hints)


def _ask_script(context: Context, command: list[str]) -> None:
    """Ask whether every task runs the program; a manifest looks the same in both cases."""
    hints = (
        f"Every task does (Estimator, tf.train.Server): set command: {flow(command)}",
        "Only the chief does (ParameterServerStrategy): import again with --script coordinator.",
    )
    question = "does every task run this program, or only the chief?"
    context.draft.ask("command", question=question, hints=hints)
    context.ledger.note("command", "a manifest does not show whether every task runs the program, or only the chief")


def _coordinator(context: Context, command: Words, args: list[str]) -> None:
    words = [*(command or []), *args]
    context.draft.values.pop("command", None)
    rest = [word for word in words[1:] if word != "-u"] if words and _PYTHON.fullmatch(words[0]) else []
    if rest and rest[0].endswith(".py"):
        context.draft.set("args", value=["--", *rest])
        context.ledger.note("args", "the trainer runs the script on the chief, and ends the servers after it")
        context.ledger.note("image", _TRAINER)
    else:
        what = f"The program is {flow(words)}." if words else "The ENTRYPOINT of the image is the program."
        question = "which script does the chief run?"
        context.draft.ask("args", question=question, hints=(what, "Set [--, SCRIPT, ARGUMENTS].", _TRAINER))
