"""Reads shell scripts in `command` and `args` as far as the import has to: their statements and their variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

_SHELLS = re.compile(r"(?:/usr)?(?:/bin/)?(?:env )?(?:ba|da|a|z)?sh")
# The name of an option follows it: `-euo pipefail`.
_NAMED_OPTION = re.compile(r"[-+][a-zA-Z]*[oO]")
_OPTION = re.compile(r"-[a-z]*c[a-z]*")
# ${X}, ${X:-default}, ${#X}, ${X%y}: what a POSIX shell expands. ${a.b} is the placeholder of another program.
_BRACES = re.compile(r"(?<!\\)\$\{([^}]{1,200})\}")
_PARAMETER = re.compile(r"[#!]?(?:[A-Za-z_]\w*|[0-9]+|[@*#?$!-])(?:\[[^\]]*\])?(?:[-:=?+%#/^,@].*)?", re.DOTALL)
# A script with these words has statements inside of others.
_COMPOUND = re.compile(r"(?:^|[;&|\n])\s*(?:if|for|while|until|case|function|select)\b|<<|\(\)\s*\{")
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)=")


def is_script(command: Any, args: Any = None) -> bool:  # noqa: ANN401 - values of a manifest
    """Return whether a command starts a shell, itself or through a program such as env, with a script as argument."""
    words = [*(command if isinstance(command, list) else []), *(args if isinstance(args, list) else [])]
    texts = [word for word in words if isinstance(word, str)]
    start = next((position for position, word in enumerate(texts) if _SHELLS.fullmatch(word)), len(texts))
    for before, word in pairwise(texts[start:]):
        if _OPTION.fullmatch(word):
            return True
        if word[:1] not in ("-", "+") and not _NAMED_OPTION.fullmatch(before):
            return False  # the file with the script
    return False


def unknown_variables(script: str) -> Iterator[str]:
    """Yield each `${...}` that a shell cannot read."""
    for found in _BRACES.finditer(script):
        if not _PARAMETER.fullmatch(found[1]):
            yield found[0]


def statements(script: str) -> list[str] | None:
    """Return the statements of a script, without the signs between them; None if they are not one after another."""
    if _COMPOUND.search(script):
        return None
    found, start, quote, depth, position = [], 0, "", 0, 0
    while position < len(script):
        sign = script[position]
        if sign == "\\" and quote != "'":
            position += 2
            continue
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"`":
            quote = sign
        elif sign in "({":
            depth += 1
        elif sign in ")}":
            depth -= 1
        elif depth == 0 and (sign in ";\n" or script[position : position + 2] == "&&"):
            found.append(script[start:position])
            start = position + (2 if sign == "&" else 1)
            position = start - 1
        position += 1
    if quote or depth:
        return None
    return [each.strip() for each in (*found, script[start:]) if each.strip()]


def assigned(statement: str) -> str:
    """Return the variable that a statement assigns; nothing for any other statement."""
    found = _ASSIGNMENT.match(statement)
    return found[1] if found else ""


def uses(statement: str, variable: str) -> bool:
    """Return whether a statement expands a variable."""
    return re.search(rf"\$(?:{re.escape(variable)}\b|\{{{re.escape(variable)}\b)", statement) is not None
