"""Writes a job file: short blocks on one line, comments above keys, and every string as Helm reads it back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfd.jobfile.go_scalars import INFINITE, resolve
from tfd.jobfile.helm_yaml import Key
from tfd.text import visible

WIDTH = 100
# What needs no quotation marks: in a block, and in a flow `{a: b}`, where more signs have a meaning.
_PLAIN = re.compile(r"[A-Za-z0-9_/$](?:[A-Za-z0-9_./$()=+@%-]|:(?=[A-Za-z0-9_./]))*")
_PLAIN_IN_FLOW = re.compile(r"[A-Za-z0-9_/$][A-Za-z0-9_./$()=+@-]*")
_BLOCK = re.compile(r"[!-~][ -~\n]*[!-~]\n?")
_UNUSUAL = re.compile(r"[^ -~]")

Comments = Mapping[Key, Sequence[str]]


def yaml_text(values: Mapping[str, Any], comments: Comments) -> str:
    """Return the YAML of a job file.

    Args:
        values: the values, in the order of their keys.
        comments: the lines above a key or an item of a list.

    """
    return "".join(f"{line}\n" for line in _mapping(values, comments, (), ""))


def _mapping(values: Mapping[str, Any], comments: Comments, key: Key, indent: str) -> Iterator[str]:
    for name, value in values.items():
        here = (*key, name)
        yield from _comment(comments.get(here, ()), indent)
        yield from _entry(f"{indent}{_scalar(name)}:", value, comments, here, indent)


def _entry(head: str, value: Any, comments: Comments, key: Key, indent: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        yield from _string(head, value, indent)
        return
    line = flow(value)
    commented = any(len(each) > len(key) and each[: len(key)] == key for each in comments)
    short = len(head) + len(line) < WIDTH and "\\n" not in line
    if not value or not isinstance(value, dict | list) or (short and not commented):
        yield f"{head} {line}"
    elif isinstance(value, dict):
        yield head
        yield from _mapping(value, comments, key, f"{indent}  ")
    elif all(isinstance(item, int) for item in value):
        yield f"{head} {line}"  # a long list of exit codes
    else:
        yield head
        yield from _items(value, comments, key, f"{indent}  ")


def _items(values: Sequence[Any], comments: Comments, key: Key, indent: str) -> Iterator[str]:
    for index, value in enumerate(values):
        here = (*key, index)
        yield from _comment(comments.get(here, ()), indent)
        if not isinstance(value, dict):
            yield from _entry(f"{indent}-", value, comments, here, indent)
            continue
        line = flow(value)
        if len(line) + len(indent) < WIDTH and not any(each[: len(here)] == here != each for each in comments):
            yield f"{indent}- {line}"
            continue
        lines = list(_mapping(value, comments, here, f"{indent}  "))
        first = next(number for number, line in enumerate(lines) if not line.lstrip().startswith("#"))
        lines[first] = f"{indent}- {lines[first].lstrip()}"
        yield from lines


def _comment(lines: Sequence[str], indent: str) -> Iterator[str]:
    return (f"{indent}# {visible(' '.join(line.split()))}" for line in lines)


def _string(head: str, text: str, indent: str) -> Iterator[str]:
    """Yield a string: as a block if it has several lines, else on the line of its key."""
    lines = text.splitlines()
    if len(lines) > 1 and _BLOCK.fullmatch(text) and not any(line.rstrip() != line for line in lines):
        yield f"{head} |{'' if text.endswith(chr(10)) else '-'}"
        yield from (f"{indent}  {line}" if line else "" for line in lines)
    else:
        yield f"{head} {_scalar(text)}"


def flow(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a value on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_scalar(name, _PLAIN_IN_FLOW)}: {flow(child)}' for name, child in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return _scalar(value, _PLAIN_IN_FLOW) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str, plain: re.Pattern[str] = _PLAIN) -> str:
    """Return a string without quotation marks where YAML reads the same string, else with them."""
    if plain.fullmatch(text) and text not in INFINITE and resolve(text) == text:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNUSUAL.sub(lambda found: found[0] if visible(found[0]) == found[0] else _escaped(found[0]), quoted)


def _escaped(sign: str) -> str:
    """Return a character that a person cannot see, or YAML cannot contain, as YAML escapes it."""
    return f"\\U{ord(sign):08X}"
