"""At most once, whatever Argo CD does: nothing done trains again, nothing that runs is stopped by another's commit."""

import json

from devcluster.repository import chart_version
from tests.e2e.gitops import GitOps, errors, health, synced
from tests.e2e.kube import Object
from tests.e2e.team import Team


def identity(team: Team, run: str) -> Object:
    """What tells a run's Jobs and pods from others of the same name."""
    jobs = {role: each["metadata"]["uid"] for role, each in team.jobs(run).items()}
    return {"jobs": jobs, "pods": sorted(each["metadata"]["uid"] for each in team.pods(run))}


def test_others_commits_leave_runs_alone(team: Team, gitops: GitOps) -> None:
    """A commit elsewhere, another run's file, a changed chart on main, a new release, an edited ApplicationSet: a
    running and a finished run keep their Jobs and pods; a run that is made afterwards uses the new release."""
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
    gitops.seen_commit(team)

    assert [identity(team, run) for run in ("finished", "running")] == before
    labels = {run: team.jobs(run)["chief"]["metadata"]["labels"]["helm.sh/chart"] for run in ("running", "new")}
    assert labels == {"running": f"tf-distributed-{chart_version()}", "new": "tf-distributed-0.99.0"}


def test_finished_job_deleted(team: Team, gitops: GitOps) -> None:
    """The Job of a finished run is deleted by hand: commits elsewhere make no new one. A commit to its own file does;
    it finds DONE, ends with 0 within seconds and trains nothing."""
    run, values = "again", gitops.values(steps=100)
    gitops.install(team)
    gitops.merge(team, run, values)
    gitops.healthy(team, run)
    first = team.done(run)
    team.kubectl("delete", f"job/{run}-chief", "--cascade=foreground")
    gitops.wait(team, run, "OutOfSync", lambda each: synced(each) == "OutOfSync")
    gitops.commit({"README.md": "something else"})
    gitops.seen_commit(team)
    gitops.look(team, run, "hard")
    assert team.jobs(run) == {}

    gitops.merge(team, run, values | {"description": "read again"})
    gitops.healthy(team, run)
    assert team.end(run).codes == {"chief-0": [0]}
    assert "was done already" in team.log(run, "chief-0")
    assert "training from" not in team.log(run, "chief-0")
    assert team.done(run) == first


def test_identity_edit_by_force(team: Team, gitops: GitOps) -> None:
    """Identity and immutable keys of a running run are changed on main, past the review: no Job, no pod, no record is
    touched, also not those that the new strategy has no more; Argo CD names the object and the rule. Put back, all is
    Synced again, and the run never stopped."""
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
    for name, (edited, said) in edits.items():
        gitops.merge(team, run, edited)
        application = gitops.wait(team, run, f"refused ({name})", lambda each: "ComparisonError" in errors(each))
        assert said in errors(application), name
        assert "immutable" in errors(application), name
        assert identity(team, run) == before, name
        gitops.merge(team, run, values)
        gitops.wait(team, run, "Synced again", lambda each: synced(each) == "Synced" and not errors_now(each))
    assert identity(team, run) == before
    assert health(gitops.application(team, run)) == "Progressing"


def errors_now(application: Object) -> list[str]:
    return [each["type"] for each in application["status"].get("conditions", []) if each["type"].endswith("Error")]


def test_a_failed_sync_does_not_come_back_by_itself(team: Team, gitops: GitOps) -> None:
    """The cluster refuses a run's Job (a quota of Jobs) until Argo CD has given up. The quota is lifted: no commit to
    another file starts the run days later; one to its own does."""
    run, values = "refused", gitops.values(steps=50)
    gitops.install(team)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "jobs", "namespace": team.name}}
    gitops.kube.apply(quota | {"spec": {"hard": {"count/jobs.batch": "0"}}})
    gitops.merge(team, run, values)

    def gave_up(application: Object) -> bool:
        return "SyncError" in json.dumps(application["status"].get("conditions", []))

    application = gitops.wait(team, run, "given up", gave_up, 400)
    assert "exceeded quota" in errors(application)
    team.kubectl("delete", "resourcequota", "jobs")
    gitops.commit({"README.md": "something else"})
    gitops.seen_commit(team)
    assert team.jobs(run) == {}
    gitops.merge(team, run, values | {"description": "now"})
    gitops.healthy(team, run)
    assert team.done(run)["step"] == 50
