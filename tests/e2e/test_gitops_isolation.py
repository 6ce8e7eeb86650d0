"""Isolation: a commit cannot stop other teams or reach another team, repository, chart or the cluster."""

import json
from collections.abc import Callable

from devcluster.repository import chart_version
from tests.e2e.gitops import NAMESPACE, GitOps, errors
from tests.e2e.kube import CommandError, Object
from tests.e2e.team import RESTRICTED, Team


def test_invalid_file_affects_only_its_own_run(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """Five job files of two teams are merged at once, one of them with an invalid value: the four others train to the
    end. The invalid one has an Application with the message of the chart, and no object in the cluster."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    good = gitops.values(steps=50)
    files = {f"jobs/{team.name}/{run}.yaml": good for team in (one, two) for run in ("a", "b")}
    bad = good | {"ps": {"replicas": 3}}
    gitops.commit(files | {f"jobs/{one.name}/bad.yaml": bad})
    for team in (one, two):
        for run in ("a", "b"):
            gitops.healthy(team, run)
            assert team.done(run)["step"] == 50
    application = gitops.wait(one, "bad", "refused", lambda each: "ComparisonError" in errors(each))
    assert "ps.replicas: got 3; expected 0 for OneDevice." in errors(application)
    assert one.objects("bad", "jobs,configmaps,services") == []


def test_unreadable_file_stops_only_its_own_team(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """A file that is not valid YAML is merged. Active runs of its team continue, new runs of the team wait, and the
    ApplicationSet names the file. New runs of the other team start. After a fix, all runs start."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    values = gitops.values(state="suspended")
    gitops.merge(one, "before", values)
    gitops.healthy(one, "before", "Suspended")
    before = one.jobs("before")["chief"]["metadata"]["uid"]
    files = {f"jobs/{team.name}/after.yaml": values for team in (one, two)}
    gitops.commit(files | {f"jobs/{one.name}/broken.yaml": "storage: {claim"})
    gitops.healthy(two, "after", "Suspended")

    def named() -> bool:
        found = gitops.kube.get("-n", NAMESPACE, "applicationset", f"runs-{one.name}")
        errors = [each for each in found.get("status", {}).get("conditions", []) if each["type"] == "ErrorOccurred"]
        return any(each["status"] == "True" and "broken.yaml" in each["message"] for each in errors)

    one.wait("the ApplicationSet to name the file", named)
    assert gitops.names(one) == [f"{one.name}-before"]
    assert one.jobs("before")["chief"]["metadata"]["uid"] == before
    gitops.merge(one, "broken", None)
    # After an error, the set polls only every three minutes.
    refresh = "argocd.argoproj.io/application-set-refresh=true"
    gitops.kube.kubectl("-n", NAMESPACE, "annotate", "applicationset", f"runs-{one.name}", refresh)
    gitops.healthy(one, "after", "Suspended")


def test_file_without_a_released_chart_affects_only_its_own_run(team: Team, gitops: GitOps) -> None:
    """The chartVersion of some files is missing, was never released, or points outside the tags. Each of them has an
    Application with an error, and nothing is applied. Another run of the team starts."""
    gitops.install(team)
    good = gitops.values(state="suspended")
    versions = {"missing": None, "unreleased": "9.9.9", "elsewhere": "../x", "branch": "0.0.1", "number": 0.1}
    files = {run: {key: value for key, value in (good | {"chartVersion": version}).items() if value is not None}
             for run, version in versions.items()}  # fmt: skip
    # A branch with the name of a tag does not replace the tag.
    gitops.repository.git("push", "--quiet", "origin", "HEAD:refs/heads/tf-distributed-0.0.1")
    gitops.commit({f"jobs/{team.name}/{run}.yaml": each for run, each in (files | {"good": good}).items()})
    gitops.healthy(team, "good", "Suspended")
    for run in versions:
        application = gitops.wait(team, run, "refused", lambda each: "ComparisonError" in errors(each))
        assert "unable to resolve 'refs/tags/tf-distributed-" in errors(application).lower(), errors(application)
    assert "CHARTVERSION-IS-NOT-SET" in errors(gitops.application(team, "missing"))
    assert team.objects("good", "jobs") == ["Job/good-chief"]
    assert [each["metadata"]["name"] for each in team.kube.get("-n", team.name, "jobs")["items"]] == ["good-chief"]


EVIL = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: evil, namespace: NAMESPACE}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: evil-NAMESPACE}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: evil}
spec: {containers: [{name: evil, image: evil}]}
"""


def test_team_cannot_reach_another_team_or_the_cluster(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """A job file uses a malicious chart under a tag. The run creates no object in the namespace of another team, no
    cluster-wide object, and no kind that the chart lacks. An Application with another repository is refused, too."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    chart = "charts/tf-distributed"
    gitops.commit(
        {
            f"{chart}/templates/evil.yaml": EVIL.replace("NAMESPACE", two.name),
            f"{chart}/Chart.yaml": "apiVersion: v2\nname: tf-distributed\nversion: 6.6.6\nappVersion: 6.6.6\n",
        }
    )
    gitops.repository.tag("6.6.6")
    gitops.merge(one, "evil", gitops.values(state="suspended") | {"chartVersion": "6.6.6"})

    def refused(application: Object) -> bool:
        results = application["status"].get("operationState", {}).get("syncResult", {}).get("resources", [])
        messages = json.dumps([*application["status"].get("conditions", []), *results])
        return all(kind in messages for kind in ("ConfigMap", "ClusterRole", "Pod")) and "not permitted" in messages

    gitops.wait(one, "evil", "refused", refused)
    for team in (one, two):
        assert team.kubectl("get", "configmaps,pods,jobs", "-o", "name", "--field-selector=metadata.name=evil") == ""
    assert gitops.kube.kubectl("get", "clusterrole", f"evil-{two.name}", "--ignore-not-found") == ""

    application = gitops.application(one, "evil")
    changes: dict[str, tuple[Object, str]] = {
        "other-repository": (
            {"source": {"repoURL": "https://example.com/other", "path": "."}},
            "repo https://example.com/other is not permitted in project",
        ),
        "other-namespace": (
            {"destination": {"namespace": two.name, "server": "https://kubernetes.default.svc"}},
            "do not match any of the allowed destinations in project",
        ),
    }
    for name, (change, message) in changes.items():
        metadata = {"name": f"{one.name}-{name}", "namespace": NAMESPACE, "labels": application["metadata"]["labels"]}
        head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata}
        gitops.kube.apply(head | {"spec": application["spec"] | change})
        found = gitops.wait(one, name, "refused", lambda each: "InvalidSpecError" in errors(each))
        assert message in errors(found)


def test_merge_directive_in_a_value_is_refused(team: Team, gitops: GitOps) -> None:
    """A job file has the key $patch among its hyperparameters, which a strategic merge of the Application would
    execute. The schema of the chart refuses the key, and nothing is applied."""
    gitops.install(team)
    values = gitops.values(state="suspended")
    values["trainer"]["hyperparameters"] = {"learning_rate": 0.1, "$patch": "replace"}
    gitops.merge(team, "order", values)
    application = gitops.wait(team, "order", "refused", lambda each: "ComparisonError" in errors(each))
    assert "$patch" in errors(application)
    assert team.objects("order", "jobs,configmaps") == []


def test_values_arrive_unchanged(team: Team, gitops: GitOps) -> None:
    """Templates, YAML and numbers inside a job file arrive unchanged: a description with braces, 1e-3 and 1000000. A
    file in a subfolder of the team is not a run."""
    strange = "{{ .path.path }} $ARGOCD_APP_NAME }}\nspec: {project: default}"
    values = gitops.values(state="suspended", description=strange, trainer={"steps": 1_000_000})
    values["trainer"]["hyperparameters"] = {"learning_rate": 1e-3}
    gitops.install(team)
    gitops.commit(
        {
            f"jobs/{team.name}/strange.yaml": json.dumps(values).replace("0.001", "1e-3"),
            f"jobs/{team.name}/below/nobody.yaml": values,
            f"jobs/{team.name}/below/deeper/nobody.yaml": values,
        }
    )
    application = gitops.healthy(team, "strange", "Suspended")
    assert application["spec"]["project"] == team.name
    metadata = team.jobs("strange")["chief"]["metadata"]
    assert metadata["annotations"]["tf-distributed.github.io/description"] == strange
    record = json.loads(team.kube.get("-n", team.name, "configmap", "strange")["data"]["run.json"])
    assert record["identity"]["trainer"]["steps"] == 1_000_000
    assert record["identity"]["trainer"]["hyperparameters"] == {"learning_rate": 0.001}
    assert record["identity"]["chartVersion"] == chart_version()
    assert gitops.names(team) == [f"{team.name}-strange"]


def test_argocd_settings_of_the_owner_are_kept(team: Team, gitops: GitOps) -> None:
    """An owner manages argocd-cm with `kubectl apply`. The ConfigMap gets the health scripts next to the keys of the
    owner. The scripts stay when the owner applies the ConfigMap again."""
    keys = {f"resource.customizations.health.{kind}" for kind in ("batch_Job", "kueue.x-k8s.io_Workload")}
    metadata = {"name": "argocd-cm", "namespace": NAMESPACE}
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"url": "https://example.com"}}
    for _ in range(2):
        gitops.kube.kubectl("apply", "-f", "-", given=json.dumps(theirs))
        gitops.install(team)
        data = gitops.kube.get("-n", NAMESPACE, "configmap", "argocd-cm")["data"]
        assert set(data) == {"url"} | keys
    gitops.kube.kubectl("apply", "-f", "-", given=json.dumps(theirs))
    assert keys <= set(gitops.kube.get("-n", NAMESPACE, "configmap", "argocd-cm")["data"])
    gitops.kube.kubectl("apply", "-f", "-", given=json.dumps(theirs | {"data": {}}))


def refusal(team: Team, priority_class: str) -> str:
    """Return why the apiserver refuses a pod with a priority class, or an empty string; nothing is created."""
    container = {"name": "main", "image": team.kube.images["trainer"], "securityContext": RESTRICTED}
    spec = {"containers": [container]} | ({"priorityClassName": priority_class} if priority_class else {})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}
    try:
        team.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(pod))
    except CommandError as error:
        return str(error)
    return ""


def test_unlisted_priority_class_is_refused(new_team: Callable[[], Team], gitops: GitOps, token: str) -> None:
    """The second quota of argocd/ refuses a pod with a priority class, also one of the system, in a team that lists
    none. A team that lists a class may use this class and no other. Pods without a class are admitted."""
    one, two = new_team(), new_team()
    listed, other = f"e2e-{token}-listed", f"e2e-{token}-other"
    head = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 10}
    gitops.kube.apply(*(head | {"metadata": {"name": name}} for name in (listed, other)))
    try:
        gitops.install(one, two, teams={one.name: {}, two.name: {"priorityClasses": [listed]}})
        for team in (one, two):
            team.wait("the quotas to be counted", lambda team=team: counted(team))  # type: ignore[misc]
            assert refusal(team, "") == ""
            for name in (other, "system-node-critical", "system-cluster-critical"):
                assert "exceeded quota: priority-classes" in refusal(team, name), name
        assert "exceeded quota: priority-classes" in refusal(one, listed)
        assert refusal(two, listed) == ""
    finally:
        gitops.kube.kubectl("delete", "priorityclass", listed, other)


def counted(team: Team) -> bool:
    """Return whether the quotas of a team have a status; before, they refuse every pod."""
    quotas = {each["metadata"]["name"]: each for each in team.kube.get("-n", team.name, "resourcequotas")["items"]}
    return {"team", "priority-classes"} <= {name for name, each in quotas.items() if each.get("status", {}).get("used")}
