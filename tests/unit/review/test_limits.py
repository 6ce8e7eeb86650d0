"""A review comment never exceeds GitHub's limit, and lists the parts that it omits."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.review.cases import FASTER, MERGED
from tests.unit.review.repositories import Case, changed, review_of
from tests.unit.review.test_markdown import TEXT
from tfd.review.analysis.actions import Action
from tfd.review.analysis.argocd import Emulation
from tfd.review.analysis.findings import Finding, Level, Message, Suggestion, Value
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.run_review import RunReview
from tfd.review.output.comment import LIMIT, MARKER, comment

LONG = st.builds(lambda text, times: text * times, TEXT, st.integers(1, 3000))
FINDINGS = st.builds(
    Finding,
    st.sampled_from(Level),
    LONG,
    st.builds(lambda text, value: Message((text, Value(value))), LONG, LONG),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.sampled_from(["", "imageDigest"]),
    st.sampled_from(["", "tfd new vision/a --from vision/b"]),
    st.none() | st.builds(Suggestion, st.integers(1, 99), TEXT),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FINDINGS, max_size=8), st.integers(1, 200), st.lists(LONG, max_size=8))
def test_comment_on_any_pull_request_fits(findings: list[Finding], times: int, paths: list[str]) -> None:
    runs = [RunReview(path, Action.UNREADABLE, findings=list(findings)) for path in paths * times]
    empty = Emulation({}, [])
    paths *= times
    text = comment(PullRequestReview(40 * "a", 40 * "b", runs, findings * times, empty, empty, paths, paths))
    assert len(text.encode(errors="surrogatepass")) <= LIMIT
    assert text.startswith(f"{MARKER}\n### ")
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.slow
def test_comment_on_62_new_runs_fits_and_lists_the_omitted_parts(tmp_path: Path) -> None:
    head: dict[str, str | None] = {
        f"jobs/vision/run-{n}.yaml": changed(FASTER, ("60000", f"{n + 1}")) for n in range(62)
    }
    text = comment(review_of(tmp_path / "r", Case(head, MERGED)))
    assert len(text.encode()) <= LIMIT
    assert "\n\n... and 2 more runs\n" in text
    assert "Omitted to fit GitHub's comment limit: Rendered objects of vision/run-" in text
    assert text.count("<details>") == text.count("</details>") > 1
