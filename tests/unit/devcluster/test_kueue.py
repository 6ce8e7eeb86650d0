"""What `python -m devcluster up --kueue` gives Kueue; nothing is started."""

import json
from pathlib import Path

from devcluster import kueue
from devcluster.paths import CONTROL

NAMESPACE_SELECTOR = {"matchLabels": {"kueue.x-k8s.io/managed-namespace": "true"}}


def hook(name: str, group: str) -> kueue.Object:
    service = {"service": {"name": "webhook-service", "namespace": "system", "path": f"/{name}"}}
    return {"name": name, "clientConfig": service, "rules": [{"apiGroups": [group]}]}


def test_webhooks_call_this_machine_and_see_managed_namespaces_only() -> None:
    hooks = [hook("mpod.kb.io", ""), hook("mjob.kb.io", "batch"), hook("mray.kb.io", "ray.io")]
    hooks += [hook("vqueue.kb.io", "kueue.x-k8s.io")]
    found = kueue.reachable({"kind": "X", "metadata": {"name": "hooks"}, "webhooks": hooks})
    assert found["metadata"]["name"] == "kueue-hooks"
    kept = {each["name"]: each for each in found["webhooks"]}
    assert list(kept) == ["mpod.kb.io", "mjob.kb.io", "vqueue.kb.io"]
    assert kept["mpod.kb.io"]["clientConfig"]["url"] == f"https://{CONTROL}:9443/mpod.kb.io"
    assert kept["mpod.kb.io"]["namespaceSelector"] == kept["mjob.kb.io"]["namespaceSelector"] == NAMESPACE_SELECTOR
    # Queues belong to no namespace, or to one that may not have the label yet.
    assert "namespaceSelector" not in kept["vqueue.kb.io"]


def test_configuration_never_queues_jobs_by_themselves_and_never_retries_a_start() -> None:
    config = json.loads(kueue.config().read_text())
    assert config["manageJobsWithoutQueueName"] is False
    assert config["managedJobsNamespaceSelector"] == NAMESPACE_SELECTOR
    assert "pod" in config["integrations"]["frameworks"]
    assert config["waitForPodsReady"]["requeuingStrategy"] == {"backoffLimitCount": 0}
    folder = Path(config["webhook"]["certDir"])
    assert all((folder / name).exists() for name in ("tls.crt", "tls.key"))
