"""What the namespace of a team must have: Pod Security, a quota and, with Kueue, a queue."""

from __future__ import annotations

from tfd.doctor.answers import allowed, items, read, serves
from tfd.doctor.finding import Finding, fail, ok, warn
from tfd.kubernetes import KUEUE, Object

_LEVEL = "pod-security.kubernetes.io/enforce"
# What each run has. A limit of 0 for others, such as services.loadbalancers or GPUs, is usual.
_NEEDED = (
    "pods ", "count/pods ", "count/jobs.batch ", "cpu ", "requests.cpu ", "memory ", "requests.memory ",
)  # fmt: skip
_MANAGED = f"{KUEUE}/managed-namespace"
_SETTINGS = "Add the team to argocd/values.yaml and apply the result"


def checked(team: str) -> list[Finding]:
    """Return the findings about a namespace."""
    namespace = read(f"/api/v1/namespaces/{team}")
    if namespace is None:
        return [fail("namespace", f"{team} does not exist", f"Run kubectl create namespace {team}.")]
    labels = namespace["metadata"].get("labels", {})
    return [
        _security(team, labels),
        *allowed("quota", lambda: [_quota(team)]),
        *allowed("queue", lambda: _queue(team, labels)),
    ]


def _security(team: str, labels: dict[str, str]) -> Finding:
    level = labels.get(_LEVEL)
    if level == "restricted":
        return ok("Pod Security", f"{team} enforces restricted")
    fix = f"Run kubectl label namespace {team} {_LEVEL}=restricted."
    return warn("Pod Security", f"{team} enforces {level or 'nothing'}", fix)


def _quota(team: str) -> Finding:
    quotas = items(f"/api/v1/namespaces/{team}/resourcequotas")
    limits = [line for quota in quotas for line in _used(quota)]
    if not limits:
        return warn("quota", f"{team} has no ResourceQuota", f"{_SETTINGS}, because a run can take all resources.")
    if none := [line for line in limits if line.startswith(_NEEDED) and line.endswith("/0")]:
        return fail("quota", ", ".join(none), "Raise this limit: it refuses every pod or Job of a run.")
    return ok("quota", ", ".join(limits))


def _used(quota: Object) -> list[str]:
    """Return how much of each limit is used. A quota of a scope, such as a priority class, limits no team."""
    spec = quota.get("spec", {})
    if "scopeSelector" in spec or "scopes" in spec:
        return []
    status = quota.get("status", {})
    return [f"{name} {status.get('used', {}).get(name, '0')}/{hard}" for name, hard in status.get("hard", {}).items()]


def _queue(team: str, labels: dict[str, str]) -> list[Finding]:
    if not serves(f"/apis/{KUEUE}/v1beta2", "localqueues"):
        return []
    queues = [each["metadata"]["name"] for each in items(f"/apis/{KUEUE}/v1beta2/namespaces/{team}/localqueues")]
    if not queues:
        return [warn("queue", f"{team} has no LocalQueue", f"{_SETTINGS}, if runs of the team set scheduling.queue.")]
    if labels.get(_MANAGED) != "true":
        fix = f"Run kubectl label namespace {team} {_MANAGED}=true, if Kueue selects namespaces by this label."
        return [warn("queue", f"{', '.join(queues)}, in a namespace without the label {_MANAGED}", fix)]
    return [ok("queue", ", ".join(queues))]
