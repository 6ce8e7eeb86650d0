"""The points of a sweep: all combinations of some values, each with a name that contains them."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tfd.jobfile import helm_yaml
from tfd.jobfile.helm_yaml import Key, YamlError
from tfd.kubernetes import LONGEST_RUN
from tfd.text import refusal, shown

MOST_POINTS = 200


class GridError(Exception):
    """The grid is refused; the message names the reason and the fix."""


@dataclass(frozen=True)
class Axis:
    """One key of a grid."""

    key: Key
    values: tuple[str, ...]
    """As they stand in YAML."""


@dataclass(frozen=True)
class Point:
    """One combination."""

    name: str
    """RUN, and a part for each key."""
    values: dict[Key, str]


def axis(text: str) -> Axis:
    """Return the key and the values of one KEY=V1,V2,...

    Raises:
        GridError: the text has another form, a value is not one YAML scalar, or two values are equal.

    """
    name, equals, listed = text.partition("=")
    values = tuple(value.strip() for value in listed.split(","))
    if not (equals and re.fullmatch(r"[A-Za-z]\w*(\.\w+)*", name.strip(), re.ASCII) and all(values)):
        fix = "For example, write --grid trainer.batchSize=32,64."
        raise GridError(refusal("--grid", shown(text), "KEY=VALUE,VALUE,...", fix))
    seen: dict[str, str] = {}
    for value in values:
        try:
            found = helm_yaml.load(f"[{value}]").value  # a value may stand in {}, where YAML reserves more signs
        except YamlError:
            found = []
        if len(found) != 1 or found[0] is None or isinstance(found[0], dict | list):
            raise GridError(refusal("--grid", shown(value), "one number, word or quoted text", "Correct the value."))
        if first := seen.get(repr(found[0])):
            got = f"the equal values {shown(first)} and {shown(value)}"
            raise GridError(refusal("--grid", got, "each value once", "Remove one of the two."))
        seen[repr(found[0])] = value
    return Axis(tuple(name.strip().split(".")), values)


def points(run: str, axes: Sequence[Axis]) -> list[Point]:
    """Return all combinations, in the order of the axes.

    A part of a name is the last name of the key and the value, for example batch-size-64. If a name is too long, each
    key is shortened to the initials of its words in all names: bs-64.

    Args:
        run: the first part of each name.
        axes: the keys and their values.

    Raises:
        GridError: a key or a name is there twice, a name is too long, or there are too many points.

    """
    if twice := [key for key, count in Counter(each.key for each in axes).items() if count > 1]:
        fix = "Name all values in one --grid."
        raise GridError(refusal("--grid", f"{'.'.join(map(str, twice[0]))} twice", "each key once", fix))
    combined = list(itertools.islice(itertools.product(*(each.values for each in axes)), MOST_POINTS + 1))
    if len(combined) > MOST_POINTS:
        fix = "Name fewer values."
        raise GridError(refusal("--grid", f"more than {MOST_POINTS} points", f"at most {MOST_POINTS}", fix))
    words = [_words(str(each.key[-1])) for each in axes]
    for parts in (["-".join(each) for each in words], ["".join(word[0] for word in each) for each in words]):
        names = [_name(run, parts, values) for values in combined]
        if max(map(len, names)) <= LONGEST_RUN:
            break
    else:
        longest = max(names, key=len)
        raise GridError(refusal("run", longest, f"at most {LONGEST_RUN} characters", "Choose a shorter RUN."))
    if twice_named := [name for name, count in Counter(names).items() if count > 1]:
        fix = "Remove one of the two, or name the runs one by one."
        raise GridError(refusal("run", f"{twice_named[0]} for two points", "one name for each point", fix))
    keys = [each.key for each in axes]
    return [Point(name, dict(zip(keys, values, strict=True))) for name, values in zip(names, combined, strict=True)]


def _words(name: str) -> list[str]:
    """Return the words of batchSize or batch_size in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)] or ["x"]


def _name(run: str, parts: list[str], values: tuple[str, ...]) -> str:
    ends = (f"{part}-{_slug(value)}" for part, value in zip(parts, values, strict=True))
    return "-".join([run, *ends])


def _slug(value: str) -> str:
    """Return a value as a part of a DNS label: 0.01 becomes 0-01."""
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-") or "x"
