"""The parts of `python -m devcluster` that need neither root nor a cluster."""

import ast
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from devcluster import argocd, cgroups, cli, control, images, nodes, pki, prerequisites, storage
from devcluster.namespaces import NamespaceSet, PidFile, children, spawn, started
from devcluster.paths import CHECKOUT, CONTROL, REGISTRY, Node, node_named, save_settings, settings, state, write
from devcluster.repository import Repository, chart_version
from devcluster.shell import DevclusterError, run, wait_for

GRAMMAR = re.compile(r"^\S.*?: got .+; expected .+\. [A-Z].+\.$")


def test_node_has_name_and_addresses_from_its_number() -> None:
    node = node_named("node3")
    assert (node.name, node.address, node.pods) == ("node3", "10.77.0.13", "10.78.3")


def test_settings_are_read_as_they_were_saved() -> None:
    assert settings() == {}
    save_settings({"nodes": 2, "gpus": {"node1": 4}})
    assert settings() == {"nodes": 2, "gpus": {"node1": 4}}


def test_write_does_not_touch_a_file_with_the_same_content(tmp_path: Path) -> None:
    path = write(tmp_path / "a" / "b", "x", 0o600)
    os.utime(path, (1, 1))
    assert write(path, "x").stat().st_mtime == 1
    assert write(path, "y").read_text() == "y"
    assert sorted(path.parent.iterdir()) == [path]


def test_failed_command_raises_with_command_exit_code_and_error_output() -> None:
    with pytest.raises(DevclusterError, match=r"(?s)sh -c echo broken.*exited with 3: broken"):
        run(["sh", "-c", "echo broken >&2; exit 3"])


def test_timeout_message_has_the_last_error_and_the_hint() -> None:
    def never() -> bool:
        raise DevclusterError("not yet")

    with pytest.raises(DevclusterError, match=r"(?s)Timed out after 0.2 s: the moon\nnot yet\nlook up"):
        wait_for("the moon", never, 0.2, "look up")


def test_wait_ends_when_the_awaited_component_has_died() -> None:
    node = NamespaceSet("node1")
    node.folder.mkdir(parents=True)
    (node.folder / "kubelet.log").write_text("first\nno such socket\n")
    with pytest.raises(DevclusterError, match=r"(?s)kubelet of node1 died.*no such socket"):
        wait_for("node1", lambda: node.must_run("kubelet"), 60)


def test_pid_file_does_not_match_another_process_with_a_reused_pid(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        file = PidFile(tmp_path / "run" / "sleep.pid")
        file.save(process.pid)
        assert file.pid() == process.pid
        file.path.write_text(f"{process.pid} 1\n")
        assert file.pid() is None
        file.save(process.pid)
        process.kill()
    assert file.pid() is None
    assert PidFile(tmp_path / "none.pid").pid() is None


def test_zombie_counts_as_ended() -> None:
    with subprocess.Popen(["true"]) as process:
        wait_for("the end", lambda: started(process.pid) is None, 60)


def test_spawned_process_is_a_child_and_writes_its_log(tmp_path: Path) -> None:
    pid = spawn(["sh", "-c", "echo $WHAT; exec sleep 60"], tmp_path / "log", {"WHAT": "hello"})
    assert pid in children(os.getpid())
    wait_for("the log", lambda: (tmp_path / "log").read_text() == "hello\n", 60)
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def test_entering_a_stopped_node_raises() -> None:
    with pytest.raises(DevclusterError, match=r"node2 does not run.*node start node2"):
        NamespaceSet("node2").inside(["true"])
    assert NamespaceSet("node2").running("kubelet") is None


def test_missing_prerequisites_are_named_with_the_commands_that_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "COMMANDS", {"no-such-program": "nosuch", "sh": "dash"})
    monkeypatch.setattr(prerequisites, "FILES", {"/no/such/header.h": "nosuch-dev", "/": "base-files"})
    monkeypatch.setattr(prerequisites, "KERNEL_MODULES", {"/no/such/setting": "no_such_module"})
    with pytest.raises(DevclusterError) as raised:
        prerequisites.check()
    assert "apt-get install -y --no-install-recommends nosuch nosuch-dev" in str(raised.value)
    assert "/no/such/setting: got nothing; expected the kernel module no_such_module." in str(raised.value)
    assert [line for line in str(raised.value).splitlines() if not GRAMMAR.match(line)] == []


def test_command_without_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DevclusterError, match=GRAMMAR):
        prerequisites.check()


def test_certificates_are_signed_created_once_and_embedded_in_the_kubeconfig() -> None:
    pki.control_plane()
    node = pki.node(Node(2))
    authority = pki.folder() / "ca.crt"
    for name in ("apiserver", "admin", "node2"):
        assert "OK" in run(["openssl", "verify", "-CAfile", authority, pki.folder() / f"{name}.crt"])
    text = run(["openssl", "x509", "-in", pki.folder() / "node2.crt", "-noout", "-text"])
    assert "system:node:node2" in text and Node(2).address in text
    before = {path: path.stat().st_mtime_ns for path in pki.folder().iterdir()}
    pki.control_plane()
    pki.node(Node(2))
    assert before == {path: path.stat().st_mtime_ns for path in pki.folder().iterdir()}
    config = json.loads((state() / "kubeconfig").read_text())
    assert config["clusters"][0]["cluster"]["server"] == f"https://{CONTROL}:6443"
    assert node.stat().st_mode & 0o077 == 0


def test_each_node_has_its_configuration_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "create", lambda node: f"/test/{node}")
    one, two = (json.loads(nodes.kubelet_config(Node(number)).read_text()) for number in (1, 2))
    assert one["cgroupRoot"] == "/test/node1"
    assert one["clusterDNS"] == [CONTROL] and one["failCgroupV1"] is False
    assert one["tlsCertFile"] != two["tlsCertFile"]
    toml = nodes.containerd_config(Node(2)).read_text()
    # The nodes pull a released image from the registry of the cluster.
    mirror = Node(2).home / "registries" / "ghcr.io" / "hosts.toml"
    assert f'[host."http://{REGISTRY}"]' in mirror.read_text()
    assert f'conf_dir = "{Node(2).home}/cni"' in toml
    network = json.loads((Node(2).home / "cni" / "10-pods.conflist").read_text())
    assert network["plugins"][0]["ipam"]["ranges"][0][0]["subnet"] == "10.78.2.0/24"
    assert "ttl 5" in control.corefile().read_text()
    assert json.loads(control.registry_config().read_text())["storage"]["filesystem"]


def test_argo_cd_reads_its_namespace_and_writes_below_the_state_folder() -> None:
    pki.control_plane()
    context = json.loads(argocd.kubeconfig().read_text())["contexts"][0]["context"]
    assert context["namespace"] == argocd.NAMESPACE
    commands = argocd.components()
    assert set(argocd.COMPONENTS) | {"redis"} == set(commands)
    assert commands["redis"][-1] == state() / "argocd"
    names = [each["metadata"]["name"] for each in argocd.settings()]
    # The Secret comes last: an interrupted installation has no Secret and is repeated.
    assert names[-1] == "argocd-secret"


def test_repository_is_created_once_and_kept() -> None:
    folder = argocd.repository("runs")
    tree = run(["git", "-C", folder, "mktree"], stdin="").strip()
    commit = run(
        ["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit-tree", "-m", "x", tree]
    )
    run(["git", "-C", folder, "update-ref", "refs/heads/main", commit.strip()])
    assert argocd.repository("runs") == folder
    assert run(["git", "-C", folder, "rev-parse", "HEAD"]) == commit


def test_new_repository_has_a_chart_release_and_a_second_clone_continues(tmp_path: Path) -> None:
    made = Repository(argocd.repository("runs"), tmp_path / "first")
    made.start()
    made.push("one run", {"jobs/vision/a.yaml": "storage: {claim: runs}\n"})
    made.push("none", {"jobs/vision/a.yaml": None, "README.md": "x"})
    again = Repository(made.bare, tmp_path / "second")
    again.start()
    assert again.git("log", "--format=%s", "--reverse") == "The chart\none run\nnone"
    assert again.git("ls-files", "jobs", "README.md") == "README.md"
    released = f"refs/tags/tf-distributed-{chart_version()}"
    files = again.git("ls-tree", "-r", "--name-only", released).splitlines()
    assert {"charts/tf-distributed/Chart.yaml", "charts/tf-distributed/values.schema.json"} <= set(files)
    assert again.git("rev-parse", f"{released}^{{commit}}") == again.git("rev-list", "--max-parents=0", "HEAD")


def test_control_groups_are_created_and_removed_with_v1_and_found_with_v2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tmp_path / "v1"
    for name in ("cpuset", "memory"):
        (one / name).mkdir(parents=True)
        (one / name / "cgroup.procs").touch()
    monkeypatch.setattr(cgroups, "MOUNT", one)
    assert cgroups.create("node1") == "/tf-distributed/node1"
    assert [(one / name / "tf-distributed" / "node1").is_dir() for name in ("cpuset", "memory")] == [True, True]
    cgroups.create("node2")
    cgroups.remove("node1")
    assert sorted(path.name for path in (one / "memory" / "tf-distributed").iterdir()) == ["node2"]
    cgroups.remove()
    assert sorted(path.name for path in (one / "memory").iterdir()) == ["cgroup.procs"]

    two = tmp_path / "v2"
    two.mkdir()
    (two / "cgroup.controllers").write_text("cpu memory rdma\n")
    monkeypatch.setattr(cgroups, "MOUNT", two)
    assert cgroups.hierarchies() == [two]


def test_claim_is_bound_to_a_folder_that_all_users_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[dict[str, object]] = []
    monkeypatch.setattr(storage, "apply", lambda *objects: applied.extend(objects))
    folder = storage.claim("vision", "runs")
    assert folder.stat().st_mode & 0o777 == 0o777
    volume, claim = applied
    assert volume["spec"]["claimRef"] == {"namespace": "vision", "name": "runs"}  # type: ignore[index]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]  # type: ignore[index]


def test_image_tag_is_the_fingerprint_of_its_inputs() -> None:
    file = CHECKOUT / "trainer" / "Dockerfile"
    assert images.fingerprint([file]) == images.fingerprint([file, file]) != images.fingerprint([file], "x")
    keys = [images.key_of(target) for target in (*images.TARGETS, images.WORKBENCH)]
    assert keys == [images.key_of(target) for target in (*images.TARGETS, images.WORKBENCH)] and len(set(keys)) == 3


def test_image_of_the_workbench_is_made_of_everything_that_a_wheel_contains() -> None:
    [folders] = re.findall(r"^FOLDERS = (\(.*\))$", (CHECKOUT / "setup.py").read_text(), flags=re.M)
    admitted = (CHECKOUT / "trainer" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{folder}" for folder in ast.literal_eval(folders)} <= set(admitted)
    notebook = next((CHECKOUT / "workbench" / "notebooks").glob("*.ipynb"))
    assert {notebook, CHECKOUT / "charts" / "workbench" / "Chart.yaml"} <= set(images.files_of("workbench", "charts"))


def test_images_install_only_packages_with_hashes_and_run_as_nobody() -> None:
    for target in (*images.TARGETS, "trainer-gpu", "workbench", "workbench-gpu"):
        lock = (CHECKOUT / "requirements" / f"{target}.txt").read_text()
        packages = re.findall(r"^[a-z0-9-]+==.*$", lock, flags=re.M)
        assert packages and all(line.endswith("\\") for line in packages)
        assert lock.count("--hash=sha256:") >= len(packages)
    dockerfile = (CHECKOUT / "trainer" / "Dockerfile").read_text()
    assert "pip install" not in dockerfile
    [install] = re.findall("pip install .*", (CHECKOUT / "scripts" / "image-packages.sh").read_text())
    assert "--require-hashes" in install
    assert re.findall(r"^USER (.*)$", dockerfile, flags=re.M) == ["65534:65534"] * 5
    assert "ENTRYPOINT" not in dockerfile
    [local] = re.findall("pip install .*", (CHECKOUT / "scripts" / "image-workbench.sh").read_text())
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(local.split())


def test_images_have_the_package_versions_of_the_tests() -> None:
    def versions(name: str) -> set[str]:
        return set(
            re.findall(r"^([a-z0-9-]+==\S+)", (CHECKOUT / "requirements" / f"{name}.txt").read_text(), flags=re.M)
        )

    assert versions("tensorboard") <= versions("trainer") <= versions("dev")
    assert versions("trainer") <= versions("workbench")
    cpu_only = {each for each in versions("trainer") if each.startswith("tensorflow-cpu==")}
    assert cpu_only
    assert versions("trainer") - cpu_only < versions("trainer-gpu")


def test_every_go_module_of_a_node_is_pinned() -> None:
    for name in ("hyperkube", "etcd", "coredns", "registry", "runc", "cni", "argocd"):
        module = CHECKOUT / "devcluster" / "node" / name
        assert (module / "go.sum").stat().st_size > 0
        assert f"module tf-distributed/devcluster/node/{name}" in (module / "go.mod").read_text()


def test_condition_of_an_earlier_kubelet_is_ignored() -> None:
    node = NamespaceSet("node1")
    PidFile(node.folder / "kubelet.pid").save(os.getpid())
    os.utime(node.folder / "kubelet.pid", (1000000000.9, 1000000000.9))
    assert nodes.newer({"lastHeartbeatTime": "2001-09-09T01:46:40Z"}, node)
    assert not nodes.newer({"lastHeartbeatTime": "2001-09-09T01:46:39Z"}, node)


def test_commands_without_a_cluster_name_the_command_that_starts_one() -> None:
    for words in (
        ["status"],
        ["images"],
        ["git"],
        ["gpus", "node1", "4"],
        ["node", "stop", "node1"],
        ["exec", "control", "true"],
    ):
        done = CliRunner().invoke(cli.main, words)
        assert done.exit_code == 1, (words, done.exception)
        assert "No cluster runs. Start one with `make cluster`." in done.output, done.output


def test_unknown_node_is_refused_with_the_names_of_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    save_settings({"nodes": 2})
    monkeypatch.setattr(cli, "require_running", lambda: None)
    assert cli.existing_node("node2") == Node(2)
    with pytest.raises(DevclusterError, match=GRAMMAR) as raised:
        cli.existing_node("node3")
    assert str(raised.value).startswith('NAME: got "node3"; expected one of "node1", "node2".')


def test_folders_that_nodes_cannot_see_are_refused() -> None:
    with pytest.raises(DevclusterError, match=GRAMMAR) as raised:
        cli.check_folders({"TFD_CACHE": Path("/var/lib/cluster")})
    assert str(raised.value).startswith('TFD_CACHE: got "/var/lib/cluster"; expected a folder outside /run, /var/lib')
    cli.check_folders({"TFD_CACHE": Path("/srv/cluster")})


def test_prune_keeps_the_newest_two_images_of_each_name_and_those_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ["trainer:c", "<none>:<none>", "trainer:b", "trainer-packages:x", "trainer:a", "pause:latest"]
    dangling = {"child": ["parent"], "parent": []}
    left = {"child", "used"}

    def buildah(*words: str) -> str:
        if words[0] == "rmi":
            for name in words[1:]:
                if name in store:
                    store.remove(name)
                elif name != "used":
                    left.discard(name)
                    left.update(dangling[name])
            if "used" in words:
                raise DevclusterError("image is in use by a container")
            return ""
        return "\n".join(left) if "dangling=true" in words else "\n".join(name.replace(":", " ") for name in store)

    monkeypatch.setattr(images, "buildah", buildah)
    images.prune()
    assert store == ["trainer:c", "<none>:<none>", "trainer:b", "trainer-packages:x", "pause:latest"]
    assert left == {"used"}
