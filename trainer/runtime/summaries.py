"""The useful line of an error of Keras, TensorFlow or a task.

AutoGraph puts the error below a list of frames ("in user code:"). Keras surrounds it with the name and the arguments of
a layer, and TensorFlow with nodes of a graph. Each may contain one of the others.
"""

from __future__ import annotations

import re
import traceback
from typing import Final

_LONGEST: Final = 400
_SHORT: Final = 100
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_ARGUMENTS: Final = re.compile(r"^\s*(Call a|A)rguments received by .*", re.MULTILINE | re.DOTALL)
_DECORATION: Final = re.compile(
    r"\{\{function_node [^}]*\}\} ?"
    r"|Error in user-defined function passed to \S+ transformation with iterator: \S+ "
    r"|__inference_\S*?\[_Xla[^\]]*\] ?"
    r"| ?\[Op:[^\]]*\](?: name: *)?"
)
_USER_CODE: Final = "in user code:"
_FRAME: Final = re.compile(r'^\s*File "')
_NAMED: Final = re.compile(r"([A-Za-z_][\w.]*):(?: (.*))?")
_ERROR: Final = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Iteration)): ")
_ROOT: Final = re.compile(r"\(\d+\) ([A-Z_]+): *")
_CALLING: Final = "Exception encountered when calling "
_GRAPH: Final = "Graph execution error:"
_PLACES: Final = ("Detected at node", "<stack traces", 'File "', "[[", "The error could be", "node ")


def name_and_message(error: BaseException) -> tuple[str, str]:
    """Return the class of `error` and the one line of its text that names what is wrong.

    The class is that of the original error where a library reports the error of a task by another one.
    """
    if original := getattr(error, "original_exception", None):  # a closure of ParameterServer
        return name_and_message(original)
    name, message = _own(error)
    if isinstance(error, BaseExceptionGroup):
        message = f"{message}: {': '.join(_own(error.exceptions[0]))}"
    if error.__cause__ is not None:
        reason = _own(error.__cause__)
        message = message if reason[1] in message else f"{message} ({': '.join(reason)})"
    return name, message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."


def one_line(text: str) -> str:
    """Return `text` as one line without control characters."""
    text = _CONTROL.sub(" ", _ESCAPE.sub("", text))
    # Half of a surrogate pair cannot be written.
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _own(error: BaseException) -> tuple[str, str]:
    """Return the class and the message of `error` itself, without its cause."""
    name, message = _of_text(type(error).__name__, _text(error))
    return name, message or _place(error)


def _text(error: BaseException) -> str:
    """Return the text of `error` without the arguments of a layer and without decoration."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001, RUF100 - a mistake in the class of the error must not hide the error
        return ""
    return _DECORATION.sub("", _ARGUMENTS.sub("", _ESCAPE.sub("", text)))


def _of_text(name: str, text: str) -> tuple[str, str]:
    lines = text.splitlines()
    if _USER_CODE in (line.strip() for line in lines):
        lines = _below_frames(lines)
        if match := _NAMED.fullmatch(lines[0].strip()):
            name, lines[0] = match[1], match[2] or ""
    found = _first(lines, in_graph=_GRAPH in text)
    if match := _ERROR.match(found):  # the error of a Python function in a graph
        return match[1], found[match.end() :]
    return name, found


def _below_frames(lines: list[str]) -> list[str]:
    """Return the lines of the error below AutoGraph's last frame, which is followed by its code and an empty line."""
    start = max((number for number, line in enumerate(lines) if _FRAME.match(line)), default=len(lines))
    while start < len(lines) and lines[start].strip():
        start += 1
    filled = [line for line in lines if line.strip()]
    return [line for line in lines[start:] if line.strip()] or filled[-1:]


def _first(lines: list[str], *, in_graph: bool) -> str:
    """Return the first line that is a message; with the following ones where it is short and ends with a colon."""
    lines = [each for line in lines if (each := one_line(line)) and not each.startswith((_CALLING, _GRAPH))]
    if roots := [line for line in lines if (match := _ROOT.match(line)) and match[1] != "CANCELLED"]:
        return _ROOT.sub("", roots[0], count=1)
    if in_graph:
        lines = [line for line in lines if not line.startswith(_PLACES)]
    if not lines:
        return ""
    first, *others = lines
    if first.endswith("Error encountered:") and others:
        return others[0]
    return " ".join(lines) if first.endswith(":") and len(first) < _SHORT else first


def _place(error: BaseException) -> str:
    """Return where an error without a text, such as that of `assert`, was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f'raised by "{frames[-1].line}" in {frames[-1].filename}, line {frames[-1].lineno}' if frames else ""
