"""At most once: Argo CD never trains a finished run again, and unrelated commits never stop an active run."""

import json

from devcluster.repository import chart_version
from tests.e2e.conftest import REFUSED
from tests.e2e.gitops import GitOps, errors, health, synced
from tests.e2e.kube import Object
from tests.e2e.team import Team


def identity(team: Team, run: str) -> Object:
    """Return the UIDs of the Jobs and pods of a run."""
    jobs = {role: each["metadata"]["uid"] for role, each in team.jobs(run).items()}
    return {"jobs": jobs, "pods": sorted(each["metadata"]["uid"] for each in team.pods(run))}


def test_unrelated_commits_leave_runs_unchanged(team: Team, gitops: GitOps) -> None:
    """An active and a finished run keep their Jobs and pods after five changes. These are a commit to another file,
    another job file, a changed chart on main, a new release and an edited ApplicationSet. A run that is created
    afterwards uses the new release."""
    gitops.install(team)
    gitops.merge(team, "finished", gitops.values(steps=50))
    gitops.healthy(team, "finished")
    gitops.merge(team, "running", gitops.values(steps=100_000))
    team.after_step("running", 50)
    before = [identity(team, run) for run in ("finished", "running")]

    gitops.commit({"README.md": "something else"})
    gitops.merge(team, "other", gitops.values(state="suspended"))
    chart = "charts/tf-distributed"
    yaml = (gitops.repository.clone / chart / "Chart.yaml").read_text().replace(chart_version(), "0.99.0")
    job = (gitops.repository.clone / chart / "templates" / "_pod.tpl").read_text()
    changed = job.replace("restartPolicy: Never", "restartPolicy: Never\n  priority: 0")
    assert changed != job
    gitops.commit({f"{chart}/Chart.yaml": yaml, f"{chart}/templates/_pod.tpl": changed})
    gitops.repository.tag("0.99.0")
    gitops.merge(team, "new", gitops.values(state="suspended") | {"chartVersion": "0.99.0"})
    gitops.install(team, pollSeconds=2)
    gitops.healthy(team, "new", "Suspended")
    gitops.wait_for_poll(team)

    assert [identity(team, run) for run in ("finished", "running")] == before
    labels = {run: team.jobs(run)["chief"]["metadata"]["labels"]["helm.sh/chart"] for run in ("running", "new")}
    assert labels == {"running": f"tf-distributed-{chart_version()}", "new": "tf-distributed-0.99.0"}


def test_deleted_job_of_a_done_run_trains_nothing(team: Team, gitops: GitOps) -> None:
    """The Job of a finished run is deleted by hand: commits to other files do not re-create the Job. A commit to the
    job file of the run does; the task finds the DONE marker, exits with 0 and trains nothing."""
    run, values = "again", gitops.values(steps=100)
    gitops.install(team)
    gitops.merge(team, run, values)
    gitops.healthy(team, run)
    first = team.done(run)
    team.kubectl("delete", f"job/{run}-chief", "--cascade=foreground")
    gitops.wait(team, run, "OutOfSync", lambda each: synced(each) == "OutOfSync")
    gitops.commit({"README.md": "something else"})
    gitops.wait_for_poll(team)
    gitops.refresh(team, run, "hard")
    assert team.jobs(run) == {}

    gitops.merge(team, run, values | {"description": "read again"})
    gitops.healthy(team, run)
    assert team.end(run).codes == {"chief-0": [0]}
    assert "was done already" in team.log(run, "chief-0")
    assert "training from" not in team.log(run, "chief-0")
    assert team.done(run) == first


def test_forced_identity_edit_changes_nothing(team: Team, gitops: GitOps) -> None:
    """Identity and immutable keys of an active run are changed on main without a review. No Job, pod or run record
    changes, not even those that the new strategy lacks. Argo CD names the object and the rule. After a revert, the
    Application is Synced again, and the run was never stopped."""
    run = "forced"
    values = gitops.values("ParameterServer", steps=100_000)
    small = values["worker"]
    gitops.install(team)
    gitops.merge(team, run, values)
    team.after_step(run, 20)
    before = identity(team, run)
    more = {"resources": {"requests": {"cpu": "60m", "memory": "256Mi"}}}
    edits: dict[str, tuple[Object, str]] = {
        "strategy": (gitops.values("OneDevice", steps=100_000), "ConfigMap"),
        "replicas": (values | {"worker": small | {"replicas": 1}}, "ConfigMap"),
        "immutable": (values | {"worker": more}, "field is immutable"),
    }
    for name, (edited, message) in edits.items():
        gitops.merge(team, run, edited)
        application = gitops.wait(team, run, f"refused ({name})", lambda each: "ComparisonError" in errors(each))
        assert message in errors(application), name
        assert "immutable" in errors(application), name
        assert identity(team, run) == before, name
        gitops.merge(team, run, values)
        gitops.wait(team, run, "Synced again", lambda each: synced(each) == "Synced" and not errors_now(each))
    assert identity(team, run) == before
    assert health(gitops.application(team, run)) == "Progressing"


def errors_now(application: Object) -> list[str]:
    return [each["type"] for each in application["status"].get("conditions", []) if each["type"].endswith("Error")]


def test_failed_sync_is_not_retried_by_unrelated_commits(refused: tuple[Team, GitOps]) -> None:
    """A quota refuses the Job of a run until Argo CD stops its retries. The quota is deleted: no commit to another file
    starts the run later, but a commit to the job file of the run does."""
    team, gitops = refused

    def failed(application: Object) -> bool:
        return "SyncError" in json.dumps(application["status"].get("conditions", []))

    application = gitops.wait(team, REFUSED, "failed", failed, 400)
    assert "exceeded quota" in errors(application)
    team.accept_jobs()
    gitops.commit({"README.md": "something else"})
    gitops.wait_for_poll(team)
    assert team.jobs(REFUSED) == {}
    gitops.merge(team, REFUSED, gitops.values(steps=50, description="now"))
    gitops.healthy(team, REFUSED)
    assert team.done(REFUSED)["step"] == 50
