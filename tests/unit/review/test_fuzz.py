"""No job file, name, tree or history ends a review or a check with an error of its own.

FUZZ sets the number of inputs, which are job files, paths and commits. `make fuzz` runs 100,000. Most job files are
refused before Helm, which takes a tenth of a second.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.unit.review.cases import MERGED, NEW, OLD
from tests.unit.review.fuzz_inputs import ATTRIBUTES, FILES, MODES, PATHS, many_files
from tests.unit.review.repositories import RUN, Case, build
from tfd.jobfile import helm_yaml
from tfd.jobfile.jobfile import JobFile, check, find
from tfd.review.analysis.argocd import emulate
from tfd.review.analysis.findings import Level
from tfd.review.analysis.history import Deleted, History
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.policy import Policy
from tfd.review.analysis.policy_file import load_rules
from tfd.review.analysis.pull_request import PullRequestReview, review_pull_request
from tfd.review.analysis.reviewer import RunReviewer
from tfd.review.output.comment import LIMIT, comment, lines
from tfd.review.output.json_report import as_json
from tfd.review.sources.charts import Charts
from tfd.review.sources.git import Entry, GitError, Repository
from tfd.review.sources.job_files import CommittedJobFile, Tree, job_of, read_tree
from tfd.review.sources.renderer import Renderer

INPUTS = int(os.environ.get("FUZZ", "300"))

# Some inputs are large on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


def fuzz(share: float, together: int) -> settings:
    """Return the settings of a test that takes a share of the inputs, some of them together in each example."""
    return settings(
        max_examples=max(2, int(INPUTS * share / together)),
        deadline=None,
        derandomize="FUZZ" not in os.environ,  # the same inputs in each run of the whole suite
        database=None,
        phases=[Phase.explicit, Phase.generate] + ([Phase.shrink] if "FUZZ" in os.environ else []),
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return build(tmp_path_factory.mktemp("fuzz") / "r", Case({}, MERGED))


def written(review: PullRequestReview) -> None:
    """Write the review in each format."""
    text = comment(review)
    assert len(text.encode(errors="surrogatepass")) <= LIMIT
    assert json.loads(json.dumps(as_json(review)))["exitCode"] == review.exit_code
    assert list(lines(review))


def job(number: int, data: bytes, team: str = "vision") -> CommittedJobFile:
    return job_of(Entry(f"jobs/{team}/new-{number}.yaml", "100644", f"{number}-{team}", len(data)), data)


@fuzz(0.7, 100)
@given(files=many_files(100), known=st.lists(FILES, max_size=2))
def test_job_files_do_not_end_a_review(files: list[bytes], known: list[bytes], repository: Repository) -> None:
    """The review of a pull request without git: all files of it, next to others on the base branch."""
    base = repository.commit("main")
    with tempfile.TemporaryDirectory() as folder:
        renderer = Renderer(Charts(repository, base, Path(folder, "charts")), Path(folder, "jobs"))
        merged = read_tree(repository, base).jobs
        merged |= {each.path: each for each in (job(number, data, "old") for number, data in enumerate(known))}
        base_tree = Tree(merged, {})
        added = [job(number, data) for number, data in enumerate(files) if len(data) <= helm_yaml.MAX_BYTES]
        merged_tree = Tree({**merged, **{each.path: each for each in added}}, {})
        history = History(renderer, list(merged.values()), None, added)
        rules = load_rules(repository, base)
        reviewer = RunReviewer(Merge(base, base_tree, merged_tree, renderer, Policy(rules, ()), history))
        runs = [reviewer.examine(each.path) for each in added]
        before = emulate(base_tree, rules.not_deployed, {})
        after = emulate(merged_tree, rules.not_deployed, before.generated)
        written(PullRequestReview(base, base, runs, [], before, after, [], []))


@fuzz(0.28, 100)
@given(files=many_files(100))
def test_job_files_do_not_end_a_check(files: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("check") / "vision"
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"n-{number}.yaml").write_bytes(data)
    for problem in check([JobFile(path) for path in find([folder])]):
        assert str(problem)
        assert json.dumps(problem.as_json())


Commit = dict[str, tuple[str, bytes]]
"""Mode and content of each file, by path."""
COMMITS = st.dictionaries(PATHS, st.tuples(MODES, FILES | ATTRIBUTES | st.just(b"vision")), min_size=1, max_size=10)
USUAL: Commit = {OLD: ("100644", RUN.encode())}


def committed(folder: Path, branch: str, start: str, commits: list[Commit]) -> bool:
    """Commit the files onto `start`, each time in place of all job files; return whether git takes the paths."""
    parts = [f"reset refs/heads/{branch}\nfrom {start}\n"]
    for files in commits:
        parts.append(f"commit refs/heads/{branch}\ncommitter Eve <eve@example.com> 1 +0000\ndata 1\nx\nD jobs\n")
        for path, (mode, data) in files.items():
            place = path.encode(errors="surrogatepass").decode("latin-1").replace("\\", "\\\\").replace('"', '\\"')
            if mode == "160000":
                parts.append(f'M {mode} {40 * "1"} "{place}"\n')
            else:
                parts.append(f'M {mode} inline "{place}"\ndata {len(data)}\n{data.decode("latin-1")}\n')
    command = ["git", "-C", folder, "fast-import", "--quiet", "--force"]
    data = "".join(parts).encode("latin-1")
    return subprocess.run(command, input=data, capture_output=True, check=False).returncode == 0


def reviewed(repository: Repository, base: str, head: str) -> None:
    """Review a branch. Git may be unable to merge it, but the review itself must not fail."""
    try:
        found = review_pull_request(repository, base, head, ())
    except GitError:
        return
    assert not [each for each in found.of_level(Level.UNKNOWN) if "The review itself failed" in str(each.message)]
    written(found)


# Names that are not UTF-8.
@example(files={"docs/\ud921.yaml": ("120000", b"x"), "jobs/vision/\ud921.yaml": ("100644", b"x: 1")}, attributes=b"")
@fuzz(0.01, 10)
@given(files=COMMITS, attributes=ATTRIBUTES)
def test_names_and_trees_do_not_end_a_review(files: Commit, attributes: bytes, repository: Repository) -> None:
    head: Commit = {".gitattributes": ("100644", attributes), **USUAL, **files}
    if committed(repository.folder, "tree", "refs/heads/main", [head]):
        reviewed(repository, "main", "tree")


@fuzz(0.01, 10)
@given(commits=st.lists(COMMITS, min_size=1, max_size=3), data=FILES)
def test_history_does_not_end_a_review(commits: list[Commit], data: bytes, repository: Repository) -> None:
    """The base branch once had all these job files; the pull request adds one that another commit had."""
    gone: Commit = {"jobs/vision/gone.yaml": ("100644", data)}
    old = [{path: file for path, file in each.items() if path.startswith("jobs/")} | gone for each in commits]
    if committed(repository.folder, "old", "refs/heads/main", [*old, USUAL]):
        assert "jobs/vision/gone.yaml" in Deleted(repository, "old").entries
        assert committed(repository.folder, "new", "refs/heads/old", [{**USUAL, NEW: ("100644", RUN.encode())}])
        reviewed(repository, "old", "new")
