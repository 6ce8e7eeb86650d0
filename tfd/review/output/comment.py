"""The review as one Markdown comment: the verdict first, what is long folded, never more than GitHub takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tfd.review.analysis.actions import Action
from tfd.review.analysis.findings import Finding, Level
from tfd.review.analysis.key_changes import KeyChange
from tfd.review.analysis.policy import images
from tfd.review.analysis.review import Review
from tfd.review.analysis.run_review import RunReview
from tfd.review.output import details
from tfd.review.output.markdown import block, code, folded, table
from tfd.review.output.redaction import Ink
from tfd.review.output.summary import cells, does, training, verdict
from tfd.review.sources.quantities import ratio
from tfd.text import dotted

MARKER = "<!-- tfd review -->"
"""The comment that begins with it is the one to replace."""
LIMIT = 65_536
_NOTE = 400  # what the list of left-out parts takes
_LONGEST_MESSAGE = 500
_LONG_DIGEST = re.compile("(?<=@sha256:[0-9a-f]{12})[0-9a-f]+")
_MARKS = {Level.REFUSED: "❌", Level.UNKNOWN: "❔", Level.WAIVED: "✅", Level.WARNING: "⚠️"}


@dataclass(frozen=True)
class _Caps:
    """How many of each are shown."""

    findings: int
    rows: int
    runs: int
    keys: int


_CAPS = (_Caps(40, 60, 15, 30), _Caps(20, 30, 4, 20), _Caps(5, 5, 0, 0))


def card(review: Review) -> str:
    """Return the comment, of at most LIMIT bytes and so characters."""
    ink = Ink(tuple(sorted({secret for run in review.runs for secret in run.secrets})))
    for caps in _CAPS:
        text = "\n\n".join(_essentials(review, ink, caps))
        if _size(text) <= LIMIT // 2:
            break
    left_out = []
    for title, body in details.of_review(review, ink):
        part = f"\n\n{folded(title, body)}"
        if _size(text) + _size(part) + _NOTE <= LIMIT:
            text += part
        else:
            left_out.append(title)
    if left_out:
        named = "; ".join(left_out[:3]) + (f" and {len(left_out) - 3} more" if len(left_out) > 3 else "")  # noqa: PLR2004
        text += (
            f"\n\nLeft out, because a comment has an end: {named}. `tfd review` shows all of it with `--format json`."
        )
    return f"{text}\n"


def _essentials(review: Review, ink: Ink, caps: _Caps) -> Iterator[str]:
    mark = {0: "✅", 1: "❌", 2: "❔"}[review.exit_code]
    yield f"{MARKER}\n### {mark} {verdict(review)}"
    yield from _findings(review.all_findings, ink, caps)
    if review.runs:
        head = ["run", "merging", "tasks", "GPUs", "CPUs", "memory", "at most", "GPU-hours"]
        rows = [[code(run.name), does(run), *cells(run)] for run in review.runs[: caps.rows]]
        yield table(head, rows) + _more(len(review.runs), caps.rows, "run")
    for run in review.runs[: caps.runs]:
        if lines := list(_details(run, ink, caps)):
            yield f"#### {code(run.name)} {does(run)}"
            yield from lines
    if review.other_paths:
        shown = ", ".join(code(path) for path in review.other_paths[:5])
        yield f"Also changed, without effect on any run: {shown}{_more(len(review.other_paths), 5, 'file')}"
    yield f"<sub>{review.head[:12]} into {review.base[:12]}; chart and rules are those of the base branch</sub>"


def _findings(findings: list[Finding], ink: Ink, caps: _Caps) -> Iterator[str]:
    order = list(_MARKS)
    ranked = sorted(findings, key=lambda each: (order.index(each.level), each.path, each.line, each.column))
    lines: list[str] = []
    mended: set[tuple[str, str]] = set()
    for finding in ranked[: caps.findings]:
        place = f"{finding.path}:{finding.line}:{finding.column}" if finding.line > 1 else finding.path
        text = f"{_MARKS[finding.level]} {code(place)} {code(ink.text(finding.message), _LONGEST_MESSAGE)}"
        lines.append(f"- {text}{_waiver(finding)}")
        if finding.suggestion:
            lines.append(_indented(f"Line {finding.suggestion.line} could be:\n{_suggestion(finding, ink)}"))
        if finding.mend and (finding.path, finding.mend) not in mended:
            mended.add((finding.path, finding.mend))
            lines.append(_indented(block(finding.mend, "sh")))
    if lines:
        yield "\n".join(lines) + _more(len(ranked), caps.findings, "finding")


def _suggestion(finding: Finding, ink: Ink) -> str:
    return ink.block(finding.suggestion.text if finding.suggestion else "", "suggestion")


def _waiver(finding: Finding) -> str:
    if not finding.rule:
        return ""
    names = " or ".join(code(name) for name in finding.waiver)
    if finding.level is Level.WAIVED:
        return f" (rule {finding.rule}, waived by {names})"
    return f" (rule {finding.rule}; an approval of {names} waives it)" if names else f" (rule {finding.rule})"


def _details(run: RunReview, ink: Ink, caps: _Caps) -> Iterator[str]:
    if run.now is None or run.after is None:
        return
    if run.keys:
        head = ["key", "before", "after", "", "class: what Kubernetes says"]
        free = run.action is Action.CHECKED
        rows = [
            [*_change(change, ink), change.kind if free else f"{change.kind}: {change.rule}"] for change in run.keys
        ]
        yield table(head, rows[: caps.keys]) + _more(len(rows), caps.keys, "key")
    elif run.before is None:
        yield "\n".join(f"- {line}" for line in _facts(run, ink))
    if run.nearest:
        head = ["key", code(run.nearest.run), code(run.after.run), ""]
        rows = [_change(change, ink) for change in run.differences]
        if rows:
            yield table(head, rows[: caps.keys]) + _more(len(rows), caps.keys, "key")


def _facts(run: RunReview, ink: Ink) -> Iterator[str]:
    """Yield what to know of a new run, a line each."""
    assert run.now is not None  # noqa: S101
    assert run.after is not None  # noqa: S101
    identity = run.now.record["identity"]
    [(kind, place)] = identity["storage"].items()
    if run.after.board:
        yield f"a board: one TensorBoard over all runs of the storage {kind} {ink.code(place)}"
        return
    words = [identity["strategy"], training(run)]
    if identity["command"] or identity["args"]:
        words.append(ink.code(" ".join([*(identity["command"] or ["python -m trainer"]), *(identity["args"] or [])])))
    else:
        words.append(f"task {ink.code(identity['trainer']['task'])}")
    yield ", ".join(filter(None, words))
    # Twelve digits tell digests apart; all of them are in the table of differences and in the rendered objects.
    yield ", ".join(
        f"{dotted(key)} {ink.code(_LONG_DIGEST.sub('…', image))}" for key, image in images(run.after, run.now)
    )
    parent = identity["warmStartFrom"]
    start = f"starts from the newest checkpoint of {ink.code(parent)}" if parent else ""
    yield ", ".join(filter(None, [f"storage {kind} {ink.code(place)}", start or "starts from scratch"]))
    if noted := [ink.code(run.after.values[name]) for name in ("owner", "description") if run.after.values.get(name)]:
        yield ", ".join(noted)
    if run.nearest:
        many = f"differs from {code(run.nearest.path)}, the nearest earlier run, in:"
        yield many if run.differences else f"trains what {code(run.nearest.path)} trains, the nearest earlier run"


def _change(change: KeyChange, ink: Ink) -> list[str]:
    return [
        code(dotted(change.key)),
        ink.code(change.before),
        ink.code(change.after),
        ratio(change.before, change.after),
    ]


def _more(count: int, shown: int, noun: str) -> str:
    return f"\n\n... and {count - shown:,} more {noun}{'s'[: count - shown != 1]}" if count > shown else ""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _size(text: str) -> int:
    return len(text.encode())


def lines(review: Review) -> Iterable[str]:
    """Yield the review for a terminal: the verdict, the findings as FILE:LINE:COLUMN: MESSAGE, the runs."""
    ink = Ink(tuple(secret for run in review.runs for secret in run.secrets))
    yield verdict(review)
    for finding in review.all_findings:
        level = "" if finding.level is Level.REFUSED else f"{finding.level.value}: "
        yield f"{finding.path}:{finding.line}:{finding.column}: {level}{ink.text(finding.message)}"
        if finding.mend:
            yield f"  {finding.mend}"
    for run in review.runs:
        if not run.now and not run.was:
            continue
        tasks, gpus, cpus, memory, hours, gpu_hours = cells(run)
        yield f"{run.name} {does(run)}: {tasks}; {gpus} GPUs, {cpus} CPUs, {memory}, {hours}, {gpu_hours} GPU-hours"
