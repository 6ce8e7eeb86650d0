"""What Argo CD must have: its version, and the settings of the folder argocd/."""

from __future__ import annotations

import re

from tfd.doctor.answers import allowed, items, read, serves
from tfd.doctor.finding import Finding, fail, ok, warn
from tfd.kubernetes import KUEUE

OLDEST = (3, 3)
_HEALTH = "resource.customizations.health."
_API = "/apis/argoproj.io/v1alpha1"
# A digest may follow. Other programs, such as argocd-image-updater, have versions of their own.
_IMAGE = re.compile(r"(?:^|/)argocd:(?P<version>v?(\d+)\.(\d+)\.\d+)")
_SETTINGS = "Render and apply argocd/, as argocd/README.md describes."


def checked(namespace: str, team: str) -> list[Finding]:
    """Return the findings about Argo CD.

    Args:
        namespace: the namespace of Argo CD.
        team: the namespace of the team, which is also the name of its project.

    """
    if not serves(_API, "applicationsets"):
        return [warn("Argo CD", "not installed", "For GitOps, install Argo CD 3.3 or newer. tfd and Helm need none.")]
    return [
        *allowed("Argo CD", lambda: [_version(namespace)]),
        *allowed("Argo CD settings", lambda: _health(namespace)),
        *allowed("team in Argo CD", lambda: [_team(namespace, team)]),
    ]


def _version(namespace: str) -> Finding:
    kinds = ("deployments", "statefulsets")
    workloads = [each for kind in kinds for each in items(f"/apis/apps/v1/namespaces/{namespace}/{kind}")]
    images = [
        container.get("image", "") for each in workloads for container in each["spec"]["template"]["spec"]["containers"]
    ]
    found = next(filter(None, map(_IMAGE.search, images)), None)
    if found is None:
        fix = "Name its namespace with --argocd-namespace, or compare the version by hand: 3.3 or newer is required."
        return warn("Argo CD", f"no image with a version in namespace {namespace}", fix)
    if (int(found[2]), int(found[3])) < OLDEST:
        return fail("Argo CD", found["version"], "Upgrade Argo CD to 3.3 or newer.")
    return ok("Argo CD", found["version"])


def _health(namespace: str) -> list[Finding]:
    """Compare the keys of the settings. Their text belongs to the release that the administrators have checked out."""
    config = read(f"/api/v1/namespaces/{namespace}/configmaps/argocd-cm")
    if config is None:
        fix = "Name the namespace of Argo CD with --argocd-namespace."
        return [warn("Argo CD settings", f"no argocd-cm in namespace {namespace}", fix)]
    settings = config.get("data") or {}
    wanted = {"health of Jobs": "batch_Job"}
    if serves(f"/apis/{KUEUE}/v1beta2", "workloads"):
        wanted["health of queued runs"] = f"{KUEUE}_Workload"
    found = []
    for check, kind in wanted.items():
        if f"{_HEALTH}{kind}" in settings:
            found.append(ok(check, f"argocd-cm has {_HEALTH}{kind}"))
        else:
            found.append(fail(check, f"argocd-cm has no {_HEALTH}{kind}", _SETTINGS))
    if settings.get("application.resourceTrackingMethod", "annotation") == "label":
        fix = "Set application.resourceTrackingMethod: annotation, because labels reach the pod templates of Jobs."
        found.append(warn("tracking", "label", fix))
    return found


def _team(namespace: str, team: str) -> Finding:
    objects = {"ApplicationSet": ("applicationsets", f"runs-{team}"), "AppProject": ("appprojects", team)}
    missing = [
        f"{kind} {name}"
        for kind, (resource, name) in objects.items()
        if read(f"{_API}/namespaces/{namespace}/{resource}/{name}") is None
    ]
    if missing:
        fix = f"For GitOps, add {team} to argocd/values.yaml and apply the result."
        return warn("team in Argo CD", f"no {', no '.join(missing)}", fix)
    return ok("team in Argo CD", f"ApplicationSet runs-{team} and AppProject {team}")
