"""Writes the review as one Markdown comment: headline first, long parts collapsed, within GitHub's size limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tfd.kinds import KINDS, WORKBENCH
from tfd.review.analysis.actions import Action
from tfd.review.analysis.findings import Finding, Level
from tfd.review.analysis.key_changes import KeyChange
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.run_review import RunReview
from tfd.review.analysis.run_rights import ENTRY_POINT
from tfd.review.output import details, judges, queue, rights, sweeps, workbenches
from tfd.review.output.markdown import code, folded, prose, table
from tfd.review.output.redaction import Redactor
from tfd.review.output.shown import Shown
from tfd.review.output.summary import effect, headline, mark, table_row, training
from tfd.review.sources.quantities import ratio
from tfd.text import dotted, visible

MARKER = "<!-- tfd review -->"
"""First line of the comment; the next review replaces the comment that begins with it."""
LIMIT = 65_536
_NOTE = 4000  # Size of the headline, of the list of what is not shown, and of the list of omitted parts.
_MOST_CUTS = 5
_MARKS = {Level.REFUSED: "❌", Level.UNKNOWN: "❔", Level.WARNING: "⚠️", Level.WAIVED: "✅"}
_COLUMNS = ("effect", "tasks", "GPUs", "CPUs", "memory", "max. duration", "GPU-hours")


@dataclass(frozen=True)
class _Caps:
    """How many of each are shown."""

    findings: int
    rows: int
    runs: int
    keys: int


_CAPS = (_Caps(40, 60, 15, 30), _Caps(20, 30, 4, 20), _Caps(5, 5, 0, 0))


def comment(review: PullRequestReview) -> str:
    """Return the review comment, of at most LIMIT bytes."""
    redactor = Redactor.of(review)
    most = LIMIT - _NOTE - _size(judges.line(review, redactor))
    for caps in _CAPS:
        shown = Shown()
        text = "\n\n".join(_essentials(review, redactor, shown, caps))
        if _size(text) <= most * 2 // 3:
            break
    if _size(text) > most:
        shown.cut("the end of this card")
        while _size(text) > most:  # What matters comes first.
            text = text.rpartition("\n")[0]
    folds, omitted = "", []
    for title, body, matters in details.of_review(review, redactor, shown):
        part = f"\n\n{folded(title, body)}"
        if _size(text) + _size(folds) + _size(part) <= most:
            folds += part
        else:
            omitted.append(title)
            if matters:
                shown.cut("rendered objects")
    names = "; ".join(omitted[:3]) + (f" and {len(omitted) - 3} more" if len(omitted) > 3 else "")  # noqa: PLR2004
    if omitted:
        folds += f"\n\nOmitted to fit GitHub's comment limit: {names}. Run `tfd review --format json` to see them."
    return f"{_head(review, redactor, shown)}{text}{folds}\n"


def failure(error: Exception) -> str:
    """Return the review comment for a merge that an error makes impossible to judge."""
    return f"{MARKER}\n### ❔ Cannot judge the effect of this merge\n\n{prose(Redactor().hide(str(error)), 1000)}"


def _head(review: PullRequestReview, redactor: Redactor, shown: Shown) -> str:
    """Return the headline and the lines that no size of a pull request cuts."""
    judged = judges.line(review, redactor)
    cuts = list(shown)
    hidden = f"⚠️ Not shown in full: {'; '.join(cuts[:_MOST_CUTS])}{'; and more' * (len(cuts) > _MOST_CUTS)}."
    warnings = [text for text in (judged, hidden if cuts else "") if text]
    title = f"{MARKER}\n### {mark(review, warned=bool(warnings))} {redactor.message(headline(review))}"
    return "\n\n".join([title, *warnings, ""])


def _essentials(review: PullRequestReview, redactor: Redactor, shown: Shown, caps: _Caps) -> Iterator[str]:
    if taken := list(rights.lines(review, redactor, shown)):
        yield "\n".join(taken)
    yield from _findings(review, redactor, caps)
    runs = sorted(review.runs, key=rights.rank)
    if runs:
        rows = [[redactor.code(run.name), effect(run), *table_row(run)] for run in runs[: caps.rows]]
        yield table(_columns(runs), rows) + _more(len(runs), caps.rows, "run")
    for group in sweeps.grouped(runs)[: caps.runs]:
        run = group[0]
        if len(group) > 1:
            yield sweeps.heading(group)
            yield from _sweep(group, redactor, shown, caps)
        elif parts := list(_details(run, redactor, shown, caps)):
            yield f"#### {redactor.code(run.name)} {effect(run)}"
            yield from parts
    if paths := judges.others(review):
        yield f"Other changes, without an effect on runs: {_paths(paths, 'file', redactor)}."
    yield f"<sub>{review.head[:12]} into {review.base[:12]}</sub>"


def _columns(runs: list[RunReview]) -> tuple[str, ...]:
    nouns = dict.fromkeys(kind.noun for kind in KINDS if any(run.kind is kind for run in runs))
    return (" or ".join(nouns), *_COLUMNS)


def _findings(review: PullRequestReview, redactor: Redactor, caps: _Caps) -> Iterator[str]:
    """Yield the list of findings, the most severe first, with equal ones as one item."""
    findings, secret = review.all_findings, {run.path for run in review.runs if run.secrets}
    order = list(_MARKS)
    ranked = sorted(findings, key=lambda each: (order.index(each.level), each.path, each.line, each.column))
    items: dict[tuple[object, ...], list[Finding]] = {}
    for finding in ranked:
        own = (finding.path, finding.line, finding.column) if finding.suggestion or finding.fix else ()
        key = (finding.level, str(finding.message), finding.rule, finding.waiver, own)
        items.setdefault(key, []).append(finding)
    lines: list[str] = []
    shown_fixes: set[tuple[str, str]] = set()
    for same in list(items.values())[: caps.findings]:
        finding = same[0]
        places = _paths(list(dict.fromkeys(_place(each) for each in same)), "place", redactor)
        lines.append(f"- {_MARKS[finding.level]} {places}: {redactor.message(finding.message)}{_waiver(finding)}")
        # A line of a file with a secret may have the secret in a form that is not recognized.
        if finding.suggestion and finding.path not in secret:
            suggestion = redactor.block(finding.suggestion.text, "suggestion")
            lines.append(_indented(f"Replace line {finding.suggestion.line} with:\n{suggestion}"))
        if finding.fix and (finding.path, finding.fix) not in shown_fixes:
            shown_fixes.add((finding.path, finding.fix))
            lines.append(_indented(redactor.block(finding.fix, "sh")))
    if lines:
        yield "\n".join(lines) + _more(len(items), caps.findings, "finding")


def _place(finding: Finding) -> str:
    return f"{finding.path}:{finding.line}:{finding.column}" if finding.line > 1 else finding.path


def _paths(paths: list[str], noun: str, redactor: Redactor) -> str:
    most = 5
    more = len(paths) - most
    some = ", ".join(redactor.code(path) for path in paths[:most])
    return f"{some} and {more:,} more {noun}{'s'[: more != 1]}" if more > 0 else some


def _waiver(finding: Finding) -> str:
    if not finding.rule:
        return ""
    names = " or ".join(code(name) for name in finding.waiver)
    if finding.level is Level.WAIVED:
        return f" (rule `{finding.rule}`, waived by {names})"
    return f" (rule `{finding.rule}`; an approval by {names} waives it)" if names else f" (rule `{finding.rule}`)"


def _details(run: RunReview, redactor: Redactor, shown: Shown, caps: _Caps) -> Iterator[str]:
    if run.merged_rendering is None or run.merged is None:
        return
    if run.keys:
        free = run.action is Action.CHECKED
        rows = [
            [*_change(change, redactor), change.kind if free else f"{change.kind}: {_policy(run, change)}"]
            for change in run.keys
        ]
        columns = ["key", "base", "merged", "ratio", "change policy"]
        yield table(columns, rows[: caps.keys]) + _more(len(rows), caps.keys, "key")
    elif run.base is None:
        facts = (
            workbenches.facts(run, redactor, shown)
            if run.kind is WORKBENCH
            else _facts(run, redactor, shown, size=training(run))
        )
        yield "\n".join(f"- {line}" for line in facts)
    yield from _differences(run, run.differences, redactor, caps)
    yield from _queue(run, redactor)


def _policy(run: RunReview, change: KeyChange) -> str:
    return workbenches.policy(change) if run.kind is WORKBENCH else change.policy


def _sweep(runs: list[RunReview], redactor: Redactor, shown: Shown, caps: _Caps) -> Iterator[str]:
    facts = [list(_facts(run, redactor, shown, size="")) for run in runs]
    yield "\n".join(f"- {line}" for line in facts[0] if all(line in each for each in facts))
    yield from _differences(runs[0], sweeps.others(runs[0]), redactor, caps)
    yield sweeps.rows(runs, redactor, caps.rows) + _more(len(runs), caps.rows, "run")
    yield from _queue(runs[0], redactor)


def _queue(run: RunReview, redactor: Redactor) -> Iterator[str]:
    if run.queue and rights.rank(run) < len(rights.RANKS):
        yield from queue.parts(run.queue, redactor)


def _differences(run: RunReview, changes: list[KeyChange], redactor: Redactor, caps: _Caps) -> Iterator[str]:
    if run.nearest and run.merged and changes:
        columns = ["key", redactor.code(run.nearest.run), redactor.code(run.merged.run), "ratio"]
        rows = [_change(change, redactor) for change in changes]
        yield table(columns, rows[: caps.keys]) + _more(len(rows), caps.keys, "key")


def _facts(run: RunReview, redactor: Redactor, shown: Shown, *, size: str) -> Iterator[str]:
    """Yield the facts about a new run, one line each. `size` is how much it trains."""
    assert run.merged_rendering is not None  # noqa: S101
    assert run.merged is not None  # noqa: S101
    identity = run.merged_rendering.record["identity"]
    mounted = identity["storage"].get("at")
    [(kind, place)] = ((key, value) for key, value in identity["storage"].items() if key != "at")
    words = [identity["strategy"], size]
    if identity["command"] is not None or identity["args"]:
        program = ["python -m trainer"] if identity["command"] is None else identity["command"] or [ENTRY_POINT]
        words.append(shown.value(" ".join([*program, *(identity["args"] or [])]), redactor, "a command"))
    else:
        words.append(f"task {redactor.code(identity['trainer']['task'])}")
    yield ", ".join(filter(None, words))
    yield ", ".join(
        f"{dotted(image.key) or image.where} {shown.value(image.value, redactor, 'an image')}"
        for image in (run.rights.images if run.rights else ())
    )
    if run.rights and run.rights.queues:
        yield f"waits in queue {redactor.code(run.rights.queues[0].value)} until all of its tasks fit into the quota"
    parent = identity["warmStartFrom"]
    start = f"warm start from the newest checkpoint of {redactor.code(parent)}" if parent else "starts from scratch"
    where = f" at {redactor.code(mounted)}" if mounted else ""
    yield f"storage {kind} {redactor.code(place)}{where}, {start}"
    for name in ("owner", "description"):
        if run.merged.values.get(name):
            yield f"{name} {shown.value(run.merged.values[name], redactor, f'the {name}', words=True)}"
    if run.nearest:
        path = redactor.code(run.nearest.path)
        yield f"{'differs from' if run.differences else 'same training as'} the nearest earlier run, {path}"


def _change(change: KeyChange, redactor: Redactor) -> list[str]:
    base, merged = redactor.code(change.base), redactor.code(change.merged)
    return [redactor.code(dotted(change.key)), base, merged, ratio(change.base, change.merged) or "n/a"]


def _more(count: int, shown: int, noun: str) -> str:
    return f"\n\n... and {count - shown:,} more {noun}{'s'[: count - shown != 1]}" if count > shown else ""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _size(text: str) -> int:
    return len(text.encode())


def lines(review: PullRequestReview) -> Iterable[str]:
    """Yield the review for a terminal: headline, findings as FILE:LINE:COLUMN: MESSAGE, and runs."""
    redactor = Redactor.of(review)
    yield redactor.text(str(headline(review)))
    for finding in review.all_findings:
        level = "" if finding.level is Level.REFUSED else f"{finding.level.value}: "
        path = visible(redactor.text(finding.path), ascii_only=True)
        yield f"{path}:{finding.line}:{finding.column}: {level}{redactor.text(str(finding.message))}"
        if finding.fix:
            yield f"  {redactor.text(finding.fix)}"
    for run in sorted(review.runs, key=rights.rank):
        if run.merged_rendering or run.base_rendering:
            tasks, gpus, cpus, memory, hours, gpu_hours = table_row(run)
            costs = f"{gpus} GPUs, {cpus} CPUs, {memory}, max. duration {hours}, {gpu_hours} GPU-hours"
            yield f"{redactor.text(run.name)} {effect(run)}: {tasks}; {costs}"
            if run.queue:
                yield f"  {redactor.text(str(queue.outlook(run.queue)))}"
