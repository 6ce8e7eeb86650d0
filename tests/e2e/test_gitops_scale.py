"""Many job files at once."""

import time

from tests.e2e.gitops import GitOps
from tests.e2e.scale import argocd_memory, start_together
from tests.e2e.team import Team

FILES = 200


def test_200_job_files_start_from_one_commit(team: Team, gitops: GitOps) -> None:
    """One commit merges 200 suspended job files: Argo CD creates 200 Applications, each with its Job. Then one more job
    file is merged and starts. Times and the memory of the components of Argo CD are recorded."""
    gitops.install(team)
    values = gitops.values(state="suspended")
    start_together(gitops, team, {f"jobs/{team.name}/run-{number}.yaml": values for number in range(FILES)})
    pushed = gitops.merge(team, "one-more", values)
    gitops.healthy(team, "one-more", "Suspended")
    team.timings[f"push to one more after {FILES}"] = time.time() - pushed
    argocd_memory(team)
