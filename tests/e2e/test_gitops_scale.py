"""Many job files at once."""

import time
from pathlib import Path

from devcluster import argocd, control
from tests.e2e.gitops import GitOps
from tests.e2e.team import Team

FILES = 200


def memory(component: str) -> float:
    """Return the resident memory of a component of Argo CD in MiB."""
    outer = control.NAMESPACES.running(component)
    [pid] = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    [line] = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def test_200_job_files_start_from_one_commit(team: Team, gitops: GitOps) -> None:
    """One commit merges 200 suspended job files: Argo CD creates 200 Applications, each with its Job. Then one more job
    file is merged and starts. Times and the memory of the components of Argo CD are recorded."""
    gitops.install(team)
    values = gitops.values(state="suspended")
    pushed = gitops.commit({f"jobs/{team.name}/run-{number}.yaml": values for number in range(FILES)})
    team.wait("all Applications", lambda: len(gitops.names(team)) == FILES, 600)
    team.timings[f"push to {FILES} Applications"] = time.time() - pushed

    def jobs() -> int:
        return len(team.kube.kubectl("-n", team.name, "get", "jobs", "-o", "name").split())

    team.wait("all Jobs", lambda: jobs() == FILES, 600)
    team.timings[f"push to {FILES} Jobs"] = time.time() - pushed
    pushed = gitops.merge(team, "one-more", values)
    gitops.healthy(team, "one-more", "Suspended")
    team.timings[f"push to one more after {FILES}"] = time.time() - pushed
    for component in argocd.COMPONENTS:
        team.timings[f"MiB of {component}"] = memory(component)
