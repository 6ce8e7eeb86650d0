"""A job file: its name, its rendering, and what is wrong with it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfd import assets
from tfd.jobfile import helm, helm_yaml, rules
from tfd.jobfile.helm_yaml import Document, Key
from tfd.jobfile.notes import notes
from tfd.jobfile.schema import defaults, merged, run_name_error, schema_errors
from tfd.kinds import RUN, kind_of
from tfd.text import dotted, refusal, shown, visible

# Argo CD writes the values as JSON, which has these characters as they are, and reads that as YAML. YAML takes U+0085
# for the end of a line and refuses the others. So an escape in a job file would reach Helm as other text than here.
_CONTROL = re.compile("[\x7f-\x9f\ufffe\uffff]")


class NoJobFileError(Exception):
    """The paths contain no job file."""


class CheckError(Exception):
    """Tfd has an error that a job file shows; the message names the file."""


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an unexpected error into one that names the job file."""
    try:
        yield
    except helm.HelmError:
        raise  # Helm is missing.
    except Exception as error:
        kind = type(error).__name__
        raise CheckError(f"{path}: The check itself failed ({kind}). Report the file as a bug of tfd.") from error


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a job file, its place, and what to do about it."""

    path: Path
    line: int
    column: int
    message: str
    key: Key = ()
    """The key that the problem is about, if it is about one."""
    replacement: Key | None = None
    """The right name of an unknown key, if there is one that the user probably meant."""
    is_note: bool = False
    """Whether it refuses nothing, and only names the effect of a default."""

    def __str__(self) -> str:
        path = visible(str(self.path), ascii_only=True)
        level = "note: " if self.is_note else ""
        return visible(f"{path}:{self.line}:{self.column}: {level}{self.message}")

    def as_json(self) -> dict[str, str | int]:
        """Return the problem for machines."""
        level = "note" if self.is_note else "refused"
        return {
            "path": str(self.path),
            "line": self.line,
            "column": self.column,
            "level": level,
            "message": self.message,
        }


@dataclass(frozen=True)
class JobFile:
    """A job file on disk. Its file name is the run and the Helm release; its folder is the team and the namespace."""

    path: Path
    chart: Path = assets.CHART
    # In place of a cached_property: that of Python 3.11 computes one file at a time, also in several threads.
    _kept: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def run(self) -> str:
        """The run's name."""
        return self.path.stem

    @property
    def team(self) -> str:
        """The team's name."""
        return self.path.resolve().parent.name

    @property
    def rendered(self) -> str:
        """The YAML that Helm renders for the file. Helm starts at the first access only.

        Raises:
            HelmError: the chart refuses it.

        """
        if "rendered" not in self._kept:
            self._kept["rendered"] = helm.template(self.run, self.team, self.path, self.chart)
        return str(self._kept["rendered"])

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The Kubernetes objects of the run. Raises what `rendered` raises."""
        if "objects" not in self._kept:
            self._kept["objects"] = helm.objects(self.rendered)
        return list(self._kept["objects"])

    def problems(self) -> list[Problem]:
        """Return the problems of the file in the order of its lines; empty when it can be merged.

        Raises:
            CheckError: tfd has an error that this file shows.

        """
        with _naming(self.path):
            document, found = self._content
            return _sorted(found if document is None else self._broken_rules(document))

    def notes(self) -> list[Problem]:
        """Return the notes about a file without problems; a workbench file has none.

        Raises:
            CheckError: tfd has an error that this file shows.

        """
        with _naming(self.path):
            document, _ = self._content
            if document is None or kind_of(self.path.resolve()) is not RUN:
                return []
            complete = merged(defaults(self.chart), document.value)
            return [
                Problem(
                    self.path, *document.position(_nearest(note.key, document)), note.message, note.key, is_note=True
                )
                for note in notes(document.value, complete)
            ]

    @property
    def _content(self) -> tuple[Document | None, list[Problem]]:
        """The document, or the problems that prevent a check of the chart's rules. One of the two is empty."""
        if "content" not in self._kept:
            self._kept["content"] = self._read()
        content: tuple[Document | None, list[Problem]] = self._kept["content"]
        return content

    def _read(self) -> tuple[Document | None, list[Problem]]:
        if not self.path.is_file():
            message = refusal("file", "no regular file", "a file", "Replace it with a file, or remove it.")
            return None, [Problem(self.path, 1, 1, message)]
        try:
            helm_yaml.refuse_size(self.path.stat().st_size)
            document = helm_yaml.load(self.path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            got = f"invalid UTF-8 ({error.reason} at byte {error.start})"
            message = refusal("file", got, "UTF-8 text", "Save the file as UTF-8.")
            return None, [Problem(self.path, 1, 1, message)]
        except OSError as error:
            got = f"a file that cannot be read ({error.strerror})"
            message = refusal("file", got, "a file that you may read", "Change its permissions.")
            return None, [Problem(self.path, 1, 1, message)]
        except helm_yaml.YamlError as error:
            return None, [Problem(self.path, error.line, error.column, str(error))]
        if not isinstance(document.value, dict):
            message = refusal("file", shown(document.value), "a mapping", "Set at least storage: {claim: NAME}.")
            return None, [Problem(self.path, 1, 1, message)]
        found = [
            Problem(self.path, *document.position(found.key), found.message, found.key, found.replacement)
            for found in schema_errors(document.value, self.chart)
        ]
        found += [
            Problem(self.path, *document.position(key), _unkept(dotted(key), character), key)
            for key, character in _control_characters(document.value, ())
        ]
        if document.alias is not None:
            message = refusal(dotted(document.alias), "a YAML alias", "a value at each key", "Write the value out.")
            found.append(Problem(self.path, *document.position(document.alias), message))
        if name_refusal := run_name_error(self.run, self.chart):
            found.append(Problem(self.path, 1, 1, name_refusal))
        return (None, found) if found else (document, [])

    def _broken_rules(self, document: Document) -> list[Problem]:
        """Render the file. If a rule of the chart refuses it, return all broken rules, because Helm names only one."""
        try:
            self.objects  # noqa: B018 - the error counts
        except helm.HelmError as error:
            if not error.rule:
                return [Problem(self.path, 1, 1, str(error))]
            messages = None
            if rules.has_rules(self.chart):
                [messages] = rules.broken([self._candidate(document)], self.chart)
            return self._where_written(document, messages or [str(error)])
        return []

    def _candidate(self, document: Document) -> rules.Candidate:
        return rules.Candidate(self.run, self.team, merged(defaults(self.chart), document.value))

    def _where_written(self, document: Document, messages: Iterable[str]) -> list[Problem]:
        written = [(_written_key(message, document), message) for message in messages]
        return [Problem(self.path, *document.position(key), message, key) for key, message in written]


def find(paths: Iterable[Path]) -> list[Path]:
    """Return the job files among `paths` and in the folders among them.

    Raises:
        NoJobFileError: the paths contain no job file.

    """
    paths = list(paths)
    files = sorted({file for path in paths for file in ([path] if path.is_file() else path.rglob("*.yaml"))})
    if not files:
        names = ", ".join(map(str, paths))
        message = refusal(names, "no job file", "*.yaml files", "Name a job file, or a folder that contains job files.")
        raise NoJobFileError(message)
    return files


def check(files: Iterable[JobFile]) -> list[Problem]:
    """Return what `problems` returns for each of the files, with one Helm process for many of them."""
    by_chart: dict[Path, list[JobFile]] = defaultdict(list)
    for file in files:
        by_chart[file.chart].append(file)
    return _sorted(problem for chart, group in by_chart.items() for problem in _check_with(chart, group))


def _check_with(chart: Path, files: Iterable[JobFile]) -> list[Problem]:
    if not rules.has_rules(chart):
        return [problem for file in files for problem in file.problems()]
    found: list[Problem] = []
    sound: list[tuple[JobFile, Document]] = []

    def candidates() -> Iterator[rules.Candidate]:
        for file in files:
            with _naming(file.path):
                document, problems = file._content
            found.extend(problems)
            if document is not None:
                sound.append((file, document))
                yield file._candidate(document)

    # Helm works on the first files while the next ones are read.
    broken = list(rules.broken(candidates(), chart))
    for (file, document), messages in zip(sound, broken, strict=True):
        found += file._broken_rules(document) if messages is None else file._where_written(document, messages)
    return found


def _control_characters(value: Any, key: Key) -> Iterator[tuple[Key, str]]:  # noqa: ANN401 - any value of a job file
    """Yield the first such character of each text in a value, with its key."""
    if isinstance(value, str):
        if found := _CONTROL.search(value):
            yield key, found[0]
    elif isinstance(value, dict | list):
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _control_characters(child, (*key, name))


def _unkept(key: str, character: str) -> str:
    rule = "text without control characters, which Argo CD passes on as other text"
    return refusal(key, f"U+{ord(character):04X}", rule, "Remove the character.")


def _nearest(key: Key, document: Document) -> Key:
    """Return a key, or the key of the program for a key whose whole block is not in the file."""
    return next((each for each in (key, ("command",), ("args",)) if each[:1] in document.positions), key)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.path, problem.line, problem.column, problem.message))


def _written_key(message: str, document: Document) -> Key:
    """Return the key that a message of the chart (`key.path: got ...`) names, or its nearest parent in the file."""
    name = message.partition(": ")[0]
    written = (
        key for key in document.positions if key and f"{name}.".startswith((f"{dotted(key)}.", f"{dotted(key)}["))
    )
    return max(written, key=len, default=())
