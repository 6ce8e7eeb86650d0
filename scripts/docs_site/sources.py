"""Write the sources of the documentation site into a folder, for Sphinx.

Usage: python scripts/docs_site/sources.py FOLDER

GitHub shows the same pages, so their links are relative paths in the repository. On the site, a link to a file that is
not a page leads to the repository. site.toml has the pages and their order.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = "docs"
# A target of a link or an image that is neither an address nor an anchor. Fences and code spans stay as they are.
LINK: Final = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`|(?<=\]\()(?![a-z]+:|#)(?P<path>[^)#\s]+)", re.M | re.S)


def load() -> dict[str, Any]:
    """Return site.toml."""
    return tomllib.loads(Path(__file__).with_name("site.toml").read_text(encoding="utf-8"))


def on_site(text: str, source: str, page: str, site: dict[str, Any]) -> str:
    """Return the text of the file `source` of the repository with links for its `page` of the site."""

    def link(found: re.Match[str]) -> str:
        if not found["path"]:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found["path"]))
        folder = (ROOT / path).is_dir()
        target = site["pages"].get(path) or (path.removeprefix(f"{DOCS}/") if path.startswith(f"{DOCS}/") else "")
        if not target:
            return f"{site['repository']}/{'tree' if folder else 'blob'}/main/{path}"
        return posixpath.relpath(f"{target}/index.md" if folder else target, posixpath.dirname(page) or ".")

    return LINK.sub(link, text)


def section_page(section: dict[str, Any]) -> str:
    """Return the page of a section: what to do first, and its pages."""
    folder = posixpath.dirname(section["page"])
    pages = "\n".join(posixpath.relpath(page, folder or ".") for page in section["pages"])
    options = ":maxdepth: 1\n" + (":glob:\n" if "*" in pages else "")
    return f"# {section['title']}\n\n{section['first']}\n\n```{{toctree}}\n{options}\n{pages}\n```\n"


def write(folder: Path) -> None:
    """Write all sources into a new folder."""
    site = load()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / DOCS, folder)
    sources = {str(path.relative_to(ROOT)): str(path.relative_to(ROOT / DOCS)) for path in (ROOT / DOCS).rglob("*.md")}
    for source, page in (sources | site["pages"]).items():
        text = on_site((ROOT / source).read_text(encoding="utf-8"), source, page, site)
        (folder / page).write_text(text, encoding="utf-8")
    for section in (each for each in site["sections"] if "pages" in each):
        (folder / section["page"]).write_text(section_page(section), encoding="utf-8")
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        pages = "\n".join(section["page"] for section in site["sections"])
        index.write(f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
