"""What Argo CD checks out is what the review reads: each job file equals its blob, or the pull request is refused."""

import os
import subprocess
import unicodedata
from pathlib import Path

import pytest

from tests.unit.review.cases import FASTER, MERGED, NEW, OLD
from tests.unit.review.repositories import LINK, RUN, Case, Files, build
from tfd import kinds
from tfd.review.analysis.findings import Level
from tfd.review.analysis.pull_request import PullRequestReview, review_pull_request
from tfd.review.sources import git as git_source
from tfd.review.sources.checkout import FOLDERS, obstacles
from tfd.review.sources.git import GitError, Repository

CHART = kinds.RUN.chart
SUBMODULE = "submodule:"
# A line that ident changes, a line end that eol changes, and a quote in UTF-7.
SENSITIVE = FASTER + 'owner: "$Id$"\r\ndescription: "+ACI-"\n'
CHANGING = [
    "working-tree-encoding=UTF-7", "working-tree-encoding=UTF-16", "working-tree-encoding=UTF-32LE",
    "working-tree-encoding=latin-1", "working-tree-encoding=nonsense", "working-tree-encoding",
    "-working-tree-encoding", "ident", "eol=crlf", "text eol=crlf", "text=auto eol=crlf", "text=nonsense",
    "crlf=input", "crlf", "filter=lfs", "filter=anything", "filter", "export-ignore", "export-subst", "merge=union",
    "merge=ours", "anything", "text=auto ident",
]  # fmt: skip
HARMLESS = [
    "text", "-text", "text=auto", "text=auto eol=lf", "text eol=lf", "-crlf", "binary", "diff=yaml", "-diff", "-merge",
    "linguist-generated", "linguist-language=YAML", "whitespace=tab-in-indent", "-ident", "-filter", "-export-ignore",
    "conflict-marker-size=20", "!eol", "encoding=utf-8",
]  # fmt: skip


def add(folder: Path, branch: str, files: Files) -> Repository:
    """Commit files onto `main` as `branch`, without the attributes that they set; LINK makes a link."""
    environment = os.environ | {"GIT_INDEX_FILE": str(folder / ".git" / "hostile")}

    def run(*words: str, data: bytes = b"") -> str:
        command = ["git", "-C", folder, "-c", "user.name=Eve", "-c", "user.email=eve@example.com", *words]
        done = subprocess.run(command, input=data, capture_output=True, check=True, env=environment)
        return done.stdout.decode().strip()

    run("read-tree", "main")
    for path, content in files.items():
        text = content or ""
        mode = "120000" if text.startswith(LINK) else "160000" if text.startswith(SUBMODULE) else "100644"
        data = text.removeprefix(LINK).encode(errors="surrogateescape")
        blob = 40 * "1" if mode == "160000" else run("hash-object", "--no-filters", "-w", "--stdin", data=data)
        run("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}")
    made = run("commit-tree", "-p", "main", "-m", "hostile", run("write-tree"))
    run("update-ref", f"refs/heads/{branch}", made)
    return Repository(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one merged run, for all tests that only add branches."""
    return build(tmp_path_factory.mktemp("checkout") / "r", Case({}, MERGED)).folder


def review(folder: Path, branch: str = "head") -> PullRequestReview:
    return review_pull_request(Repository(folder), "main", branch, ())


def refused(found: PullRequestReview) -> set[str]:
    return {finding.path for finding in found.of_level(Level.REFUSED)}


def unfaithful(folder: Path, branch: str, to: Path) -> set[str]:
    """Check a branch out as Argo CD does and return the files that differ from their blobs."""
    subprocess.run(["git", "clone", "--quiet", "--branch", branch, folder, to], check=True, capture_output=True)
    entries = Repository(folder).entries(branch, *FOLDERS)
    blobs = Repository(folder).read(entry.blob for entry in entries.values())
    plain = [entry for entry in entries.values() if not (to / entry.path).is_symlink()]
    assert len(plain) > 10
    return {entry.path for entry in plain if (to / entry.path).read_bytes() != blobs[entry.blob]}


def with_attributes(attributes: list[str]) -> Files:
    """Return a job file for each attribute, which changes its bytes if any attribute does."""
    paths = {f"jobs/vision/run-{number}.yaml": each for number, each in enumerate(attributes)}
    lines = "".join(f"{path} {each}\n" for path, each in paths.items())
    return {".gitattributes": f"*.md diff\n{lines}", **dict.fromkeys(paths, SENSITIVE)}


def test_harmless_attributes_change_no_job_file_and_are_accepted(folder: Path, tmp_path: Path) -> None:
    repository = add(folder, "harmless", with_attributes(HARMLESS))
    assert obstacles(repository, "harmless") == []
    assert unfaithful(folder, "harmless", tmp_path / "clone") == set()


def test_attributes_that_change_a_job_file_are_found(folder: Path, tmp_path: Path) -> None:
    files = with_attributes(CHANGING)
    found = {each.path for each in obstacles(add(folder, "changing", files), "changing")}
    assert found == files.keys() - {".gitattributes"}
    valid = ["working-tree-encoding=UTF-7", "working-tree-encoding=UTF-16", "ident", "eol=crlf", "text=auto ident"]
    files = with_attributes(valid)
    add(folder, "valid", files)
    assert unfaithful(folder, "valid", tmp_path / "clone") == files.keys() - {".gitattributes"}


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({"jobs/vision/.gitattributes": "*.yaml working-tree-encoding=UTF-7\n"}, "jobs/vision/.gitattributes"),
        ({"jobs/vision/.gitattributes": ""}, "jobs/vision/.gitattributes"),
        ({"jobs/examples/.GitAttributes": ""}, "jobs/examples/.GitAttributes"),
        ({".gitattributes": "[attr]harmless ident\njobs/** harmless\n"}, OLD),
        ({"charts/.gitattributes": "values.yaml export-ignore\n"}, f"{CHART}/values.yaml"),
        ({"schema/.gitattributes": "* ident\n"}, "schema/review.schema.json"),
        ({".gitattributes": f"*.md diff={'x' * 3000}\n"}, ".gitattributes"),
        ({".gitattributes": f"{LINK}jobs/vision/digits-41.yaml"}, ".gitattributes"),
        ({"third_party/x": SUBMODULE}, "third_party/x"),
        ({".gitmodules": "[submodule \"x\"]\n"}, ".gitmodules"),
        ({"jobs/newteam": f"{LINK}vision"}, "jobs/newteam"),
        ({"jobs/vision/notes.md": f"{LINK}digits-41.yaml"}, "jobs/vision/notes.md"),
        ({f"{CHART}/templates/x.yaml": f"{LINK}../values.yaml"}, f"{CHART}/templates/x.yaml"),
        ({"schema/job.schema.json": f"{LINK}../review.yaml"}, "schema/job.schema.json"),
        ({"schema/other.json": f"{LINK}../charts/tf-distributed/values.schema.json"}, "schema/other.json"),
        ({"docs/up": f"{LINK}../../etc"}, "docs/up"),
        ({"docs/root": f"{LINK}/etc/passwd"}, "docs/root"),
        ({f"{CHART}/.argocd-source.yaml": "helm: {}\n"}, f"{CHART}/.argocd-source.yaml"),
        ({f"{CHART}/.argocd-source-vision-digits-41.yaml": ""}, f"{CHART}/.argocd-source-vision-digits-41.yaml"),
        ({f"{CHART}/kustomization.yaml": ""}, f"{CHART}/kustomization.yaml"),
        ({f"{CHART}/Kustomization": ""}, f"{CHART}/Kustomization"),
        ({f"{CHART}/VALUES.yaml": ""}, f"{CHART}/VALUES.yaml"),
        ({"jobs/Vision/notes.md": ""}, "jobs/Vision/notes.md"),
        ({"jobs/vision/x.yaml/notes.md": ""}, "jobs/vision/x.yaml/notes.md"),
        ({"jobs/vision/old/x.yaml/notes.md": ""}, "jobs/vision/old/x.yaml/notes.md"),
        ({"workbenches/vision/x.yaml/notes.md": ""}, "workbenches/vision/x.yaml/notes.md"),
        ({"jobs/vision/a\x1b[2J.md": ""}, "jobs/vision/a\x1b[2J.md"),
        ({"jobs/vision/a\u202e.md": ""}, "jobs/vision/a\u202e.md"),
        ({"jobs/vision/a\udcff.md": ""}, "jobs/vision/a\udcff.md"),
        ({"schema/" + unicodedata.normalize("NFD", "é.md"): ""}, "schema/" + unicodedata.normalize("NFD", "é.md")),
    ],
)  # fmt: skip
def test_what_stands_between_commit_and_checkout_is_found(files: Files, path: str, folder: Path) -> None:
    assert path in {each.path for each in obstacles(add(folder, "found", files), "found")}


def test_obstacle_is_refused_and_nobody_can_waive_it(folder: Path) -> None:
    files: Files = {"jobs/vision/.gitattributes": "*.yaml working-tree-encoding=UTF-7\n", NEW: SENSITIVE}
    add(folder, "refused", files)
    found = review(folder, "refused")
    assert found.exit_code == 1
    assert refused(found) == {*files, OLD}
    assert not [finding for finding in found.of_level(Level.REFUSED) if finding.rule or finding.waiver]


@pytest.mark.parametrize(
    "files",
    [
        {".gitattributes": "* text=auto eol=lf\n*.png binary\ndocs/** ident\n"},
        {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "docs/x.bin": "version https://git-lfs\n"},
        {"docs/.gitattributes": "* working-tree-encoding=UTF-7\n"},
        {"docs/link": f"{LINK}../README.md", "docs/deep/link": f"{LINK}../../jobs/vision/digits-41.yaml"},
        {"jobs/vision/notes.md": "words\n", "jobs/vision/.gitignore": "*.tmp\n"},
        {"jobs/vision/notes of é.md": "words\n"},
        {"jobs/vision/x.yaml.d/notes.md": "words\n", "docs/x.yaml/notes.md": "words\n"},
        {"docs/kustomization.yaml": ""},
    ],
)
def test_what_changes_no_checkout_is_accepted(files: Files, folder: Path) -> None:
    assert obstacles(add(folder, "accepted", files), "accepted") == []


def test_attribute_that_waits_on_the_base_for_a_file_refuses_that_file(tmp_path: Path) -> None:
    folder = build(tmp_path / "r", Case({}, {**MERGED, ".gitattributes": "jobs/vision/x* ident\n"})).folder
    assert review(folder).exit_code == 0
    add(folder, "head", {"jobs/vision/x1.yaml": SENSITIVE})
    assert refused(review(folder)) == {"jobs/vision/x1.yaml"}


def test_attribute_of_a_merged_job_file_makes_each_review_unable(tmp_path: Path) -> None:
    base = {**MERGED, ".gitattributes": "jobs/** ident\n", "docs/up": f"{LINK}../../etc"}
    found = review(build(tmp_path / "r", Case({"README.md": "words\n"}, base)).folder)
    assert {finding.path for finding in found.of_level(Level.UNKNOWN)} == {OLD}
    assert {finding.path for finding in found.of_level(Level.WARNING)} == {"docs/up"}
    assert found.exit_code == 2


def test_pull_request_that_removes_the_attribute_is_accepted(tmp_path: Path) -> None:
    base = {**MERGED, "jobs/vision/.gitattributes": "* ident\n"}
    assert review(build(tmp_path / "r", Case({"jobs/vision/.gitattributes": None}, base)).folder).exit_code == 0


def test_chart_is_read_whole_whatever_an_archive_leaves_out(tmp_path: Path) -> None:
    base: Files = {**MERGED, "charts/.gitattributes": "* export-ignore\n*.tpl export-subst\n"}
    repository = build(tmp_path / "r", Case({NEW: FASTER}, base, tagged=False))
    repository.export("main", CHART, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / CHART).iterdir()} >= {"Chart.yaml", "values.yaml", "templates"}
    assert not refused(review(repository.folder))


def test_tree_of_more_names_than_any_repository_has_cannot_be_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight trees, each of which contains the one before ten times, name a hundred million files."""
    monkeypatch.setattr(git_source, "MOST_OUTPUT", 1_000_000)
    folder = build(tmp_path / "r", Case({}, MERGED)).folder

    def made(*words: str, data: str = "") -> str:
        command = ["git", "-C", folder, "-c", "user.name=Eve", "-c", "user.email=eve@example.com", *words]
        return subprocess.run(command, input=data, capture_output=True, check=True, text=True).stdout.strip()

    kind, child = "100644 blob", made("hash-object", "-w", "--stdin", data=RUN)
    for _ in range(8):
        child = made("mktree", data="".join(f"{kind} {child}\tn{n}\n" for n in range(10)))
        kind = "040000 tree"
    made("update-ref", "refs/heads/head", made("commit-tree", "-p", "main", "-m", "bomb", child))
    with pytest.raises(GitError, match=r"git ls-tree: got a longer output; expected at most 1,000,000 bytes in 60 s\."):
        review(folder)
