"""Finds what looks like a secret in a job file: by its form, and by the name of its variable, key or option."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from tfd.jobfile.helm_yaml import Key

# Applied to names in upper case with `_` between their words.
_SECRET_NAME = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|APIKEY|ACCESSKEY|PRIVATEKEY)(_|$)"
    r"|(API|ACCESS|SECRET|PRIVATE|SIGNING|ENCRYPTION)_?KEY"
)
_WORDS_OF_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-. ]")
# NAME=VALUE, NAME: VALUE and --NAME=VALUE, also in JSON.
_ASSIGNED = re.compile(
    r"""(?<![\w.-])-{0,2}(?P<name>[A-Za-z_][\w.-]{0,80})["']?[ \t]{0,4}(?P<sign>[=:])[ \t]{0,4}"""
    r"""(?:"(?P<double>[^"\n]{1,500})"|'(?P<single>[^'\n]{1,500})'|(?!//)(?P<bare>[^\s"'{}\[\]&*|>,;]{1,500})(?P<end>[^\n]?))"""
)
# --NAME VALUE in a script; a value that begins with a sign of the shell is none.
_OPTION = re.compile(
    r"""(?<![\w.-])--?(?P<name>[A-Za-z][\w-]{0,80})[ \t]{1,4}"""
    r"""(?:"(?P<double>[^"$\n]{1,500})"|'(?P<single>[^'\n]{1,500})'|(?P<bare>[^\s"'$/<({&|;`\\-][^\s"';&|]{0,500}))"""
)
# An entry of `env` in a file that cannot be parsed.
_VARIABLE = re.compile(
    r"""\bname["']?:[ \t]{0,4}["']?(?P<name>\w{1,80})["']?[\s,]{1,40}["']?value["']?:[ \t]{0,4}"""
    r"""["']?(?P<value>[^\s"'{}\[\],]{1,500})"""
)
_LIKE_PASSWORD = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])\S{8,}")
_COMMENT = re.compile(r"(?:^|\s)#(.*)", re.MULTILINE)
_SWITCH = re.compile(r"--?([A-Za-z][\w-]{0,80})")


_STANDARD = str.maketrans("-_", "+/")
_SHORTEST = 4
_LONGEST_KEPT = 1024
_WORD = re.compile(r"[A-Za-z0-9+_=-]{24,}")
# In addresses and file names, where hyphens join many words.
_UNBROKEN_WORD = re.compile(r"[A-Za-z0-9+=]{24,}")
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{16,8192}={0,2}")
# How often a text is unpacked from base64 or JSON.
_MOST_LAYERS = 2
_TOKEN = "it is a token of a known kind"  # noqa: S105 - a sentence
_RANDOM_WORD = "it looks random"
_NAMED = "the name of the variable is {}"


@dataclass(frozen=True)
class Secret:
    """A value that must not be in git, and why it looks like a secret. No output shows the value."""

    key: Key
    """Its key; empty for a secret outside of the values, such as one in a comment."""
    why: str
    """A reason, with `{}` for the name of the variable if the name is the reason."""
    text: str
    name: str = ""


# The keys of a workbench file that name a Secret and a key in it.
_REFERENCES = (("token", "secret"), ("token", "key"))


def find_secrets(values: dict[str, Any], text: str = "") -> Iterator[Secret]:
    """Yield what looks like a secret in a job file.

    Args:
        values: the values of the file; empty for a file that cannot be parsed.
        text: the file, to find what is in its comments and what cannot be parsed.

    """
    # The name of an option and the form of its value may both give away one secret.
    found = {(each.key, each.text): each for each in (*_unnamed(values), *_named(values, ()))}.values()
    yield from found
    known = {secret.text for secret in found}
    comments = "\n".join(_COMMENT.findall(text)) if values else text
    pairs = [*_assigned(comments), *((each["name"], each["value"]) for each in _VARIABLE.finditer(comments))]
    for name, value in pairs:
        if value not in known and _is_secret(name, value, strict=False):
            yield Secret((), _NAMED, value, name)
    for why, word in [*_in_text(text), *_in_text(comments, _WORD)]:
        if not any(word in each for each in known):
            yield Secret((), why, word)


@cache
def _module() -> ModuleType:
    """Return the module with the detectors. Its import takes longer than that of all others together."""
    return import_module("tfd.review.analysis.tokens")


def secret_words(text: str) -> set[str]:
    """Return the parts of any text that look like a secret without the name of a variable."""
    return {word for _, word in _in_text(text)}


def _is_secret(name: str, value: str, *, strict: bool) -> bool:
    """Return whether a value is a secret by the name of its variable, option or key.

    Without `strict`, a name such as `pad_token` needs a value like a password, because models have such tokens.
    """
    words = _WORDS_OF_NAME.sub("_", name).upper()
    if not _SECRET_NAME.search(words):
        return False
    sure = strict or _SECRET_NAME.search(words.replace("TOKEN", ""))
    return bool(sure or _LIKE_PASSWORD.fullmatch(value))


def _named(value: Any, key: Key) -> Iterator[Secret]:  # noqa: ANN401 - any value of a job file
    """Yield the values of keys, variables and options whose name is that of a secret."""
    if isinstance(value, dict):
        yield from _named_value(value.get("name"), value.get("value"), (*key, "value"))
        for name, child in value.items():
            yield from _named_value(name, child, (*key, name))
            yield from _named(child, (*key, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _named(child, (*key, index))
            if index and isinstance(value[index - 1], str) and (switch := _SWITCH.fullmatch(value[index - 1])):
                yield from _named_value(switch[1], child, (*key, index))
    elif isinstance(value, str):
        yield from _named_in_text(value, key, _MOST_LAYERS)


def _named_value(name: Any, value: Any, key: Key) -> Iterator[Secret]:  # noqa: ANN401 - any value of a job file
    if (key[0] == "mounts" and key[2:] == ("secret",)) or key in _REFERENCES:
        return  # It is the name of a Secret.
    scalar = isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
    if scalar and isinstance(name, str) and _is_secret(name, str(value), strict=key[0] != "trainer"):
        yield Secret(key, _NAMED, str(value), name)


def _named_in_text(text: str, key: Key, layers: int) -> Iterator[Secret]:
    """Yield assignments in a text, also in base64 in it; then the text in base64 is the secret, too."""
    for name, value in _assigned(text, quoted=key[:2] == ("code", "files")):
        if _is_secret(name, value, strict=False):
            yield Secret(key, _NAMED, value, name)
    for found in _OPTION.finditer(text) if {"command", "args"}.intersection(key) else ():
        value = found["double"] or found["single"] or found["bare"]
        if len(value) >= _SHORTEST and _is_secret(found["name"], value, strict=False):
            yield Secret(key, _NAMED, value, found["name"])
    for word, inner in _unpacked(text) if layers else ():
        for secret in _named_in_text(inner, key, layers - 1):
            yield from (secret, Secret(key, secret.why, word, secret.name))


def _unnamed(values: dict[str, Any]) -> Iterator[Secret]:
    for key, text in _texts(values, ()):
        words = _UNBROKEN_WORD if key[:2] == ("code", "git") else _WORD
        yield from (Secret(key, why, word) for why, word in _in_text(text, words))


def _in_text(text: str, words: re.Pattern[str] = _UNBROKEN_WORD) -> tuple[tuple[str, str], ...]:
    """Return tokens of known kinds and random words of a text, and why each is one."""
    return _known_in_text(text, words) if len(text) <= _LONGEST_KEPT else tuple(_found_in_text(text, words))


@lru_cache(maxsize=8192)
def _known_in_text(text: str, words: re.Pattern[str]) -> tuple[tuple[str, str], ...]:
    """Return what `_found_in_text` yields. The same keys and values are in many job files, and in each format."""
    return tuple(_found_in_text(text, words))


def _found_in_text(text: str, words: re.Pattern[str], layers: int = _MOST_LAYERS) -> Iterator[tuple[str, str]]:
    if len(text) < _SHORTEST:
        return
    tokens = list(_module().tokens(text))
    yield from ((_TOKEN, token) for token in tokens)
    for word in words.findall(text):
        if _module().is_random(word) and not any(word in token for token in tokens):
            yield _RANDOM_WORD, word
    for word, inner in _unpacked(text) if layers else ():
        for why, part in _found_in_text(inner, words, layers - 1):
            yield from ((why, word), (why, part))


def _unpacked(text: str) -> Iterator[tuple[str, str]]:
    """Yield the words of a text that are base64, and what they encode; the texts in JSON as they are."""
    for word in _ENCODED.findall(text):
        try:
            padded = word.rstrip("=") + "=" * (-len(word.rstrip("=")) % 4)
            inner = base64.b64decode(padded.translate(_STANDARD), validate=True).decode()
        except ValueError:
            continue
        yield word, inner
    if text[:1] in ("[", "{", '"'):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return
        for _, inner in _texts(value, ()):
            yield inner, inner


def _assigned(text: str, *, quoted: bool = False) -> Iterator[tuple[str, str]]:
    """Yield names and values that a text assigns; in source code only values with quotation marks are literals."""
    for found in _ASSIGNED.finditer(text):
        value = found["double"] or found["single"] or found["bare"]
        if found["bare"] and (quoted or value.startswith("$")):
            continue
        # "The token: see the wiki" is a sentence.
        sentence = found["sign"] == ":" and found["bare"] and found["end"] == " " and value.isalpha()
        if len(value) >= _SHORTEST and not sentence:
            yield found["name"], value


def _texts(value: Any, key: Key) -> Iterator[tuple[Key, str]]:  # noqa: ANN401 - any value of a job file
    """Yield every text and every name of a key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, child in value.items():
            yield (*key, name), str(name)
            yield from _texts(child, (*key, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _texts(child, (*key, index))
