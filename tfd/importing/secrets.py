"""Keeps secrets out of the job file, and so out of git."""

from __future__ import annotations

import json
import re
from itertools import chain, count
from typing import Any

from tfd.importing.context import Context
from tfd.jobfile.helm_yaml import Key
from tfd.review.analysis.secrets import Secret, find_secrets

_HIDDEN = "***"
_SHORTEST = 4
# Keys of Kubernetes with the name or the place of a secret, such as secretName and secretProviderClass.
_NAMES_SECRET = re.compile(r".*(?:Name|Namespace|Class|File|Path)")


def hide_secrets(context: Context) -> None:
    """Replace what looks like a secret by a reference to a Secret whose name is a TODO."""
    # The name of a variable makes a secret of its question too.
    found = [each for each in find_secrets(context.draft.values) if not context.draft.is_open(each.key)]
    names: dict[str, str] = {}
    for secret in found:
        if secret.key[:1] == ("env",) and len(secret.key) == 3:  # noqa: PLR2004 - env, index, value
            _variable(context, secret)
        elif secret.key[:1] in (("command",), ("args",)):
            _word(context, secret, names)
    for secret in list(find_secrets(context.draft.values)):
        if isinstance(_value(context, secret.key), str) and not context.draft.is_open(secret.key):
            context.draft.ask(*secret.key, question="a value that is not a secret?")
            context.ledger.note(str(secret.key[0]), "a value that looks like a secret is left out")
    # A comment repeats values that no key of the job file has, such as those of another role or of a volume.
    others = [each for each in find_secrets(context.manifest.root.block()) if len(each.text) >= _SHORTEST]
    texts = [secret.text for secret in [*found, *others] if not _NAMES_SECRET.fullmatch(str(secret.key[-1]))]
    context.secrets = sorted(set(texts), key=len, reverse=True)


def _value(context: Context, key: Key) -> Any:  # noqa: ANN401 - any value of a job file
    return context.draft.get(*key)


def _variable(context: Context, secret: Secret) -> None:
    variable = context.draft.get(*secret.key[:2])
    if "value" not in variable:
        return
    del variable["value"]
    name = variable["name"]
    variable["valueFrom"] = {"secretKeyRef": {"key": name}}
    question = f"which Secret has the value of {name}?"
    hint = f"Create it with `kubectl create secret generic NAME --from-literal={name}=...`."
    context.draft.ask(*secret.key[:2], "valueFrom", "secretKeyRef", "name", question=question, hints=(hint,))
    context.ledger.note("env", f"{name}: a reference to a Secret instead of a value in git")


def _free_name(context: Context, wanted: str) -> str:
    """Return the name of a variable for a secret that no other variable has."""
    name = re.sub(r"\W+", "_", wanted).strip("_").upper() or "SECRET"
    used = {each.get("name") for each in context.draft.get("env") or []}
    return next(each for each in chain([name], (f"{name}_{number}" for number in count(2))) if each not in used)


def _word(context: Context, secret: Secret, names: dict[str, str]) -> None:
    """Replace a secret in a word by a variable; `names` has those of the secrets that have one."""
    words = context.draft.get(str(secret.key[0]))
    number = secret.key[1] if len(secret.key) > 1 else 0
    if not isinstance(words, list) or not isinstance(number, int) or secret.text not in words[number]:
        return
    name = names.get(secret.text) or _free_name(context, secret.name)
    words[number] = words[number].replace(secret.text, f"$({name})")
    if secret.text not in names:
        names[secret.text] = name
        key = context.draft.append("env", {"name": name, "valueFrom": {"secretKeyRef": {"key": name}}})
        question = f"which Secret has the value of {name}?"
        context.draft.ask(*key, "valueFrom", "secretKeyRef", "name", question=question)
    context.ledger.note("env", f"{name}: a reference to a Secret instead of a value in git")


def hide_in_comments(context: Context) -> None:
    """Remove secrets from the comments, which repeat words of the manifest."""
    for key, lines in context.draft.comments.items():
        context.draft.comments[key] = [_without(line, context.secrets) for line in lines]


def _without(line: str, secrets: list[str]) -> str:
    """Return a line without secrets: as they are, as JSON escapes them, and cut off before an ellipsis."""
    for secret in secrets:
        for form in (secret, json.dumps(secret, ensure_ascii=False)[1:-1]):
            line = line.replace(form, _HIDDEN)
            for length in range(len(form) - 1, _SHORTEST - 1, -1):
                line = line.replace(f"{form[:length]}...", f"{_HIDDEN}...")
    return line
