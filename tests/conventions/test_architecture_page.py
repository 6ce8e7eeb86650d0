"""The architecture page names one existing place for each of the ten common changes."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "contributing" / "architecture.md").read_text(encoding="utf-8")
CHANGES = (
    "rendered pod",
    "rule between two keys",
    "training loop",
    "worker hangs",
    "input-bound",
    "SIGTERM does to a ps",
    "secrets in the review comment",
    "new subcommand",
    "new `trainer.*` key",
    "new exit code",
)


def test_each_common_change_has_one_place() -> None:
    section = PAGE.partition("## Find the one place")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    for change in CHANGES:
        [row] = [row for row in rows if change in row.split("|")[1]]
        assert len(re.findall(r"`[^`]+`", row.split("|")[2])) == 1, row


def test_each_path_that_the_page_names_exists() -> None:
    paths = re.findall(r"`([A-Za-z_]+(?:/[\w.-]+)+)`", PAGE)
    assert len(paths) > len(CHANGES)
    assert [path for path in paths if not (ROOT / path).exists()] == []
