"""Baseline settings: Applications and ApplicationSets as many teams first write them, each with a trap of Argo CD."""

from typing import Any

from tests.e2e.gitops import NAMESPACE, GitOps
from tests.e2e.kube import Object
from tests.e2e.team import RESTRICTED, Team

TEAM = "tf-distributed.github.io/team"
CHART = "charts/baseline"
TAG = "refs/tags/tf-distributed-0.0.1"
"""A release of the baseline chart: later commits cannot change an Application that syncs from this tag."""
# The Job name contains the release revision, as is common with `helm upgrade`. The ConfigMap may change.
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
    """Commit the baseline chart, which has a Job and a ConfigMap, and tag a release."""
    chart = "apiVersion: v2\nname: baseline\nversion: 0.0.1\n"
    gitops.commit({f"{CHART}/Chart.yaml": chart, f"{CHART}/templates/all.yaml": TEMPLATE})
    gitops.repository.tag("0.0.1")


def values(
    gitops: GitOps, command: str = "true", note: str = "", options: str = "", wave: int = 0, **job: Any
) -> Object:
    """Return values of the baseline chart; `wave` is the sync wave of the ConfigMap, `job` goes into the spec of the
    Job."""
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
    """Return the source of an Application, with inline values."""
    release = {"releaseName": run, "valuesObject": content} | helm
    return {"repoURL": gitops.repository.url, "targetRevision": revision, "path": CHART, "helm": release}


def apply(gitops: GitOps, team: Team, run: str, *sources: Object, **policy: Any) -> None:
    """Create or change an Application; Argo CD tries each sync once, so that a failure shows early."""
    spec: Object = {"source": sources[0]} if len(sources) == 1 else {"sources": list(sources)}
    spec |= {
        "project": team.name,
        "destination": {"server": "https://kubernetes.default.svc", "namespace": team.name},
        "syncPolicy": {"automated": {"prune": True}, "retry": {"limit": 0}} | policy,
    }
    metadata = {"name": f"{team.name}-{run}", "namespace": NAMESPACE, "labels": {TEAM: team.name}}
    gitops.kube.apply({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec})


def named(team: str = "{{ index .path.segments 1 }}") -> str:
    """Return the template of the Application name TEAM-RUN."""
    return f'{team}-{{{{ trimSuffix ".yaml" .path.filename }}}}'


def apply_set(gitops: GitOps, owner: Team, files: str, name: str, **spec: Any) -> None:
    """Create or change one ApplicationSet of `baseline/TEAM/RUN.yaml`; `spec` overrides the spec of its
    Applications."""
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
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": metadata}
    options = {"goTemplate": True, "goTemplateOptions": ["missingkey=error"]}
    gitops.kube.apply(head | {"spec": options | {"generators": [{"git": git}], "template": template}})


def set_name(owner: Team) -> str:
    """Return the name of the baseline ApplicationSet."""
    return f"baseline-{owner.name}"


def set_errors(gitops: GitOps, owner: Team) -> str:
    """Return the error messages of the baseline ApplicationSet."""
    found = gitops.kube.get("-n", NAMESPACE, "applicationset", set_name(owner))
    errors = [each for each in found.get("status", {}).get("conditions", []) if each["type"] == "ErrorOccurred"]
    return "\n".join(str(each["message"]) for each in errors if each["status"] == "True")


def uid(team: Team, run: str) -> str:
    """Return the UID of the only Job of a run, or an empty string if the run has no Job."""
    return "".join(str(job["metadata"]["uid"]) for job in team.jobs(run).values())
