"""The findings for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from tfd.doctor.finding import Finding, Verdict
from tfd.text import plain

_COLORS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}
_WIDTH = max(map(len, Verdict))


def render(findings: Sequence[Finding]) -> Text:
    """Return a line for each finding: verdict, check, what was found, and the fix."""
    longest = max(len(each.check) for each in findings)
    text = Text()
    for each in findings:
        text.append(f"{each.verdict.value:<{_WIDTH}}", style=_COLORS[each.verdict])
        text.append(f"  {each.check:<{longest}}  {' '.join(plain(each.found).split())}")
        text.append(f". {each.fix}\n" if each.fix else "\n")
    return text
