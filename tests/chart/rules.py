"""The rules between keys, read from the templates of a chart."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.chart.rendering import TEMPLATES

CALL = 'include "tf-distributed.problem" '
TEXT = r'(?:\(printf )?"((?:[^"\\]|\\.)*)"'


@dataclass(frozen=True)
class Rule:
    """One rule between keys: what its message expects and proposes, with the verbs of printf."""

    expected: str
    fix: str

    def wrote(self, message: str) -> bool:
        """Return whether `message` is one of this rule."""
        end = re.sub(r"%[sdq]", r"\\S*", re.escape(f"; expected {self.expected}. {self.fix}"))
        return re.fullmatch(rf".+?: got .+{end}", message) is not None


def sources(templates: Path) -> str:
    """Return the text of all templates with rules."""
    return "".join(path.read_text() for path in sorted((templates / "rules").glob("_*.tpl")))


def rule_calls(templates: Path = TEMPLATES) -> int:
    """Return the number of calls that write a message."""
    return sources(templates).count(CALL)


def rules(templates: Path = TEMPLATES) -> list[Rule]:
    """Return the rules of a chart."""
    found = re.findall(rf'"expected" {TEXT}.*?"fix" {TEXT}', sources(templates), flags=re.DOTALL)
    return [Rule(*each) for each in found]


RULES = rules()
