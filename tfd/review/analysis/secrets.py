"""Finds what looks like a secret in a job file: by name, by known form, by randomness."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfd.jobfile.helm_yaml import Key

_NAMES = re.compile(
    r"(?i)(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|APIKEY|ACCESSKEY|PRIVATEKEY)(_|$)"
    r"|(API|ACCESS|SECRET|PRIVATE|SIGNING|ENCRYPTION)_?KEY"
)
_FORMS = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}"
    r"|hf_[A-Za-z0-9]{30,}|AIza[\w-]{35}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|(?<=://)[^/\s:@]+:[^/\s:@]+(?=@)"
)
_WORD = re.compile(r"[A-Za-z0-9+_=-]{24,}")
# Bits per character: random base64 of 24 characters and more has over 4; a path or a word that long seldom has.
_RANDOM = 4.0
# What may hold one: env is checked by name as well.
_TOP_KEYS = ("env", "command", "args", "code", "trainer", "owner", "description", "labels", "data", "storage")


@dataclass(frozen=True)
class Secret:
    """A value that must not be in git, and why it looks like a secret. The value is never shown."""

    key: Key
    why: str
    text: str


def find_secrets(values: dict[str, Any]) -> Iterator[Secret]:
    """Yield what looks like a secret in the values of a job file."""
    for index, variable in enumerate(_list(values.get("env"))):
        name, text = variable.get("name"), variable.get("value")
        if isinstance(name, str) and isinstance(text, str) and text and _NAMES.search(name):
            yield Secret(("env", index, "value"), f"the variable is called {name}", text)
    for top in _TOP_KEYS:
        for key, text in _strings(values.get(top), (top,)):
            if found := _FORMS.search(text):
                # Of a private key the form is only its first line.
                whole = text if "PRIVATE KEY" in found[0] else found[0]
                yield Secret(key, "it has the form of a known kind of secret", whole)
            elif key[:2] != ("code", "git"):
                yield from (Secret(key, "it looks random", word) for word in _WORD.findall(text) if _looks_random(word))


def _looks_random(word: str) -> bool:
    kinds = sum(bool(re.search(kind, word)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    counts = Counter(word).values()
    entropy = -sum(count / len(word) * math.log2(count / len(word)) for count in counts)
    return kinds == 3 and entropy > _RANDOM  # noqa: PLR2004 - all three kinds


def _strings(value: Any, key: Key) -> Iterator[tuple[Key, str]]:  # noqa: ANN401 - any value of a job file
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _strings(child, (*key, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _strings(child, (*key, index))


def _list(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - not checked by the schema yet
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
