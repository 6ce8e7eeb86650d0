"""What a commit can't do: stop others, reach another team, another repository, the cluster, another chart."""

import json
from collections.abc import Callable

from devcluster.repository import chart_version
from tests.e2e.gitops import NAMESPACE, GitOps, errors
from tests.e2e.kube import Object
from tests.e2e.team import Team


def test_five_files_in_two_teams_one_of_them_invalid(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """Five job files in two teams are merged at once, one of them with an impossible key: the four others train to the
    end; the bad one is an Application with the chart's message, and nothing of it is in the cluster."""
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
    assert "ps.replicas: got 3: strategy OneDevice has no parameter servers" in errors(application)
    assert one.objects("bad", "jobs,configmaps,services") == []


def test_an_unreadable_file_stops_its_own_team_only(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """A file that is no YAML is merged: running runs of its team go on, new ones of it wait and the ApplicationSet
    names the file; the other team's start. Mended, all start."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    values = gitops.values(state="suspended")
    gitops.merge(one, "before", values)
    gitops.healthy(one, "before", "Suspended")
    before = one.jobs("before")["chief"]["metadata"]["uid"]
    files = {f"jobs/{team.name}/after.yaml": values for team in (one, two)}
    gitops.commit(files | {f"jobs/{one.name}/broken.yaml": "storage: {claim"})
    gitops.healthy(two, "after", "Suspended")

    def told() -> bool:
        found = gitops.kube.get("-n", NAMESPACE, "applicationset", f"runs-{one.name}")
        said = [each for each in found.get("status", {}).get("conditions", []) if each["type"] == "ErrorOccurred"]
        return any(each["status"] == "True" and "broken.yaml" in each["message"] for each in said)

    one.wait("the ApplicationSet to name the file", told)
    assert gitops.names(one) == [f"{one.name}-before"]
    assert one.jobs("before")["chief"]["metadata"]["uid"] == before
    gitops.merge(one, "broken", None)
    # After an error it looks again by itself only every three minutes.
    refresh = "argocd.argoproj.io/application-set-refresh=true"
    gitops.kube.kubectl("-n", NAMESPACE, "annotate", "applicationset", f"runs-{one.name}", refresh)
    gitops.healthy(one, "after", "Suspended")


def test_a_file_without_its_chart_waits_alone(team: Team, gitops: GitOps) -> None:
    """Files whose chartVersion is missing, was never released, or tries to leave the tags: each is an Application that
    says so, nothing is applied, and the run beside them starts."""
    gitops.install(team)
    good = gitops.values(state="suspended")
    versions = {"missing": None, "unreleased": "9.9.9", "elsewhere": "../x", "branch": "0.0.1", "number": 0.1}
    files = {run: {key: value for key, value in (good | {"chartVersion": version}).items() if value is not None}
             for run, version in versions.items()}  # fmt: skip
    # A branch of the tag's name is not taken for it.
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


def test_a_team_reaches_no_other_team_nor_the_cluster(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """Even with a chart of its own under a tag, a file of one team makes nothing in another team's namespace, no
    cluster-wide object, no kind that the chart has not; a set that names another repository gets nothing either."""
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
        said = json.dumps([*application["status"].get("conditions", []), *results])
        return all(f"{kind}" in said for kind in ("ConfigMap", "ClusterRole", "Pod")) and "not permitted" in said

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
    for name, (change, said) in changes.items():
        metadata = {"name": f"{one.name}-{name}", "namespace": NAMESPACE, "labels": application["metadata"]["labels"]}
        made = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata}
        gitops.kube.apply(made | {"spec": application["spec"] | change})
        found = gitops.wait(one, name, "refused", lambda each: "InvalidSpecError" in errors(each))
        assert said in errors(found)


def test_an_order_to_a_merge_is_refused_as_a_value(team: Team, gitops: GitOps) -> None:
    """$patch among the hyper-parameters, which a patch of the Application would obey: the chart's schema sees and
    refuses it, and nothing is applied."""
    gitops.install(team)
    values = gitops.values(state="suspended")
    values["trainer"]["hyperparameters"] = {"learning_rate": 0.1, "$patch": "replace"}
    gitops.merge(team, "order", values)
    application = gitops.wait(team, "order", "refused", lambda each: "ComparisonError" in errors(each))
    assert "$patch" in errors(application)
    assert team.objects("order", "jobs,configmaps") == []


def test_values_stay_values(team: Team, gitops: GitOps) -> None:
    """Templates, YAML and numbers inside a job file arrive as they were written: a description with braces, 1e-3,
    1000000, and a file in a folder below is nobody's run."""
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


def test_settings_of_others_stay(team: Team, gitops: GitOps) -> None:
    """An argocd-cm that its owner looks after with `kubectl apply` gets the health of Jobs beside the owner's keys, and
    keeps it when the owner applies again."""
    key, metadata = "resource.customizations.health.batch_Job", {"name": "argocd-cm", "namespace": NAMESPACE}
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"url": "https://example.com"}}
    for _ in range(2):
        gitops.kube.kubectl("apply", "-f", "-", given=json.dumps(theirs))
        gitops.install(team)
        data = gitops.kube.get("-n", NAMESPACE, "configmap", "argocd-cm")["data"]
        assert set(data) == {"url", key}
    gitops.kube.kubectl("apply", "-f", "-", given=json.dumps(theirs))
    assert key in gitops.kube.get("-n", NAMESPACE, "configmap", "argocd-cm")["data"]
    gitops.kube.kubectl("apply", "-f", "-", given=json.dumps(theirs | {"data": {}}))
