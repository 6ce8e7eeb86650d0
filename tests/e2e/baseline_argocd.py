"""What one would set up at first: Applications and ApplicationSets of which each steps into a trap of Argo CD."""

from typing import Any

from tests.e2e.gitops import NAMESPACE, GitOps
from tests.e2e.kube import Object
from tests.e2e.team import RESTRICTED, Team

TEAM = "tf-distributed.github.io/team"
CHART = "charts/naive"
TAG = "refs/tags/tf-distributed-0.0.1"
"""A release that has the naive chart: what is synced from it can't change by a commit."""
# Named by revision, as one does with `helm upgrade`; a ConfigMap beside it that may change.
TEMPLATE = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-{{ .Release.Revision }}
  labels: &labels {app.kubernetes.io/instance: {{ .Release.Name | quote }}, app.kubernetes.io/component: chief}
  annotations: {{ toJson .Values.annotations }}
spec:
  completionMode: Indexed
  completions: 1
  {{- range $key, $value := .Values.job }}
  {{ $key }}: {{ toJson $value }}
  {{- end }}
  template:
    metadata: {labels: *labels}
    spec: {{ toJson .Values.pod }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name | quote }}
  annotations: {argocd.argoproj.io/sync-wave: {{ .Values.wave | quote }}}
data:
  note: {{ .Values.note | quote }}
  helm: {{ .Capabilities.HelmVersion.Version | quote }}
"""


def release(gitops: GitOps) -> None:
    """Commit the chart with a Job and a ConfigMap, and tag it."""
    chart = "apiVersion: v2\nname: naive\nversion: 0.0.1\n"
    gitops.commit({f"{CHART}/Chart.yaml": chart, f"{CHART}/templates/all.yaml": TEMPLATE})
    gitops.repository.tag("0.0.1")


def values(
    gitops: GitOps, command: str = "true", note: str = "", options: str = "", wave: int = 0, **job: Any
) -> Object:
    """Values of the naive chart; `wave` is that of the ConfigMap, and `job` goes into the Job's spec."""
    container = {
        "name": "main",
        "image": gitops.kube.images["trainer"],
        "command": ["sh", "-c", command],
        "securityContext": RESTRICTED,
    }
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    annotations = {"argocd.argoproj.io/sync-options": options} if options else {}
    return {"note": note, "wave": wave, "annotations": annotations, "pod": pod, "job": job}


def source(gitops: GitOps, run: str, content: Object, revision: str = "main", **helm: Any) -> Object:
    """A source with values of its own."""
    release = {"releaseName": run, "valuesObject": content} | helm
    return {"repoURL": gitops.repository.url, "targetRevision": revision, "path": CHART, "helm": release}


def apply(gitops: GitOps, team: Team, run: str, *sources: Object, **policy: Any) -> None:
    """Make or change an Application by hand; it tries a sync once, so that its failure is soon known."""
    spec: Object = {"source": sources[0]} if len(sources) == 1 else {"sources": list(sources)}
    spec |= {
        "project": team.name,
        "destination": {"server": "https://kubernetes.default.svc", "namespace": team.name},
        "syncPolicy": {"automated": {"prune": True}, "retry": {"limit": 0}} | policy,
    }
    metadata = {"name": f"{team.name}-{run}", "namespace": NAMESPACE, "labels": {TEAM: team.name}}
    gitops.kube.apply({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec})


def named(team: str = "{{ index .path.segments 1 }}") -> str:
    """The name of an Application as a template: TEAM-RUN."""
    return f'{team}-{{{{ trimSuffix ".yaml" .path.filename }}}}'


def apply_set(gitops: GitOps, owner: Team, files: str, name: str, **spec: Any) -> None:
    """Make or change one ApplicationSet of `naive/TEAM/RUN.yaml`; `spec` is put over that of its Applications."""
    team = "{{ index .path.segments 1 }}"
    template = {
        "metadata": {"name": name, "labels": {TEAM: team}},
        "spec": {
            "project": team,
            "source": {
                "repoURL": gitops.repository.url,
                "targetRevision": "main",
                "path": CHART,
                "helm": {"releaseName": '{{ trimSuffix ".yaml" .path.filename }}', "values": "{{ toJson . }}"},
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": team},
            "syncPolicy": {"automated": {"prune": True}},
        }
        | spec,
    }
    git = {"repoURL": gitops.repository.url, "revision": "main", "files": [{"path": files}], "requeueAfterSeconds": 1}
    metadata = {"name": set_name(owner), "namespace": NAMESPACE, "labels": {TEAM: owner.name}}
    made = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": metadata}
    options = {"goTemplate": True, "goTemplateOptions": ["missingkey=error"]}
    gitops.kube.apply(made | {"spec": options | {"generators": [{"git": git}], "template": template}})


def set_name(owner: Team) -> str:
    """The name of the naive ApplicationSet."""
    return f"naive-{owner.name}"


def set_errors(gitops: GitOps, owner: Team) -> str:
    """What is wrong with the naive ApplicationSet."""
    found = gitops.kube.get("-n", NAMESPACE, "applicationset", set_name(owner))
    said = [each for each in found.get("status", {}).get("conditions", []) if each["type"] == "ErrorOccurred"]
    return "\n".join(str(each["message"]) for each in said if each["status"] == "True")


def uid(team: Team, run: str) -> str:
    """What tells a run's only Job from others of its name; empty if there is none."""
    return "".join(str(job["metadata"]["uid"]) for job in team.jobs(run).values())
