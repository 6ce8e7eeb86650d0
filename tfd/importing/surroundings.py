"""What a program finds around it in a run: another user, another HOME and a network with a policy."""

from __future__ import annotations

import re

from tfd.importing.context import Context
from tfd.text import shown

_WRITES = re.compile(
    r"(?:^|[\s;&|])(?:pip3? install|apt(?:-get)? |conda install|make\b|cmake\b|python3? setup\.py)|>>?\s*/(?!dev/|tmp/)"
)
_ROOT_HOME = re.compile(r"(?<![\w.-])/root(?=/|$|[\s\"';])")
_OUTSIDE = re.compile(r"\b(?:s3a?|https?|hdfs|oss|wasbs?|abfss?)://[^\s\"'$@]+|^[a-z0-9-]+(?:\.[a-z0-9-]+)+:\d+$")
_NETWORK = "tasks reach their run, DNS and a bucket of the job file only, and no other client reaches a task"


def note_surroundings(context: Context) -> None:
    """Set and note what differs around the program, with a question where the words of the program need an answer."""
    words = _words(context)
    _user(context, words)
    if context.draft.get("readOnlyRoot") is None:
        if any(_WRITES.search(word) for word in words):
            context.draft.set("readOnlyRoot", value=False)
            context.ledger.note("readOnlyRoot", "false: the program writes into its image, where its user may")
        else:
            why = "true: files next to the code cannot be written; /tmp, the storage and scratch mounts can"
            context.ledger.note("readOnlyRoot", why)
    context.ledger.note("HOME", "it is /tmp, which each attempt of a task finds empty: downloads are repeated")
    found = sorted({match[0] for word in words if (match := _OUTSIDE.search(word))})
    if found:
        question = "which addresses does the program reach?"
        hints = (f"It names {', '.join(found)[:200]}.", "Set a list such as [{to: 10.1.0.0/16, ports: [443]}].")
        context.draft.ask("network", "egress", question=question, hints=hints)
    context.ledger.note("network.egress", _NETWORK)
    if context.draft.get("storage", "ephemeral") is None:
        context.ledger.note("tensorboard", "a TensorBoard shows the run directory, on 100m CPU and 256Mi of memory")


def _words(context: Context) -> list[str]:
    draft = context.draft
    words = [*(draft.get("command") or []), *(draft.get("args") or []), draft.get("workingDir") or ""]
    return [*words, *(str(each.get("value", "")) for each in draft.get("env") or [])]


def _user(context: Context, words: list[str]) -> None:
    if context.draft.get("runAsUser") is not None:
        return
    if found := next((word for word in words if _ROOT_HOME.search(word)), None):
        question = "which user other than root can read the code below /root?"
        hints = (f"It is in {shown(found)}.", "Copy the code to another folder of the image, or make it readable.")
        context.draft.ask("runAsUser", question=question, hints=hints)
    why = "65534 instead of the user of the image: /root cannot be read, and files of root cannot be written"
    context.ledger.note("runAsUser", why)
