"""What a merged run must keep: its final keys, and its file while it is active."""

from __future__ import annotations

from collections.abc import Iterator

from tfd.review.analysis import fixes
from tfd.review.analysis.findings import Finding, Level, sentence
from tfd.review.analysis.key_changes import FINAL, UNSET
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.run_review import RunReview
from tfd.review.sources.job_files import CommittedJobFile
from tfd.text import dotted, shown


def final_keys(run: RunReview, base: CommittedJobFile, merged: CommittedJobFile, merge: Merge) -> Iterator[Finding]:
    """Yield the changed keys that must not change in a merged run."""
    if run.base_rendering is None or run.merged_rendering is None:
        return
    before, after = run.base_rendering.immutable, run.merged_rendering.immutable
    same = all(before[name] == after[name] for name in before.keys() & after.keys())
    if same and "archived" not in (base.state, merged.state):
        return
    taken = {job.run for tree in (merge.base_tree, merge.merged_tree) for job in tree.jobs.values()}
    for change in run.keys:
        if change.kind in FINAL:
            line, column = merged.document.position(change.key) if merged.document else (1, 1)
            message = sentence(
                f"{{}}: got {{}}; expected {{}}, the {change.kind} value of the merged run. "
                "Copy the job file to a new run and restore this one.",
                dotted(change.key), _as_written(change.merged), _as_written(change.base),
            )  # fmt: skip
            fix = fixes.copy_command(base, merge.base_commit, taken)
            yield Finding(Level.REFUSED, run.path, message, line, column, fix=fix)


def deletion(base: CommittedJobFile, merge: Merge) -> Iterator[Finding]:
    """Yield a finding if the deletion of a job file ends an active run."""
    if base.state == "active":
        message = sentence(
            "got a deletion, which ends all pods of an active run; expected a suspended or archived run. "
            "Restore the file and merge {} or {} before you delete it.",
            "state: suspended", "state: archived",
        )  # fmt: skip
        fix = f"git checkout {merge.base_commit[:12]} -- {base.path}"
        yield Finding(Level.REFUSED, base.path, message, fix=fix)


def _as_written(value: object) -> str:
    return "nothing" if value == UNSET else shown(value)
