"""A job file: its name, its values, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tfd.jobfile import helm, helm_yaml
from tfd.jobfile.helm_yaml import Key
from tfd.jobfile.schema import dotted, run_name_error, schema_errors
from tfd.text import refusal, shown

_ALIAS = ("a YAML alias", "a value at each key", "Write the value out.")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a job file, where it stands, and what to do about it."""

    path: Path
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


@dataclass(frozen=True)
class JobFile:
    """A job file on disk. Run = release = file name; team = namespace = folder; neither is read from the content."""

    path: Path
    chart: Path = helm.CHART

    @property
    def run(self) -> str:
        """The run's name."""
        return self.path.stem

    @property
    def team(self) -> str:
        """The team's name."""
        return self.path.resolve().parent.name

    @cached_property
    def rendered(self) -> str:
        """What Helm makes of it, once.

        Raises:
            HelmError: the chart refuses it.

        """
        return helm.template(self.run, self.team, self.path, self.chart)

    def problems(self) -> list[Problem]:
        """Return what is wrong with the file, first by line; empty when it can be merged."""
        try:
            document = helm_yaml.load(self.path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            return [Problem(self.path, 1, 1, f"not UTF-8: {error.reason} at byte {error.start}")]
        except helm_yaml.YamlError as error:
            where = f"{dotted(error.key)}: " if error.key else ""
            return [Problem(self.path, error.line, error.column, f"{where}{error}")]
        if not isinstance(document.value, dict):
            seen = shown(document.value)
            return [
                Problem(
                    self.path, 1, 1, f"got {seen}, but a job file is a mapping; set at least storage: {{claim: NAME}}"
                )
            ]
        found = [self._at(document, key, message) for key, message in schema_errors(document.value, self.chart)]
        if document.alias is not None:
            found.append(self._at(document, document.alias, refusal(dotted(document.alias), *_ALIAS)))
        if name_error := run_name_error(self.run, self.chart):
            found.append(Problem(self.path, 1, 1, name_error))
        if not found:
            found = list(self._rule_error(document))
        return sorted(found, key=lambda problem: (problem.line, problem.column, problem.message))

    def _at(self, document: helm_yaml.Document, key: Key, message: str) -> Problem:
        line, column = document.position(key)
        return Problem(self.path, line, column, message)

    def _rule_error(self, document: helm_yaml.Document) -> Iterator[Problem]:
        """Cross-field rules live in the chart; it stops at the first."""
        try:
            self.rendered  # noqa: B018 - the error counts
        except helm.HelmError as error:
            line, column = document.position(_written_key(str(error), document)) if error.rule else (1, 1)
            yield Problem(self.path, line, column, str(error))


def _written_key(message: str, document: helm_yaml.Document) -> Key:
    """Return the key that a chart message (``key.path: got ...``) is about, or its nearest parent in the file."""
    name = message.partition(": ")[0]
    written = (
        key for key in document.positions if key and f"{name}.".startswith((f"{dotted(key)}.", f"{dotted(key)}["))
    )
    return max(written, key=len, default=())
