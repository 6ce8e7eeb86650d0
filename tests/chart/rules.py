"""The rules between keys, read from the templates of the chart."""

import re
from dataclasses import dataclass

from tests.chart.rendering import TEMPLATES

CALL = 'include "tf-distributed.problem" '
TEXT = r'(?:\(printf )?"((?:[^"\\]|\\.)*)"'


@dataclass(frozen=True)
class Rule:
    """One rule between keys: what its message expects, with the verbs of printf."""

    expected: str

    def wrote(self, message: str) -> bool:
        """Return whether `message` is one of this rule."""
        expected = re.sub(r"%[sdq]", r"\\S+", re.escape(self.expected))
        return re.fullmatch(rf".+?: got .+; expected {expected}\. .+", message) is not None


def sources() -> str:
    """Return the text of all templates with rules."""
    return "".join(path.read_text() for path in sorted((TEMPLATES / "rules").glob("_*.tpl")))


def rule_calls() -> int:
    """Return the number of calls that write a message."""
    return sources().count(CALL)


RULES = [Rule(expected) for expected in re.findall(rf'"expected" {TEXT}', sources())]
