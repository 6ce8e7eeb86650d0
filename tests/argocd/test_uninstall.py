"""The page that describes how to remove the platform names each object that `argocd/` renders."""

import json
from pathlib import Path

from tests.argocd.test_render import Object, objects
from tests.pages.blocks import blocks

PAGE = "docs/platform/uninstall.md"
TEAM, OTHERS = "vision", ("argocd", "")
COMMANDS = [command for block in blocks() if block.page == PAGE for command in block.commands()]


def everything(tmp_path: Path) -> dict[tuple[str, str, str], Object]:
    """Return the objects of one team that uses each feature."""
    queue = {"a100": {"cpu": 64, "memory": "256Gi", "nvidia.com/gpu": 16}}
    return objects(
        tmp_path,
        teams={TEAM: {"queue": queue}},
        queues={"flavors": [{"name": "a100"}]},
        startTimeout={"image": "registry.example.com/trainer@sha256:" + "0" * 64},
        notifications={"github": "example-org/runs"},
    )


def deleted() -> set[tuple[str, str, str]]:
    """Return kind, namespace and name of each object that the commands of the page delete."""
    found = set()
    for command in COMMANDS:
        if "delete" not in command or "-l" in command:
            continue
        namespace = command[command.index("-n") + 1] if "-n" in command else ""
        kinds, *names = [word for word in command[command.index("delete") + 1 :] if not word.startswith("-")]
        found |= {(kind, namespace, name) for kind in kinds.split(",") for name in names}
    return found


def test_page_deletes_each_object_outside_the_namespace_of_the_team(tmp_path: Path) -> None:
    shared = {
        (kind.lower(), namespace, name)
        for kind, namespace, name in everything(tmp_path)
        if namespace in OTHERS and not name.startswith("argocd-")
    }
    assert ("cronjob", "argocd", "tf-distributed-start-timeout") in shared
    assert deleted() == shared


def test_page_removes_each_key_of_the_settings(tmp_path: Path) -> None:
    rendered = {
        name: dict.fromkeys(each["data"])
        for (_, _, name), each in everything(tmp_path).items()
        if name.startswith("argocd-")
    }
    removed = {
        command[command.index("configmap") + 1]: json.loads(command[-1])["data"]
        for command in COMMANDS
        if "configmap" in command and "patch" in command
    }
    assert removed == rendered


def test_no_object_of_the_whole_cluster_has_rights_or_changes_the_api(tmp_path: Path) -> None:
    rendered = {kind for kind, namespace, _ in everything(tmp_path) if not namespace}
    assert rendered == {"Namespace", "ClusterQueue", "ResourceFlavor", "WorkloadPriorityClass"}
