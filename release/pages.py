"""The steps of a Markdown page: its commands, its files and the output that it shows."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from markdown_it import MarkdownIt

from devcluster.shell import DevclusterError, refusal

COMMANDS, OUTPUT = "sh", "text"
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*")
# The first line of a file names its path.
_PATH = re.compile(r"# (\S+)\n")


@dataclass(frozen=True)
class Step:
    """What a reader of the page does at one place."""

    line: int
    text: str
    """The commands, or the content of the file."""
    path: str = ""
    """The file to write; empty for commands."""
    output: str = ""
    """What the page shows as output of the commands; `...` stands for any text."""
    skipped: str = ""
    """Why the page is not followed here; empty for a step that is followed."""

    def shows(self, printed: str) -> bool:
        """Return whether the page shows what the commands printed, or shows nothing."""
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        return not self.output or doctest.OutputChecker().check_output(self.output, printed, options)


def steps(page: Path, replaced: Mapping[str, str] | None = None) -> Iterator[Step]:
    """Yield the steps of a page in their order.

    Commands are blocks of the language `sh`, and a block `text` below them is their output. A block of another language
    is a file if its first line is a comment with a path. `<!-- not run: REASON -->` above a block skips the block.

    Args:
        page: the page.
        replaced: texts of the page -> what stands there instead. Each must be on the page.

    Raises:
        DevclusterError: a block is neither commands nor output nor a file.

    """
    found: list[Step] = []
    skipped = ""
    text = page.read_text(encoding="utf-8")
    for old, new in (replaced or {}).items():
        if old not in text:
            raise DevclusterError(refusal(str(page), f"no text {old!r}", "this text", "Change the walkthrough."))
        text = text.replace(old, new)
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "html_block" and (reason := _NOT_RUN.fullmatch(token.content)):
            skipped = reason[1]
        if token.type != "fence":
            continue
        line = (token.map or [0])[0] + 1
        path = _PATH.match(token.content)
        if token.info == OUTPUT and found:
            found[-1] = replace(found[-1], output=token.content)
        elif token.info == COMMANDS:
            found.append(Step(line, token.content, skipped=skipped))
        elif path:
            found.append(Step(line, token.content, path[1], skipped=skipped))
        elif not skipped:
            fix = "Set the language sh or text, or begin the block with a comment that has the path of the file."
            raise DevclusterError(refusal(f"{page}:{line}", f'a block "{token.info}"', "commands or a file", fix))
        skipped = ""
    yield from found
