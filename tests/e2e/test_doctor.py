"""`tfd doctor` on a cluster: what it reads is there, and its probe sees the policy engine."""

import json
import sys

from tests.e2e.kube import GPU, Kube, Object, command
from tests.e2e.team import Team
from tests.e2e.test_network import require_enforcement

DENY: Object = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}


def findings(team: Team, *words: str) -> dict[str, Object]:
    """Return the findings by check. The Argo CD of another scenario may lack settings, which is exit code 1."""
    report = command(
        [sys.executable, "-m", "tfd", "doctor", "-n", team.name, "--json", *words], env=team.kube.env, exits=(0, 1)
    )
    return {each["check"]: each for each in json.loads(report)["findings"]}


def test_doctor_finds_what_the_cluster_has(team: Team, kube: Kube) -> None:
    """`tfd doctor --probe` pulls the image, writes to a ReadWriteMany claim and finds NetworkPolicy enforced, in a
    namespace that denies all connections.

    It finds a team without a quota, and the quota that is created afterwards. Nothing of the probe is left."""
    require_enforcement(team)
    kube.apply(DENY | {"metadata": {"name": "deny", "namespace": team.name}})
    found = findings(team, "--probe", "--image", kube.images["trainer"])
    for check in ("Kubernetes", "image", "ReadWriteMany claim", "NetworkPolicy", "Pod Security"):
        assert found[check]["verdict"] == "ok", found[check]
    assert found["quota"]["verdict"] == "warn"

    def swept() -> bool:
        kinds = "pods,persistentvolumeclaims,networkpolicies"
        return not kube.get("-n", team.name, kinds, "-l", "app.kubernetes.io/name=tfd-doctor")["items"]

    team.wait("the objects of the probe to be deleted", swept)
    team.kubectl("create", "quota", "team", f"--hard=requests.{GPU}=8")
    team.wait("the quota to be counted", lambda: f"requests.{GPU} 0/8" in findings(team)["quota"]["found"])
