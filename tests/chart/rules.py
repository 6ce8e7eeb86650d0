"""The rules between keys, read from the templates of the chart."""

import re
from dataclasses import dataclass

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
        end = re.sub(r"%[sdq]", r"\\S+", re.escape(f"; expected {self.expected}. {self.fix}"))
        return re.fullmatch(rf".+?: got .+{end}", message) is not None


def sources() -> str:
    """Return the text of all templates with rules."""
    return "".join(path.read_text() for path in sorted((TEMPLATES / "rules").glob("_*.tpl")))


def rule_calls() -> int:
    """Return the number of calls that write a message."""
    return sources().count(CALL)


RULES = [Rule(*found) for found in re.findall(rf'"expected" {TEXT}.*?"fix" {TEXT}', sources(), flags=re.DOTALL)]
