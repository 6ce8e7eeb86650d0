"""Imports a manifest: reads it, converts it, and writes the job file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tfd.importing.context import Answers, Context
from tfd.importing.convert import convert
from tfd.importing.draft import Question
from tfd.importing.ledger import RefusedError
from tfd.importing.manifest import Manifest, UnreadableError, read
from tfd.importing.yaml_text import yaml_text
from tfd.jobfile.copy import JOBS, chart_version
from tfd.jobfile.schema import run_name_error, schema, schema_errors
from tfd.jobfile.writing import problems, write
from tfd.text import refusal, shown, visible

STDOUT = Path("-")
_FIRST = ("chartVersion", "strategy", "image", "command", "args", "workingDir", "env")
_TEAM = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True)
class Result:
    """An import: the job file and its path, what is left to do, and whether the file is written."""

    context: Context
    path: Path
    text: str
    problems: tuple[str, ...]
    """What the schema and the chart refuse, without the TODOs; the chart judges complete files only."""
    is_written: bool

    @property
    def questions(self) -> list[Question]:
        """The TODOs, in the order of the file."""
        order = list(self.context.draft.values)
        return sorted(self.context.draft.questions, key=lambda each: order.index(str(each.key[0])))

    @property
    def is_complete(self) -> bool:
        """Whether the file can be merged as it is."""
        return not self.questions and not self.problems


def import_manifest(
    text: str, answers: Answers, *, select: str = "", output: str = "", replace: bool = False
) -> Result:
    """Convert a manifest and write its job file.

    Args:
        text: the manifest.
        answers: what the manifest does not contain.
        select: name of the job, where the text has several.
        output: path of the job file, or `-` to write none; the default is jobs/TEAM/RUN.yaml.
        replace: replace an existing file.

    Raises:
        UnreadableError: the manifest cannot be imported; nothing is written.
        WriteError: the job file cannot be written.
        HelmError: Helm is missing.

    """
    manifest = read(text, select)
    try:
        context = Context(manifest, answers, _run(manifest, answers), _team(manifest, answers, output))
        path = Path(output) if output else JOBS / context.team / f"{context.run}.yaml"
        if path != STDOUT and path.exists() and not replace:
            raise UnreadableError(
                refusal(str(path), "an existing file", "a new file", "Set --run, or --force to replace it.")
            )
        convert(context)
    except RefusedError as error:
        where = manifest.document.position((*manifest.prefix, *error.key))
        raise UnreadableError(str(error), *where) from None
    result = _finished(context, path)
    if path != STDOUT:
        write(path, result.text, replace=replace)
    return result


def _run(manifest: Manifest, answers: Answers) -> str:
    """Return the name of the run: that of --run, else that of the manifest."""
    name = manifest.root.at("metadata", "name")
    if answers.run:
        if error := run_name_error(answers.run):
            raise UnreadableError(error.replace("release name", "--run", 1))
        return answers.run
    if name.value is None:
        field = manifest.root.at(
            "metadata", "generateName" if manifest.root.at("metadata", "generateName").value else "name"
        )
        rule = "a name: one job file is one run"
        raise field.refused(rule, "Name the run with --run.", shown(field.value) if field.value else "nothing")
    if run_name_error(name.text()):
        limit = schema()["$defs"]["runName"]
        raise name.refused(f"at most {limit['maxLength']} {limit['x-rule']}", "Name the run with --run.")
    return name.text()


def _team(manifest: Manifest, answers: Answers, output: str) -> str:
    """Return the team: that of --team, else the namespace of the manifest, else the folder of the output."""
    namespace = manifest.root.at("metadata", "namespace")
    team = answers.team or namespace.text() or (Path(output).resolve().parent.name if output not in ("", "-") else "")
    if not team and not output:
        rule = "the team of the run, which is its folder and its namespace"
        raise namespace.refused(rule, "Name the team with --team.", "nothing")
    if team and not _TEAM.fullmatch(team) and not output:
        fix = "Name the team with --team."
        raise UnreadableError(refusal("team", shown(team), "lower-case letters, digits and -", fix))
    return team


def _finished(context: Context, path: Path) -> Result:
    values = context.draft.values
    values["chartVersion"] = chart_version()
    order = dict.fromkeys([*_FIRST, *schema()["properties"], *values])
    context.draft.values = {name: values[name] for name in order if name in values}
    text = yaml_text(context.draft.values, context.draft.comments)
    source = f"{context.manifest.kind} {context.manifest.root.at('metadata', 'name').value or ''}".rstrip()
    text = f"# Imported from {visible(source)}.\n{text}"
    return Result(context, path, text, tuple(_problems(context, text)), path != STDOUT)


def _problems(context: Context, text: str) -> list[str]:
    """Return what `tfd check` would print about the file, without the TODOs."""
    if context.draft.questions:
        found = schema_errors(context.draft.values)
        return [refusal.message for refusal in found if not context.draft.is_open(refusal.key)]
    path = Path(context.team or "team") / f"{context.run}.yaml"
    return [problem.message for problem in problems(path, text)]
