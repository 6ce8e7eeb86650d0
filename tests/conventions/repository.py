"""The files of the repository, and the links and commands in its Markdown pages."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
BINARY = {".png", ".tfrecord"}
LOCKS = {"go.sum"}


@cache
def tracked() -> list[str]:
    """Return the paths of all text files under version control, and of new files that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    paths = [Path(name) for name in names if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]
    return sorted(str(path) for path in paths if path.suffix not in BINARY and path.name not in LOCKS)


def pages() -> list[str]:
    """Return the paths of all Markdown pages; golden files are output of programs, not pages."""
    return [name for name in tracked() if name.endswith(".md") and not name.startswith("tests/golden/")]


@cache
def tokens(page: str) -> list[Token]:
    """Return the Markdown tokens of a page, inline tokens included."""
    blocks = MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text(encoding="utf-8"))
    return [token for block in blocks for token in (block, *(block.children or []))]


def links(page: str) -> list[str]:
    """Return the targets of all links and images of a page that are not on another server."""
    found = [str(token.attrs.get("href", token.attrs.get("src", ""))) for token in tokens(page)]
    return [target for target in found if target and "://" not in target and not target.startswith("mailto:")]


def anchors(page: str) -> set[str]:
    """Return the anchors of a page: GitHub's names of its headings, and the ids in its HTML."""
    seen: Counter[str] = Counter()
    found = set()
    all_tokens = tokens(page)
    for opening, heading in pairwise(all_tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in heading.children or [] if child.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    html = "\n".join(token.content for token in all_tokens if token.type.startswith("html_"))
    return found | set(re.findall(r'\b(?:id|name)="([^"]+)"', html))


def commands(page: str) -> Iterator[str]:
    """Yield each line of the code blocks of a page, and each code span."""
    for token in tokens(page):
        if token.type in ("fence", "code_block"):
            yield from (line.strip() for line in token.content.splitlines())
        elif token.type == "code_inline":
            yield token.content
