"""Draw docs/review-card.png, a review comment as GitHub shows it, and write its text to docs/review-card.md.

Usage: python scripts/card_picture.py      when `make docs` reports that the picture is stale

It needs npm and the Debian packages chromium, fonts-liberation and fonts-noto-color-emoji, which nothing else needs.
The style sheet of GitHub comes from the npm package github-markdown-css. markdown-it, which rich installs, reads the
Markdown.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

from docs import PICTURE, PICTURED, card

STYLE = "github-markdown-css@5.9.0"
STYLE_SHA256 = "291a28816709426a8a348c8db497c6f2c625ec5e596d3406770dcfff975233b4"
WIDTH = 920
PAGE = """<!doctype html><meta charset="utf-8"><style>{style}
body {{ margin: 0; padding: 16px; background: #fff }}
.comment {{ border: 1px solid #d1d9e0; border-radius: 6px }}
.by {{ background: #f6f8fa; border-bottom: 1px solid #d1d9e0; padding: 8px 16px; font: 14px sans-serif }}
.markdown-body {{ padding: 16px }}
</style>
<div class="comment"><div class="by"><b>github-actions</b> commented</div><div class="markdown-body">{card}</div></div>
<script>document.title = Math.ceil(document.documentElement.getBoundingClientRect().height)</script>"""


def style(folder: Path) -> str:
    """Return the light style sheet of GitHub for Markdown."""
    subprocess.run(["npm", "pack", "--silent", STYLE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    [package] = folder.glob("*.tgz")
    if (found := hashlib.sha256(package.read_bytes()).hexdigest()) != STYLE_SHA256:
        sys.exit(f"{STYLE}: got sha256 {found}; expected {STYLE_SHA256}. Review the change and pin the new sum.")
    with tarfile.open(package) as files:
        files.extract("package/github-markdown-light.css", folder, filter="data")
    return (folder / "package" / "github-markdown-light.css").read_text(encoding="utf-8")


def chromium(folder: Path, *options: str) -> str:
    """Run the browser on the page and return its output; its profile is in `folder`."""
    words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    words += [f"--user-data-dir={folder}", *options, f"file://{folder}/card.html"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return done.stdout


def main() -> None:
    """Draw the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = MarkdownIt("commonmark", {"html": True}).enable("table").render(card())
        (folder / "card.html").write_text(PAGE.format(style=style(folder), card=text), encoding="utf-8")
        page = chromium(folder, f"--window-size={WIDTH},100", "--dump-dom")
        height = int(page.partition("<title>")[2].partition("</title>")[0])
        picture = folder / "card.png"
        size = f"--window-size={WIDTH},{height}"
        chromium(folder, size, "--force-device-scale-factor=1.5", f"--screenshot={picture}")
        PICTURE.write_bytes(picture.read_bytes())
    PICTURED.write_text(card(), encoding="utf-8")


if __name__ == "__main__":
    main()
