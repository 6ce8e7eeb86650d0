"""The blocks of commands in the Markdown pages, and what runs each of them.

A block without a mark is run by tests/pages/test_commands.py. A comment directly above a block is a mark:

    <!-- run by: tests/e2e/test_nodes.py::test_run_moves_from_a_lost_node -->
    <!-- not run: REASON -->

The first one names the tests that do the same, in a place that a block cannot prepare.
The rehearsal of a release follows two pages, as a reader with an empty machine and a cluster.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from release.walkthrough import PAGE, PLATFORM_PAGE
from tests.conventions.repository import ROOT, pages, tokens

LANGUAGES = {"sh", "bash"}
MARK = re.compile(r"<!-- (run by|not run): (.+?) -->")
PROMPT = "$ "
# A repository of `tfd init` gets this page. tests/unit/tfd/test_init.py creates one.
TEMPLATES = ("starter/",)
FOLLOWED = {str(page.relative_to(ROOT)) for page in (PAGE, PLATFORM_PAGE)}
HERE_DOCUMENT = re.compile(r"<<-?'?(\w+)'?$.*?^\1$", re.M | re.S)
WORDS_BETWEEN_COMMANDS = {"|", "||", "&&", ";", "&", "(", ")"}


@dataclass(frozen=True)
class Block:
    """One block of commands."""

    page: str
    line: int
    text: str
    mark: str
    """`run by`, `not run` or nothing."""
    words: str
    """What stands behind the mark."""

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def tests(self) -> list[str]:
        """The tests that run the block."""
        return self.words.split(", ") if self.mark == "run by" else []

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each command."""
        for line in re.sub(r"\\\n", " ", HERE_DOCUMENT.sub("", self.text)).splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            command: list[str] = []
            for word in [*lexer, ";"]:
                if word in WORDS_BETWEEN_COMMANDS:
                    yield from [command] if command else []
                    command = []
                else:
                    command.append(word)


def blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [block for page in pages() if not page.startswith(("tests/", *TEMPLATES)) for block in _of(page)]


def unmarked() -> dict[str, list[Block]]:
    """Return the blocks without a mark of each page."""
    found: dict[str, list[Block]] = {}
    for block in blocks():
        if not block.mark and block.page not in FOLLOWED:
            found.setdefault(block.page, []).append(block)
    return found


def _of(page: str) -> Iterator[Block]:
    for before, fence in pairwise(tokens(page)):
        # A session shows the commands of a user and what they print.
        session = [line.removeprefix(PROMPT) for line in fence.content.splitlines() if line.startswith(PROMPT)]
        if fence.type != "fence" or not (fence.info in LANGUAGES or session):
            continue
        [mark, words] = (MARK.findall(before.content) or [("", "")])[-1] if before.type == "html_block" else ("", "")
        assert fence.map
        yield Block(page, fence.map[0] + 1, "\n".join(session) or fence.content, mark, words)
