"""Writes a review, or the reason why there is none, in the format that the user asked for."""

from __future__ import annotations

import json

from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.output.comment import MARKER, comment, lines
from tfd.review.output.json_report import as_json
from tfd.review.output.markdown import prose, visible


def of_review(review: PullRequestReview, style: str) -> str:
    """Return the review as `text`, `markdown` or `json`."""
    if style == "markdown":
        return comment(review)
    if style == "json":
        return f"{json.dumps(as_json(review), indent=1)}\n"
    return "".join(f"{visible(line)}\n" for line in lines(review))


def of_failure(error: str, style: str, exit_code: int) -> str:
    """Return the report of a merge that cannot be judged; for `text`, nothing, because the error stream has it."""
    if style == "markdown":
        return f"{MARKER}\n### ❔ Cannot judge the effect of this merge\n\n{prose(error, 1000)}\n"
    if style == "json":
        return f"{json.dumps({'exitCode': exit_code, 'headline': error}, indent=1)}\n"
    return ""
