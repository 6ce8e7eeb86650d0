"""What lies between the file that was reviewed and the file that Argo CD reads."""

import json
from pathlib import Path

from devcluster.repository import chart_version
from tests.e2e.gitops import GitOps
from tests.e2e.kube import Object
from tests.e2e.team import Team
from tests.e2e.test_gitops_emulated import review
from tfd.jobfile import helm_yaml

OTHER = "registry.example.com/other:latest"
# A checkout in UTF-7 writes a quotation mark as `+ACI-`. So the string of the blob becomes keys of the checkout.
BLOB = """chartVersion: {version}
image: {image}
state: suspended
storage:
  claim: runs
description: "Baseline, as agreed.
image: {other}
owner: Ada"
"""


def test_git_attributes_change_what_argo_cd_reads_and_are_refused(team: Team, gitops: GitOps, tmp_path: Path) -> None:
    """Without a .gitattributes file, Argo CD reads the blob of a job file. With one that sets another encoding, Argo CD
    reads another image than the blob has, and the review refuses the file."""
    gitops.install(team)
    blob = BLOB.format(version=chart_version(), image=gitops.kube.images["trainer"], other=OTHER)
    gitops.merge(team, "plain", blob)

    def read(run: str) -> Object:
        return dict(json.loads(gitops.application(team, run)["spec"]["source"]["helm"]["values"]))

    gitops.wait(team, "plain", "read", lambda application: "source" in application["spec"])
    assert read("plain") == helm_yaml.load(blob).value
    assert OTHER in read("plain")["description"]

    base = gitops.repository.git("rev-parse", "HEAD")
    attributes, hidden = f"jobs/{team.name}/.gitattributes", f"jobs/{team.name}/hidden.yaml"
    gitops.commit({attributes: "*.yaml working-tree-encoding=UTF-7\n"})
    # `git add` would convert the file.
    (tmp_path / "blob").write_text(blob)
    written = gitops.repository.git("hash-object", "-w", "--no-filters", str(tmp_path / "blob"))
    gitops.repository.git("update-index", "--add", "--cacheinfo", f"100644,{written},{hidden}")
    gitops.repository.git("commit", "--quiet", "-m", "hidden")
    gitops.repository.push()
    gitops.wait(team, "hidden", "read", lambda application: "source" in application["spec"])
    assert read("hidden")["image"] == OTHER
    found = review(gitops.repository.clone, base)
    assert found["exitCode"] == 1
    assert attributes in [each["path"] for each in found["findings"] if each["level"] == "refused"]
