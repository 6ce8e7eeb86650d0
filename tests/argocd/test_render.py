"""The objects that `helm template argocd` renders for a list of teams."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import SCHEMAS, tool
from tfd.jobfile import helm_yaml
from tfd.jobfile.helm import find_helm, render
from tfd.jobfile.jobfile import JobFile

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = sorted((ROOT / "jobs" / "examples").glob("*.yaml"))
REPOSITORY = "https://github.com/example-org/runs"
TEAMS = {
    "vision": {"groups": ["example-org:vision"], "quota": {"requests.nvidia.com/gpu": 16, "pods": 50}},
    "speech": None,
}

Object = dict[str, Any]


def template(tmp_path: Path, *options: str, **values: Any) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "values.yaml"
    file.write_text(
        json.dumps({"repository": REPOSITORY, "teams": TEAMS, "quota": {"requests.nvidia.com/gpu": 8}} | values)
    )
    command = [find_helm(), "template", "argocd", str(ROOT / "argocd"), "--values", str(file), *options]
    return subprocess.run(command, capture_output=True, text=True)


def objects(tmp_path: Path, **values: Any) -> dict[tuple[str, str, str], Object]:
    """Return the rendered objects by kind, namespace and name."""
    done = template(tmp_path, **values)
    assert done.returncode == 0, done.stderr
    found = {}
    for each in helm_yaml.load_all(done.stdout):
        metadata = each["metadata"]
        found[each["kind"], metadata.get("namespace", ""), metadata["name"]] = each
    return found


def test_each_team_gets_a_namespace_a_project_and_sets_of_its_own(tmp_path: Path) -> None:
    found = objects(tmp_path)
    each = {("Namespace", "", "{}"), ("ResourceQuota", "{}", "team"),
            ("ResourceQuota", "{}", "priority-classes"), ("LimitRange", "{}", "team"),
            ("AppProject", "argocd", "{}"), ("ApplicationSet", "argocd", "runs-{}"),
            ("ApplicationSet", "argocd", "workbenches-{}")}  # fmt: skip
    expected = {tuple(word.replace("{}", team) for word in words) for team in TEAMS for words in each}
    assert set(found) == expected | {("ConfigMap", "argocd", "argocd-cm")}


def test_files_sort_in_an_order_that_kubectl_can_apply(tmp_path: Path) -> None:
    template(tmp_path, "--output-dir", str(tmp_path))
    files = sorted((tmp_path / "argocd" / "templates" / "teams").iterdir())  # as kubectl takes a folder
    kinds = [helm_yaml.load_all(file.read_text())[0]["kind"] for file in files]
    assert kinds == ["Namespace", "AppProject", "ResourceQuota", "ApplicationSet", "ApplicationSet"]


def test_settings_are_in_another_folder_than_the_objects_to_apply(tmp_path: Path) -> None:
    template(tmp_path, "--output-dir", str(tmp_path), notifications={"github": "example-org/runs"})
    files = sorted((tmp_path / "argocd" / "templates" / "settings").iterdir())
    names = [[each["metadata"]["name"] for each in helm_yaml.load_all(file.read_text())] for file in files]
    assert names == [[file.stem] for file in files] == [["argocd-cm"], ["argocd-notifications-cm"]]


def test_a_project_allows_its_team_this_repository_its_namespace_and_the_chart_s_kinds(tmp_path: Path) -> None:
    spec = objects(tmp_path)["AppProject", "argocd", "vision"]["spec"]
    assert spec["sourceRepos"] == [REPOSITORY]
    assert spec["destinations"] == [{"server": "https://kubernetes.default.svc", "namespace": "vision"}]
    assert spec["clusterResourceWhitelist"] == []
    allowed = {(each["group"], each["kind"]) for each in spec["namespaceResourceWhitelist"]}
    rendered = {
        (each["apiVersion"].rpartition("/")[0], each["kind"])
        for path in EXAMPLES
        for each in render(path.stem, "examples", path)
    }
    gang = tmp_path / "gang.yaml"
    more = "scheduling: {gang: true, queue: team}\nmetrics: {enabled: true, podMonitor: true}"
    gang.write_text(f"strategy: ParameterServer\nstorage: {{create: {{size: 1Gi}}}}\n{more}\n")
    rendered |= {(each["apiVersion"].rpartition("/")[0], each["kind"]) for each in render("gang", "examples", gang)}
    assert allowed == rendered


def test_a_team_may_read_its_runs_and_act_on_jobs_only(tmp_path: Path) -> None:
    [role] = objects(tmp_path)["AppProject", "argocd", "vision"]["spec"]["roles"]
    assert role["groups"] == ["example-org:vision"]
    rules = [re.split(r",\s*", policy) for policy in role["policies"]]
    assert {tuple(rule[:2]) for rule in rules} == {("p", "proj:vision:member")}
    assert {(rule[2], rule[3]) for rule in rules} == {
        ("applications", "get"),
        ("logs", "get"),
        ("applications", "action/batch/Job/terminate"),
    }
    assert {(rule[4], rule[5]) for rule in rules} == {("vision/*", "allow")}
    assert "groups" not in objects(tmp_path)["AppProject", "argocd", "speech"]["spec"]["roles"][0]


def test_a_run_is_pinned_to_its_tag_synced_by_commits_only_and_compared_by_the_apiserver(tmp_path: Path) -> None:
    spec = objects(tmp_path)["ApplicationSet", "argocd", "runs-vision"]["spec"]
    [generator] = spec["generators"]
    assert generator["git"]["files"] == [
        {"path": "jobs/vision/*.yaml"},
        {"path": "jobs/vision/*/*.yaml", "exclude": True},
    ]
    template = spec["template"]
    assert template["spec"]["project"] == template["spec"]["destination"]["namespace"] == "vision"
    assert template["spec"]["source"]["targetRevision"].startswith("refs/tags/tf-distributed-{{")
    assert template["spec"]["syncPolicy"] == {
        "automated": {"prune": True, "selfHeal": False},
        "syncOptions": ["ServerSideApply=true"],
    }
    assert template["metadata"]["annotations"] == {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}
    # Kueue removes this finalizer when a run has ended, and its Application stays Synced.
    assert template["spec"]["ignoreDifferences"] == [
        {"group": "kueue.x-k8s.io", "kind": "Workload", "jsonPointers": ["/metadata/finalizers"]}
    ]
    # A templatePatch is merged, so a key of a job file could change the merge.
    assert "templatePatch" not in spec


def test_a_job_file_is_its_name_its_chart_version_and_one_string_of_values(tmp_path: Path) -> None:
    spec = objects(tmp_path)["ApplicationSet", "argocd", "runs-vision"]["spec"]
    assert spec["template"]["spec"]["source"]["helm"]["values"] == '{{ omit . "path" | toPrettyJson }}'
    expressions = set(re.findall(r"{{.*?}}", json.dumps(spec["template"]).replace('\\"', '"')))
    assert expressions == {
        '{{ trimSuffix ".yaml" .path.filename }}',
        '{{ omit . "path" | toPrettyJson }}',
        '{{ get . "chartVersion" | default "CHARTVERSION-IS-NOT-SET" }}',
    }


LINKS = {
    "TensorBoard": "https://boards.example.com/{team}/{run}/",
    "Metrics": "http://grafana:3000/d/a?var-namespace={team}&var-run={run}&to=now#x",
    "All-runs": "https://example.com",
}


def test_an_application_has_a_link_for_each_configured_address(tmp_path: Path) -> None:
    """Argo CD reads `TITLE|ADDRESS`."""
    run = '{{ trimSuffix ".yaml" .path.filename | urlquery }}'
    for team in TEAMS:
        metadata = objects(tmp_path, links=LINKS)["ApplicationSet", "argocd", f"runs-{team}"]["spec"]["template"]
        found = {key: each for key, each in metadata["metadata"]["annotations"].items() if key.startswith("link.")}
        assert found == {
            f"link.argocd.argoproj.io/{title}": f"{title}|{address.replace('{team}', team).replace('{run}', run)}"
            for title, address in LINKS.items()
        }


@pytest.mark.parametrize(
    ("title", "address"),
    [
        ("a", "javascript:alert(1)"), ("a", "data:text/html,x"), ("a", "ftp://example.com"), ("a", "example.com/a"),
        ("a", "https://"), ("a", "https:///path"), ("a", "https://example.com/{{ .owner }}"),
        ("a", "https://example.com/{owner}"), ("a", "https://example.com/{team}}"), ("a", "https://example.com/a b"),
        ("a", "https://example.com/a|javascript:b"), ("a", "https://example.com/'"), ("a", "https://example.com/a\nb"),
        ("a", 1), ("A title", "https://example.com"), ("a|b", "https://example.com"), ("", "https://example.com"),
        ("x" * 41, "https://example.com"), ("a/b", "https://example.com"),
    ],
)  # fmt: skip
def test_a_link_that_is_not_a_plain_web_address_is_refused(tmp_path: Path, title: str, address: object) -> None:
    done = template(tmp_path, links={title: address})
    assert done.returncode != 0
    # Helm names another key for a refused title.
    assert "/links" in done.stderr or f"invalid propertyName '{title}'" in done.stderr


def test_settings_of_20_teams_change_no_key_of_the_owner(tmp_path: Path) -> None:
    """A merge patch changes what it names and deletes only what it sets to null."""
    teams = {f"team{number}": None for number in range(20)}
    found = objects(tmp_path, teams=teams, links=LINKS, notifications={"github": "example-org/runs"})
    maps = {name: each for (kind, _, name), each in found.items() if kind == "ConfigMap"}
    assert set(maps) == {"argocd-cm", "argocd-notifications-cm"}
    for name, patch in maps.items():
        assert patch.keys() == {"apiVersion", "kind", "metadata", "data"}
        assert patch["metadata"] == {"name": name, "namespace": "argocd"}
        assert all(isinstance(value, str) for value in patch["data"].values())
    one = objects(tmp_path, teams={"team0": None}, links=LINKS, notifications={"github": "example-org/runs"})
    assert {key: each for key, each in one.items() if key[0] == "ConfigMap"} == {
        key: each for key, each in found.items() if key[0] == "ConfigMap"
    }


def test_20_teams_share_no_object_and_agree_with_the_schemas_of_kubernetes(tmp_path: Path) -> None:
    teams = {f"team{number}": {"groups": [f"example-org:team{number}"]} for number in range(20)}
    found = objects(tmp_path, teams=teams, links=LINKS)
    kinds = Counter(kind for kind, _, _ in found)
    assert kinds == {
        "Namespace": 20, "AppProject": 20, "ApplicationSet": 40, "ResourceQuota": 40, "LimitRange": 20, "ConfigMap": 1
    }  # fmt: skip
    for team in teams:
        specs = [found["ApplicationSet", "argocd", f"{kind}-{team}"]["spec"] for kind in ("runs", "workbenches")]
        others = [other for other in teams if other != team and not team.startswith(other)]
        assert not [other for other in others if f'"{other}"' in json.dumps(specs)]
    folder = tmp_path / "objects"
    folder.mkdir()
    for number, each in enumerate(found.values()):
        if not each["apiVersion"].startswith("argoproj.io/"):
            (folder / f"{number}.json").write_text(json.dumps(each))
    command = [tool("kubeconform"), "-strict", "-summary", "-kubernetes-version", "1.37.0"]
    done = subprocess.run([*command, "-schema-location", SCHEMAS, str(folder)], capture_output=True, text=True)
    assert "Valid: 81, Invalid: 0, Errors: 0, Skipped: 0" in done.stdout, done.stdout + done.stderr


def test_a_namespace_is_restricted_and_has_the_team_s_quota_over_the_common_one(tmp_path: Path) -> None:
    found = objects(tmp_path, quota={"pods": 200, "requests.cpu": 8, "requests.nvidia.com/gpu": 8})
    assert found["Namespace", "", "vision"]["metadata"]["labels"] == {
        "pod-security.kubernetes.io/enforce": "restricted"
    }
    hard = {team: found["ResourceQuota", team, "team"]["spec"]["hard"] for team in TEAMS}
    assert hard["vision"] == hard["speech"] | {"pods": 50, "requests.nvidia.com/gpu": 16}
    assert hard["speech"]["pods"] == 200
    # Every container must request each resource that the quota counts.
    # A GPU cannot be overcommitted and storage is requested by claims.
    counted = {"cpu", "memory"} & {name.removeprefix("requests.") for name in hard["speech"]}
    assert counted <= set(found["LimitRange", "speech", "team"]["spec"]["limits"][0]["defaultRequest"])


@pytest.mark.parametrize("classes", [[], ["low", "high"]])
def test_a_second_quota_refuses_pods_of_every_other_priority_class(tmp_path: Path, classes: list[str]) -> None:
    found = objects(tmp_path, priorityClasses=classes)
    spec = found["ResourceQuota", "speech", "priority-classes"]["spec"]
    assert spec["hard"] == {"pods": 0}
    # Exists leaves pods without a class alone: NotIn alone would select them, too.
    exists, *others = spec["scopeSelector"]["matchExpressions"]
    assert exists == {"scopeName": "PriorityClass", "operator": "Exists"}
    assert [each["values"] for each in others if each["operator"] == "NotIn"] == ([classes] if classes else [])


def test_a_team_can_have_priority_classes_of_its_own(tmp_path: Path) -> None:
    found = objects(tmp_path, teams={"vision": {"priorityClasses": ["high"]}, "speech": None}, priorityClasses=["low"])
    listed = {
        team: found["ResourceQuota", team, "priority-classes"]["spec"]["scopeSelector"]["matchExpressions"][1]["values"]
        for team in TEAMS
    }
    assert listed == {"vision": ["high"], "speech": ["low"]}


def test_settings_contain_only_keys_of_this_project(tmp_path: Path) -> None:
    found = objects(tmp_path, notifications={"github": "example-org/runs"})
    assert set(found["ConfigMap", "argocd", "argocd-cm"]["data"]) == {
        f"resource.customizations.health.{kind}" for kind in ("batch_Job", "kueue.x-k8s.io_Workload")
    }
    keys = found["ConfigMap", "argocd", "argocd-notifications-cm"]["data"]
    assert all("tf-distributed" in key for key in keys)
    annotations = found["ApplicationSet", "argocd", "runs-vision"]["spec"]["template"]["metadata"]["annotations"]
    [subscription] = [key for key in annotations if key.startswith("notifications.argoproj.io/subscribe.")]
    trigger, service = subscription.removeprefix("notifications.argoproj.io/subscribe.").split(".")
    assert {f"trigger.{trigger}", f"template.{trigger}", f"service.webhook.{service}"} == set(keys)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"repository": ""},
            'tf-distributed: repository: got ""; expected the address of this repository. Set repository.',
        ),
        ({"repository": "https://x/{{ .evil }}"}, "repository"),
        ({"teams": {"argocd": {}}}, 'tf-distributed: teams: got "argocd"; expected a name other than'),
        ({"teams": {"kube-system": {}}}, "invalid propertyName 'kube-system'"),
        ({"teams": {"Vision": {}}}, "invalid propertyName 'Vision'"),
        ({"teams": {"a": {}, "a-b": {}}}, 'tf-distributed: teams: got "a" and "a-b"'),
        ({"teams": {"vision": {"namespace": "kube-system"}}}, "additional properties 'namespace' not allowed"),
        ({"team": {}}, "additional properties 'team' not allowed"),
        ({"quota": {"pods": "many"}}, "/quota/pods"),
        ({"priorityClasses": ["system-node-critical"]}, "/priorityClasses/0"),
        (
            {"quota": {"pods": 5}, "teams": {"speech": {}}},
            'tf-distributed: quota: got no GPUs for team "speech"; expected an entry for each kind of GPU. '
            "Set quota: {requests.nvidia.com/gpu: NUMBER}, or 0 without GPUs.",
        ),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_invalid_values_are_refused(tmp_path: Path, values: Object, message: str) -> None:
    done = template(tmp_path, **values)
    assert done.returncode != 0
    assert message in done.stderr


def test_prefix_of_labels_is_that_of_the_chart(tmp_path: Path) -> None:
    define = r'define "[\w-]+\.prefix" -}}\n(.+)\n'
    [ours] = re.findall(define, (ROOT / "argocd" / "templates" / "_names.tpl").read_text())
    [chart] = re.findall(define, (ROOT / "charts" / "tf-distributed" / "templates" / "_names.tpl").read_text())
    assert ours == chart
    labels = objects(tmp_path)["ApplicationSet", "argocd", "runs-vision"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {f"{chart}/team": "vision"}


def test_team_names_may_share_a_beginning_without_hyphen(tmp_path: Path) -> None:
    assert ("AppProject", "argocd", "vision2") in objects(tmp_path, teams={"vision": {}, "vision2": {}})


def test_every_key_of_the_values_is_in_the_schema_and_no_other() -> None:
    values = helm_yaml.load((ROOT / "argocd" / "values.yaml").read_text()).value
    schema = json.loads((ROOT / "argocd" / "values.schema.json").read_text())
    assert set(values) == set(schema["properties"])


def test_a_job_file_has_no_key_that_the_generator_would_overwrite(tmp_path: Path) -> None:
    job = tmp_path / "examples" / "run.yaml"
    job.parent.mkdir()
    job.write_text("path: elsewhere\nstorage: {claim: runs}\n")
    [problem] = JobFile(job).problems()
    assert "path" in problem.message


OCI = "oci://registry.example.com:5000/charts"


@pytest.mark.parametrize(("kind", "chart"), [("runs", "tf-distributed"), ("workbenches", "workbench")])
def test_a_chart_comes_from_a_registry_by_its_version(tmp_path: Path, kind: str, chart: str) -> None:
    found = objects(tmp_path, chart={"oci": OCI})
    for team in TEAMS:
        source = found["ApplicationSet", "argocd", f"{kind}-{team}"]["spec"]["template"]["spec"]["source"]
        assert source == {
            "repoURL": f"{OCI}/{chart}",
            "targetRevision": '{{ get . "chartVersion" | default "CHARTVERSION-IS-NOT-SET" }}',
            "path": ".",
            "helm": {
                "releaseName": '{{ trimSuffix ".yaml" .path.filename }}',
                "values": '{{ omit . "path" | toPrettyJson }}',
            },
        }
        assert {REPOSITORY, f"{OCI}/{chart}"} < set(found["AppProject", "argocd", team]["spec"]["sourceRepos"])


@pytest.mark.parametrize("oci", ["ghcr.io/charts", "https://ghcr.io/charts", "oci://ghcr.io/a b", "oci://GHCR.io/'{{"])
def test_a_registry_that_is_no_address_is_refused(tmp_path: Path, oci: str) -> None:
    done = template(tmp_path, chart={"oci": oci})
    assert done.returncode == 1
    assert "/chart/oci" in done.stderr
