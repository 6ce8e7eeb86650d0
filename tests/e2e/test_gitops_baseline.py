"""The traps of Argo CD that ours go round: what one would set up at first steps into each, beside ours that does not.

The table of all is docs/decisions/0021-argo-cd-traps.md.
"""

import json
from collections.abc import Callable

from tests.e2e import baseline_argocd
from tests.e2e.gitops import NAMESPACE, GitOps, errors, synced
from tests.e2e.team import Team


def test_deleted_job_comes_back(team: Team, gitops: GitOps) -> None:
    """The Job of three runs is deleted by hand. With selfHeal it is back at once; with `main` as the revision at the
    next commit to any file; ours stays deleted after that commit, too."""
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

    team.wait("the Job to be made anew", lambda: baseline_argocd.uid(team, "heals") not in ("", before["heals"]))
    for run in ("follows", "ours"):
        gitops.wait(team, run, "OutOfSync", lambda each: synced(each) == "OutOfSync")
        assert baseline_argocd.uid(team, run) == ""

    gitops.commit({"README.md": "something else"})
    gitops.seen_commit(team)
    team.wait("the Job to be made anew", lambda: gitops.look(team, "follows") and baseline_argocd.uid(team, "follows"))
    assert baseline_argocd.uid(team, "follows") != before["follows"]
    gitops.look(team, "ours", "hard")
    assert baseline_argocd.uid(team, "ours") == ""


def test_job_with_ttl_runs_again_and_again(team: Team, gitops: GitOps) -> None:
    """A finished Job that its `ttlSecondsAfterFinished` deletes is made and run again by selfHeal, three times and
    more, and nobody has committed anything."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    content = baseline_argocd.values(gitops, ttlSecondsAfterFinished=0)
    baseline_argocd.apply(gitops, team, "ttl", baseline_argocd.source(gitops, "ttl", content, baseline_argocd.TAG),
                automated={"prune": True, "selfHeal": True})  # fmt: skip

    def runs() -> int:
        completed = "reason=Completed,involvedObject.kind=Job"
        events = gitops.kube.get("-n", team.name, "events", "--field-selector", completed)["items"]
        return len({each["involvedObject"]["uid"] for each in events})

    team.wait("the third Job of the name to be done", lambda: runs() > 2)


def test_failed_sync_comes_back(team: Team, gitops: GitOps) -> None:
    """The cluster refuses the Jobs of two runs (a quota), Argo CD gives up, the quota is lifted. A commit to another
    file starts the one whose revision is `main`, days later it may be; the one whose revision is a tag, as ours, stays
    failed until it is changed itself."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "jobs", "namespace": team.name}}
    gitops.kube.apply(quota | {"spec": {"hard": {"count/jobs.batch": "0"}}})
    content = baseline_argocd.values(gitops, suspend=True)
    baseline_argocd.apply(gitops, team, "follows", baseline_argocd.source(gitops, "follows", content))
    baseline_argocd.apply(
        gitops, team, "tagged", baseline_argocd.source(gitops, "tagged", content, baseline_argocd.TAG)
    )
    for run in ("follows", "tagged"):
        application = gitops.wait(team, run, "given up", lambda each: "SyncError: " in errors(each))
        assert "exceeded quota" in errors(application)
    team.kubectl("delete", "resourcequota", "jobs")
    gitops.look(team, "follows")
    assert baseline_argocd.uid(team, "follows") == ""

    gitops.commit({"README.md": "something else"})
    team.wait("the Job to be made", lambda: gitops.look(team, "follows") and baseline_argocd.uid(team, "follows"))
    assert "SyncError: " in errors(gitops.look(team, "tagged", "hard"))
    assert baseline_argocd.uid(team, "tagged") == ""
    baseline_argocd.apply(
        gitops, team, "tagged", baseline_argocd.source(gitops, "tagged", content | {"note": "now"}, baseline_argocd.TAG)
    )
    gitops.healthy(team, "tagged", "Suspended")


def test_name_by_revision_and_replace_do_not_change_a_job(team: Team, gitops: GitOps) -> None:
    """A Job called by `.Release.Revision` keeps the number 1, so a changed template meets the old Job and is refused,
    with Replace=true as well."""
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
    """With Force=true,Replace=true a note beside the Job is changed, and the Job is another; the note of ours is
    changed, in the Job's own annotations, and it is the same one."""
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
    team.wait("another Job", lambda: baseline_argocd.uid(team, "forced") not in ("", before["forced"]))

    def noted() -> bool:
        annotations = team.jobs("ours")["chief"]["metadata"]["annotations"]
        return bool(annotations["tf-distributed.github.io/description"] == "second")

    team.wait("the note in the Job", noted)
    assert baseline_argocd.uid(team, "ours") == before["ours"]


def test_one_set_for_all_teams_is_stopped_by_one_file(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """One team merges a file that is no YAML: of one ApplicationSet for all teams no new run of any team starts; of
    ours the other team's does."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    baseline_argocd.release(gitops)
    suspended = baseline_argocd.values(gitops, suspend=True)
    baseline_argocd.apply_set(gitops, one, "naive/*/*.yaml", baseline_argocd.named())
    gitops.commit({f"naive/{two.name}/before.yaml": suspended})
    gitops.healthy(two, "before", "Suspended")
    broken, ours = "storage: {claim", gitops.values(state="suspended")
    gitops.commit(
        {
            f"naive/{one.name}/broken.yaml": broken,
            f"naive/{two.name}/after.yaml": suspended,
            f"jobs/{one.name}/broken.yaml": broken,
            f"jobs/{two.name}/ours.yaml": ours,
        }
    )
    gitops.healthy(two, "ours", "Suspended")
    one.wait("the set to be stopped", lambda: "broken.yaml" in baseline_argocd.set_errors(gitops, one))
    assert gitops.names(two) == [f"{two.name}-before", f"{two.name}-ours"]


def test_two_files_of_one_name_start_neither(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """Two teams merge a run of the same name: of a set that calls Applications by the run alone neither is made; of
    ours both are."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    baseline_argocd.release(gitops)
    run = f"{one.name}-same"
    baseline_argocd.apply_set(gitops, one, "naive/*/*.yaml", '{{ trimSuffix ".yaml" .path.filename }}')
    files = {f"naive/{team.name}/{run}.yaml": baseline_argocd.values(gitops, suspend=True) for team in (one, two)}
    gitops.commit(files | {f"jobs/{team.name}/same.yaml": gitops.values(state="suspended") for team in (one, two)})
    one.wait("the set to say so", lambda: f"duplicate name: {run}" in baseline_argocd.set_errors(gitops, one))
    for team in (one, two):
        gitops.healthy(team, "same", "Suspended")
        assert gitops.names(team) == [f"{team.name}-same"]
        assert team.objects(run, "jobs") == []


def test_files_of_folders_below_are_runs(team: Team, gitops: GitOps) -> None:
    """A file in a folder below the team's is a run to the usual pattern, and nobody's to ours."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    baseline_argocd.apply_set(gitops, team, f"naive/{team.name}/*.yaml", f"{team.name}-below", syncPolicy={})
    gitops.commit(
        {
            f"naive/{team.name}/archive/old.yaml": baseline_argocd.values(gitops, suspend=True),
            f"jobs/{team.name}/archive/old.yaml": gitops.values(state="suspended"),
        }
    )
    gitops.wait(team, "below", "there", lambda each: True)
    gitops.merge(team, "ours", gitops.values(state="suspended"))
    gitops.healthy(team, "ours", "Suspended")
    assert gitops.names(team) == [f"{team.name}-below", f"{team.name}-ours"]


def test_key_called_path_is_the_generator_s(team: Team, gitops: GitOps) -> None:
    """A file's own key `path` is lost: whoever passes all parameters on gives the chart the generator's, ours none."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    baseline_argocd.apply_set(
        gitops, team, f"naive/{team.name}/*.yaml", baseline_argocd.named(team.name), syncPolicy={}
    )
    mine = {"path": "mine"}
    ours = gitops.values(state="suspended") | mine
    gitops.commit({f"naive/{team.name}/naive.yaml": mine, f"jobs/{team.name}/ours.yaml": ours})
    values = {}
    for run in ("naive", "ours"):
        application = gitops.wait(team, run, "there", lambda each: True)
        values[run] = json.loads(application["spec"]["source"]["helm"]["values"])
    assert values["naive"]["path"]["filename"] == "naive.yaml"
    assert values["ours"] == {key: value for key, value in ours.items() if key != "path"}


def test_values_file_and_chart_can_not_be_of_two_commits(team: Team, gitops: GitOps) -> None:
    """The chart at its tag and the job file from main, as `$values` of the same repository: refused. As a file of the
    chart's own commit it is not there, and outside of the repository nothing is read. Ours brings the values along."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    gitops.commit({"naive/later.yaml": baseline_argocd.values(gitops, suspend=True)})
    sources = {
        "$values/naive/later.yaml": "cannot reference a different revision of the same repository",
        "/naive/later.yaml": "no such file or directory",
        "../../../../etc/hostname": "outside repository root",
    }
    reference = {"repoURL": gitops.repository.url, "targetRevision": "main", "ref": "values"}
    for number, (file, said) in enumerate(sources.items()):
        chart = baseline_argocd.source(gitops, f"run-{number}", {}, baseline_argocd.TAG, valueFiles=[file])
        baseline_argocd.apply(gitops, team, f"run-{number}", chart, *([reference] if "$values" in file else []))
        application = gitops.wait(team, f"run-{number}", "refused", lambda each: "ComparisonError: " in errors(each))
        assert said in errors(application), file
    gitops.merge(team, "ours", gitops.values(state="suspended"))
    gitops.healthy(team, "ours", "Suspended")


def test_version_of_helm_is_not_what_one_asks_for(team: Team, gitops: GitOps) -> None:
    """An Application that asks for Helm 3 is rendered by Helm 4."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    content = baseline_argocd.values(gitops, suspend=True)
    baseline_argocd.apply(gitops, team, "third", baseline_argocd.source(gitops, "third", content, version="v3"))
    gitops.healthy(team, "third", "Suspended")
    assert gitops.kube.get("-n", team.name, "configmap", "third")["data"]["helm"].startswith("v4.")


def test_renamed_file_ends_the_run_and_starts_another(team: Team, gitops: GitOps) -> None:
    """A file is renamed: its running pod is killed and another one starts under the new name, at step 0."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    baseline_argocd.apply_set(gitops, team, f"naive/{team.name}/*.yaml", baseline_argocd.named(team.name))
    content = baseline_argocd.values(gitops, "sleep 1000")
    gitops.commit({f"naive/{team.name}/old.yaml": content})
    team.pod("old", "chief-0")
    gitops.commit({f"naive/{team.name}/old.yaml": None, f"naive/{team.name}/new.yaml": content})
    team.pod("new", "chief-0")
    team.wait("the old run to be gone", lambda: not team.objects("old", "jobs,pods"))


def test_edit_of_a_set_ends_all_its_runs(team: Team, gitops: GitOps) -> None:
    """The pattern of a naive set is edited and finds nothing any more: all its runs are deleted. Ours is deleted as the
    README says, --cascade=orphan, and applied anew: its run is the same one."""
    gitops.install(team)
    baseline_argocd.release(gitops)
    baseline_argocd.apply_set(gitops, team, f"naive/{team.name}/*.yaml", baseline_argocd.named(team.name))
    content = baseline_argocd.values(gitops, suspend=True)
    gitops.commit({f"naive/{team.name}/{run}.yaml": content for run in ("a", "b")})
    gitops.merge(team, "ours", gitops.values(state="suspended"))
    for run in ("a", "b", "ours"):
        gitops.healthy(team, run, "Suspended")
    before = baseline_argocd.uid(team, "ours")
    baseline_argocd.apply_set(gitops, team, f"naive/{team.name}/*.yml", baseline_argocd.named(team.name))
    team.wait("all of it to be gone", lambda: not team.objects("a", "jobs") and not team.objects("b", "jobs"))

    mine = ("applicationset", f"runs-{team.name}")
    gitops.kube.kubectl("-n", NAMESPACE, "delete", *mine, "--cascade=orphan")
    gitops.install(team)
    gitops.seen_commit(team)
    assert baseline_argocd.uid(team, "ours") == before


def test_second_wave_waits_for_the_end_of_a_job(team: Team, gitops: GitOps) -> None:
    """What is in the wave after a Job is not applied while the Job runs: parameter servers in wave 0 would wait for
    workers in wave 1 for ever. Ours has one wave."""
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


def test_file_names_its_own_project(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """A set that takes project and namespace from the file: a file of one team runs as the other. Ours takes them from
    the folder, and the chart refuses the keys."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    baseline_argocd.release(gitops)
    content = baseline_argocd.values(gitops, suspend=True)
    destination = {"server": "https://kubernetes.default.svc", "namespace": "{{ .project }}"}
    templated = {"project": "{{ .project }}", "destination": destination}
    baseline_argocd.apply_set(gitops, one, f"naive/{one.name}/*.yaml", f"{one.name}-naive", **templated)
    claim = {"project": two.name}
    gitops.commit(
        {
            f"naive/{one.name}/naive.yaml": content | claim,
            f"jobs/{one.name}/ours.yaml": gitops.values(state="suspended") | claim,
        }
    )
    two.wait("the Job of the one in the namespace of the other", lambda: two.objects("naive", "jobs"))
    application = gitops.wait(one, "ours", "refused", lambda each: "ComparisonError: " in errors(each))
    assert application["spec"]["project"] == one.name
    assert "project" in errors(application)
    assert two.objects("ours", "jobs") == []
