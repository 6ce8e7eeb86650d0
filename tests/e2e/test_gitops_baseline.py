"""The traps of Argo CD: the baseline settings have each of them, our settings avoid them.

The table of all traps is docs/decisions/0021-argo-cd-traps.md.
"""

import json
from collections.abc import Callable

from tests.e2e import baseline_argocd
from tests.e2e.gitops import NAMESPACE, GitOps, errors, synced
from tests.e2e.team import Team


def test_deleted_job_is_recreated(team: Team, gitops: GitOps) -> None:
    """The Jobs of three runs are deleted by hand. With selfHeal, Argo CD re-creates the Job at once. With `main` as the
    revision, the next commit to any file re-creates the Job. With our settings, the Job stays deleted."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    suspended = baseline_argocd.values(gitops, suspend=True)
    healing = {"automated": {"prune": True, "selfHeal": True}}
    baseline_argocd.apply(
        gitops, team, "heals", baseline_argocd.source(gitops, "heals", suspended, baseline_argocd.TAG), **healing
    )
    baseline_argocd.apply(gitops, team, "follows", baseline_argocd.source(gitops, "follows", suspended))
    gitops.merge(team, "ours", gitops.values(state="suspended"))
    runs = ("heals", "follows", "ours")
    for run in runs:
        gitops.healthy(team, run, "Suspended")
    before = {run: baseline_argocd.uid(team, run) for run in runs}
    team.kubectl("delete", "jobs", "--all", "--cascade=foreground")

    team.wait("the Job to be re-created", lambda: baseline_argocd.uid(team, "heals") not in ("", before["heals"]))
    for run in ("follows", "ours"):
        gitops.wait(team, run, "OutOfSync", lambda each: synced(each) == "OutOfSync")
        assert baseline_argocd.uid(team, run) == ""

    gitops.commit({"README.md": "something else"})
    gitops.wait_for_poll(team)
    team.wait(
        "the Job to be re-created", lambda: gitops.refresh(team, "follows") and baseline_argocd.uid(team, "follows")
    )
    assert baseline_argocd.uid(team, "follows") != before["follows"]
    gitops.refresh(team, "ours", "hard")
    assert baseline_argocd.uid(team, "ours") == ""


def test_job_with_ttl_is_repeated(team: Team, gitops: GitOps) -> None:
    """`ttlSecondsAfterFinished` deletes a finished Job, and selfHeal re-creates and runs the Job at least three times,
    without any commit."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    content = baseline_argocd.values(gitops, ttlSecondsAfterFinished=0)
    baseline_argocd.apply(gitops, team, "ttl", baseline_argocd.source(gitops, "ttl", content, baseline_argocd.TAG),
                automated={"prune": True, "selfHeal": True})  # fmt: skip

    def runs() -> int:
        completed = "reason=Completed,involvedObject.kind=Job"
        events = gitops.kube.get("-n", team.name, "events", "--field-selector", completed)["items"]
        return len({each["involvedObject"]["uid"] for each in events})

    team.wait("the third Job of this name to be done", lambda: runs() > 2)


def test_failed_sync_is_retried_by_an_unrelated_commit(team: Team, gitops: GitOps) -> None:
    """A quota refuses the Jobs of two runs until Argo CD stops its retries. Then the quota is deleted. A commit to
    another file starts the run whose revision is `main`, possibly days later. The run whose revision is a tag, like
    ours, stays failed until its own file changes."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    team.refuse_jobs()
    content = baseline_argocd.values(gitops, suspend=True)
    baseline_argocd.apply(gitops, team, "follows", baseline_argocd.source(gitops, "follows", content))
    baseline_argocd.apply(
        gitops, team, "tagged", baseline_argocd.source(gitops, "tagged", content, baseline_argocd.TAG)
    )
    for run in ("follows", "tagged"):
        application = gitops.wait(team, run, "failed", lambda each: "SyncError: " in errors(each))
        assert "exceeded quota" in errors(application)
    team.accept_jobs()
    gitops.refresh(team, "follows")
    assert baseline_argocd.uid(team, "follows") == ""

    gitops.commit({"README.md": "something else"})
    team.wait("the Job to be created", lambda: gitops.refresh(team, "follows") and baseline_argocd.uid(team, "follows"))
    assert "SyncError: " in errors(gitops.refresh(team, "tagged", "hard"))
    assert baseline_argocd.uid(team, "tagged") == ""
    baseline_argocd.apply(
        gitops, team, "tagged", baseline_argocd.source(gitops, "tagged", content | {"note": "now"}, baseline_argocd.TAG)
    )
    gitops.healthy(team, "tagged", "Suspended")


def test_revision_in_the_name_and_replace_do_not_change_a_job(team: Team, gitops: GitOps) -> None:
    """The name of a Job contains `.Release.Revision`, which is always 1. Therefore a changed template meets the old Job
    and is refused, also with Replace=true."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    for run, options in (("plain", ""), ("replaced", "Replace=true")):
        for command in ("true", "false"):
            content = baseline_argocd.values(gitops, command, options=options, suspend=True)
            baseline_argocd.apply(gitops, team, run, baseline_argocd.source(gitops, run, content))
            if command == "true":
                gitops.healthy(team, run, "Suspended")
        application = gitops.wait(team, run, "refused", lambda each: "SyncError: " in errors(each))
        assert "field is immutable" in errors(application), run
        assert team.objects(run, "jobs") == [f"Job/{run}-1"]


def test_force_replaces_an_unchanged_job(team: Team, gitops: GitOps) -> None:
    """With Force=true,Replace=true, a changed note in another object replaces the Job. With our settings, a changed
    description in the annotations of the Job keeps the Job."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    values = gitops.values(state="suspended")

    def change(note: str) -> None:
        content = baseline_argocd.values(gitops, note=note, options="Force=true,Replace=true", suspend=True)
        baseline_argocd.apply(gitops, team, "forced", baseline_argocd.source(gitops, "forced", content))
        gitops.merge(team, "ours", values | {"description": note})

    change("first")
    for run in ("forced", "ours"):
        gitops.healthy(team, run, "Suspended")
    before = {run: baseline_argocd.uid(team, run) for run in ("forced", "ours")}
    change("second")
    team.wait("a new Job", lambda: baseline_argocd.uid(team, "forced") not in ("", before["forced"]))

    def noted() -> bool:
        annotations = team.jobs("ours")["chief"]["metadata"]["annotations"]
        return bool(annotations["tf-distributed.github.io/description"] == "second")

    team.wait("the note in the Job", noted)
    assert baseline_argocd.uid(team, "ours") == before["ours"]


def test_shared_set_is_stopped_by_one_file(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """One team merges a file that is not valid YAML. With one ApplicationSet for all teams, no new run of any team
    starts. With our settings, the runs of the other team start."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    baseline_argocd.release(gitops)
    suspended = baseline_argocd.values(gitops, suspend=True)
    baseline_argocd.apply_set(gitops, one, "baseline/*/*.yaml", baseline_argocd.named())
    gitops.commit({f"baseline/{two.name}/before.yaml": suspended})
    gitops.healthy(two, "before", "Suspended")
    broken, ours = "storage: {claim", gitops.values(state="suspended")
    gitops.commit(
        {
            f"baseline/{one.name}/broken.yaml": broken,
            f"baseline/{two.name}/after.yaml": suspended,
            f"jobs/{one.name}/broken.yaml": broken,
            f"jobs/{two.name}/ours.yaml": ours,
        }
    )
    gitops.healthy(two, "ours", "Suspended")
    one.wait("the set to be stopped", lambda: "broken.yaml" in baseline_argocd.set_errors(gitops, one))
    assert gitops.names(two) == [f"{two.name}-before", f"{two.name}-ours"]


def test_duplicate_run_name_starts_neither_run(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """Two teams merge a run with the same name. A set that names Applications after the run alone creates neither. With
    our settings, both runs are created."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    baseline_argocd.release(gitops)
    run = f"{one.name}-same"
    baseline_argocd.apply_set(gitops, one, "baseline/*/*.yaml", '{{ trimSuffix ".yaml" .path.filename }}')
    files = {f"baseline/{team.name}/{run}.yaml": baseline_argocd.values(gitops, suspend=True) for team in (one, two)}
    gitops.commit(files | {f"jobs/{team.name}/same.yaml": gitops.values(state="suspended") for team in (one, two)})
    one.wait(
        "the set to report the duplicate", lambda: f"duplicate name: {run}" in baseline_argocd.set_errors(gitops, one)
    )
    for team in (one, two):
        gitops.healthy(team, "same", "Suspended")
        assert gitops.names(team) == [f"{team.name}-same"]
        assert team.objects(run, "jobs") == []


def test_files_in_subfolders_are_runs(team: Team, gitops: GitOps) -> None:
    """A file in a subfolder of the team is a run for the usual pattern, but not with our settings."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    baseline_argocd.apply_set(gitops, team, f"baseline/{team.name}/*.yaml", f"{team.name}-below", syncPolicy={})
    gitops.commit(
        {
            f"baseline/{team.name}/archive/old.yaml": baseline_argocd.values(gitops, suspend=True),
            f"jobs/{team.name}/archive/old.yaml": gitops.values(state="suspended"),
        }
    )
    gitops.wait(team, "below", "created", lambda each: True)
    gitops.merge(team, "ours", gitops.values(state="suspended"))
    gitops.healthy(team, "ours", "Suspended")
    assert gitops.names(team) == [f"{team.name}-below", f"{team.name}-ours"]


def test_path_key_is_overwritten_by_the_generator(team: Team, gitops: GitOps) -> None:
    """The key `path` of a job file is lost: a set that passes all parameters on gives the chart the `path` of the
    generator. Our settings pass no `path`."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    baseline_argocd.apply_set(
        gitops, team, f"baseline/{team.name}/*.yaml", baseline_argocd.named(team.name), syncPolicy={}
    )
    keys = {"path": "mine"}
    ours = gitops.values(state="suspended") | keys
    gitops.commit({f"baseline/{team.name}/baseline.yaml": keys, f"jobs/{team.name}/ours.yaml": ours})
    values = {}
    for run in ("baseline", "ours"):
        application = gitops.wait(team, run, "created", lambda each: True)
        values[run] = json.loads(application["spec"]["source"]["helm"]["values"])
    assert values["baseline"]["path"]["filename"] == "baseline.yaml"
    assert values["ours"] == {key: value for key, value in ours.items() if key != "path"}


def test_job_file_and_chart_cannot_come_from_two_commits(team: Team, gitops: GitOps) -> None:
    """Argo CD refuses the chart from a tag together with `$values` from main of the same repository. A file of
    `valueFiles` does not exist yet in the commit of the chart, and a path outside the repository is refused. Our
    settings pass the values inline."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    gitops.commit({"baseline/later.yaml": baseline_argocd.values(gitops, suspend=True)})
    sources = {
        "$values/baseline/later.yaml": "cannot reference a different revision of the same repository",
        "/baseline/later.yaml": "no such file or directory",
        "../../../../etc/hostname": "outside repository root",
    }
    reference = {"repoURL": gitops.repository.url, "targetRevision": "main", "ref": "values"}
    for number, (file, message) in enumerate(sources.items()):
        chart = baseline_argocd.source(gitops, f"run-{number}", {}, baseline_argocd.TAG, valueFiles=[file])
        baseline_argocd.apply(gitops, team, f"run-{number}", chart, *([reference] if "$values" in file else []))
        application = gitops.wait(team, f"run-{number}", "refused", lambda each: "ComparisonError: " in errors(each))
        assert message in errors(application), file
    gitops.merge(team, "ours", gitops.values(state="suspended"))
    gitops.healthy(team, "ours", "Suspended")


def test_helm_version_setting_is_ignored(team: Team, gitops: GitOps) -> None:
    """Argo CD renders an Application that requests Helm 3 with Helm 4."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    content = baseline_argocd.values(gitops, suspend=True)
    baseline_argocd.apply(gitops, team, "third", baseline_argocd.source(gitops, "third", content, version="v3"))
    gitops.healthy(team, "third", "Suspended")
    assert gitops.kube.get("-n", team.name, "configmap", "third")["data"]["helm"].startswith("v4.")


def test_renamed_file_ends_the_run_and_starts_a_new_one(team: Team, gitops: GitOps) -> None:
    """A job file is renamed: its pod is killed, and a new run starts under the new name, at step 0."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    baseline_argocd.apply_set(gitops, team, f"baseline/{team.name}/*.yaml", baseline_argocd.named(team.name))
    content = baseline_argocd.values(gitops, "sleep 1000")
    gitops.commit({f"baseline/{team.name}/old.yaml": content})
    team.pod("old", "chief-0")
    gitops.commit({f"baseline/{team.name}/old.yaml": None, f"baseline/{team.name}/new.yaml": content})
    team.pod("new", "chief-0")
    team.wait("the old run to be deleted", lambda: not team.objects("old", "jobs,pods"))


def test_edit_of_a_set_ends_all_its_runs(team: Team, gitops: GitOps) -> None:
    """The pattern of a baseline set is edited and matches nothing: all of its runs are deleted. Our set is deleted with
    --cascade=orphan, as argocd/README.md describes, and applied again: its run is unchanged."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    baseline_argocd.apply_set(gitops, team, f"baseline/{team.name}/*.yaml", baseline_argocd.named(team.name))
    content = baseline_argocd.values(gitops, suspend=True)
    gitops.commit({f"baseline/{team.name}/{run}.yaml": content for run in ("a", "b")})
    gitops.merge(team, "ours", gitops.values(state="suspended"))
    for run in ("a", "b", "ours"):
        gitops.healthy(team, run, "Suspended")
    before = baseline_argocd.uid(team, "ours")
    baseline_argocd.apply_set(gitops, team, f"baseline/{team.name}/*.yml", baseline_argocd.named(team.name))
    team.wait("all Jobs to be deleted", lambda: not team.objects("a", "jobs") and not team.objects("b", "jobs"))

    mine = ("applicationset", f"runs-{team.name}")
    gitops.kube.kubectl("-n", NAMESPACE, "delete", *mine, "--cascade=orphan")
    gitops.install(team)
    gitops.wait_for_poll(team)
    assert baseline_argocd.uid(team, "ours") == before


def test_second_wave_waits_for_the_end_of_a_job(team: Team, gitops: GitOps) -> None:
    """Argo CD does not apply a sync wave while a Job of an earlier wave runs. Parameter servers in wave 0 would wait
    indefinitely for workers in wave 1. Our settings have one wave."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    baseline_argocd.apply(
        gitops,
        team,
        "waves",
        baseline_argocd.source(gitops, "waves", baseline_argocd.values(gitops, "sleep 1000", wave=1)),
    )
    team.pod("waves", "chief-0")

    def waits(application: object) -> bool:
        return "waiting for healthy state of batch/Job/waves-1" in json.dumps(application)

    gitops.wait(team, "waves", "waiting", waits)
    assert team.kubectl("get", "configmap", "waves", "--ignore-not-found") == ""


def test_file_chooses_its_own_project(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """With a set that takes project and namespace from the file, a file of one team runs in the project of another. Our
    settings take both from the folder, and the chart refuses the keys."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    baseline_argocd.release(gitops)
    content = baseline_argocd.values(gitops, suspend=True)
    destination = {"server": "https://kubernetes.default.svc", "namespace": "{{ .project }}"}
    templated = {"project": "{{ .project }}", "destination": destination}
    baseline_argocd.apply_set(gitops, one, f"baseline/{one.name}/*.yaml", f"{one.name}-baseline", **templated)
    claim = {"project": two.name}
    gitops.commit(
        {
            f"baseline/{one.name}/baseline.yaml": content | claim,
            f"jobs/{one.name}/ours.yaml": gitops.values(state="suspended") | claim,
        }
    )
    two.wait("the Job of one team in the namespace of the other", lambda: two.objects("baseline", "jobs"))
    application = gitops.wait(one, "ours", "refused", lambda each: "ComparisonError: " in errors(each))
    assert application["spec"]["project"] == one.name
    assert "project" in errors(application)
    assert two.objects("ours", "jobs") == []
