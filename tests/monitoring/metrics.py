"""The names of the metrics that the trainer serves, and those in a query."""

import re
from functools import cache

from tests.conventions.repository import ROOT

PAGE = "docs/platform/metrics.md"


@cache
def metric_names() -> set[str]:
    """Return the names in the list of metrics; a test of the reference pages compares this list with the code."""
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(tf_distributed_\w+)`", page, flags=re.M))


def used_names(query: str) -> set[str]:
    """Return the names of metrics in a query that begin as those of the trainer do."""
    return set(re.findall(r"\btf_distributed_\w+", query))
