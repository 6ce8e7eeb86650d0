"""Argo CD as processes in the control plane's namespaces; it watches git repositories of this machine.

Only the components that sync run: the application controller, the repo server, the ApplicationSet controller and their
Redis. The API server and the notifications controller are left out. `bin/argocd` is the `argocd` command, which reads
the same settings.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from devcluster import control, pki
from devcluster.build import binaries_of, link
from devcluster.kube import apply_server_side, kubectl
from devcluster.paths import CHECKOUT, state, write
from devcluster.shell import log, run, wait_for

NAMESPACE = "argocd"
MODULE = "github.com/argoproj/argo-cd/v3"
COMPONENTS = ("argocd-repo-server", "argocd-application-controller", "argocd-applicationset-controller")
PORTS = (6379, 8081, 8082, 7000)
"""Ports of Redis, repo server, application controller and ApplicationSet controller; open once each is ready."""
SECONDS_TO_START = 120
SETTINGS = ("argocd-cm", "argocd-rbac-cm", "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm", "argocd-gpg-keys-cm")


def programs() -> None:
    """Build the programs that the cache lacks, and link them into the folder of the other programs."""
    folder = state() / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    [argocd] = binaries_of("argocd")
    for name in ("argocd", *COMPONENTS):
        link(folder / name, argocd)
    # Argo CD renders with the Helm on its PATH.
    [helm] = binaries_of("helm")
    link(folder / "helm", helm)
    # Argo CD calls this script for every revision, even with signature checks off, and renders nothing without it.
    # Files in the module cache are not executable, so the script is copied.
    write(folder / "git-verify-wrapper.sh", (source() / "hack" / "git-verify-wrapper.sh").read_text(), 0o755)


def source() -> Path:
    """Return the folder of Argo CD's source, which contains its CRDs."""
    module = CHECKOUT / "devcluster" / "node" / "argocd"
    lines = (module / "go.mod").read_text().splitlines()
    variables = [line.removeprefix("// env: ") for line in lines if "// env: " in line]
    env = os.environ | dict(word.split("=", 1) for line in variables for word in line.split())
    run(["go", "-C", module, "mod", "download", MODULE], env=env)
    return Path(run(["go", "-C", module, "list", "-m", "-f", "{{.Dir}}", MODULE], env=env).strip())


def up() -> None:
    """Start the components that do not run and wait until all accept connections."""
    programs()
    install()
    home = folder()
    environment = {
        "PATH": f"{state() / 'bin'}:{os.environ['PATH']}",
        "KUBECONFIG": str(kubeconfig()),
        "HOSTNAME": "control",
        "TMPDIR": str(home / "tmp"),
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_TLS_DATA_PATH": str(home / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(home / "ssh"),
        "ARGOCD_GPG_DATA_PATH": str(home / "gpg"),
        "ARGOCD_GNUPGHOME": str(home / "gnupg"),
    }
    for name, command in components().items():
        if control.NAMESPACES.start(name, command, environment):
            log(f"started {name}")
    wait_for("Argo CD", listens, SECONDS_TO_START, f"logs: {control.NAMESPACES.folder}")
    log("Argo CD is ready")


def components() -> dict[str, list[str | Path]]:
    """Return the command of each component."""
    linked, redis, repo_server = state() / "bin", "127.0.0.1:6379", "127.0.0.1:8081"
    use = ["--repo-server-plaintext", "--loglevel=warn"]
    return {
        "redis": ["redis-server", "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", folder()],
        "argocd-repo-server": [
            linked / "argocd-repo-server", "--address=127.0.0.1", "--metrics-address=127.0.0.1", f"--redis={redis}",
            # The repo server refuses --disable-tls while a client CA is set.
            "--disable-tls", "--client-ca-path=", "--loglevel=warn",
            # The repo server caches the revision of a branch this long; the ApplicationSet asks every few seconds.
            "--revision-cache-expiration=1s",
        ],
        "argocd-application-controller": [
            linked / "argocd-application-controller", f"--redis={redis}", f"--repo-server={repo_server}", *use,
            "--app-resync=60", "--app-resync-jitter=0",
        ],
        "argocd-applicationset-controller": [
            linked / "argocd-applicationset-controller", f"--argocd-repo-server={repo_server}", *use,
            "--metrics-addr=127.0.0.1:12345", "--probe-addr=127.0.0.1:12346", "--webhook-addr=127.0.0.1:7000",
        ],
    }  # fmt: skip


def teams(*options: str | Path, force: bool = False) -> None:
    """Render argocd/ with options for Helm, and apply it as argocd/README.md describes.

    Args:
        options: Options for Helm.
        force: Whether to overwrite fields that another field manager changed.

    """
    conflicts = f"--force-conflicts={json.dumps(force)}"
    with tempfile.TemporaryDirectory() as output:
        run([state() / "bin" / "helm", "template", "argocd", CHECKOUT / "argocd", "--output-dir", output, *options])
        templates = Path(output, "argocd", "templates")
        owner = "--field-manager=tf-distributed"
        kubectl("apply", "--server-side", owner, conflicts, "-f", str(templates / "teams"))
        for patch in sorted((templates / "settings").iterdir()):
            kubectl(
                "patch", "configmap", patch.stem, "--namespace", NAMESPACE, "--type=merge", "--patch-file", str(patch)
            )


def listens() -> bool:
    """Return whether every component accepts connections."""
    control.NAMESPACES.must_run("redis", *COMPONENTS)
    open_ports = control.NAMESPACES.call("ss --tcp --listening --numeric --no-header")
    return all(f":{port} " in open_ports for port in PORTS)


def install() -> None:
    """Create the namespace, CRDs and empty settings that a regular Argo CD installation contains."""
    created_last = ("secret", "argocd-secret", "--namespace", NAMESPACE)
    if not kubectl("get", *created_last, "--ignore-not-found", "-o", "name"):
        crds = source() / "manifests" / "crds"
        names = ("application-crd.yaml", "applicationset-crd.yaml", "appproject-crd.yaml")
        # The CRDs are too large for the annotation in which a client-side apply keeps a copy.
        files = [word for name in names for word in ("-f", str(crds / name))]
        kubectl("apply", "--server-side", *files)
        # Called repeatedly, because `kubectl wait` fails on an object that has no status yet.
        wait_for("Argo CD's CRDs", lambda: kubectl("wait", "--for=condition=Established", *files), SECONDS_TO_START)
        apply_server_side({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *settings())


def settings() -> list[dict[str, Any]]:
    """Return the ConfigMaps that Argo CD requires, and the Secret that signs sessions."""

    def metadata(name: str) -> dict[str, Any]:
        labels = {"app.kubernetes.io/part-of": "argocd", "app.kubernetes.io/name": name}
        return {"name": name, "namespace": NAMESPACE, "labels": labels}

    secret = {"server.secretkey": secrets.token_hex(16)}
    maps = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name)} for name in SETTINGS]
    return [*maps, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("argocd-secret"), "stringData": secret}]


def folder() -> Path:
    """Return the folder of Argo CD's files."""
    home = state() / "argocd"
    for name in ("tls", "ssh", "gpg", "gnupg", "tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "gnupg").chmod(0o700)
    return home


def kubeconfig() -> Path:
    """Write Argo CD's kubeconfig; Argo CD reads its settings from the namespace of the context."""
    crt, key = pki.certificate("argocd", "/O=system:masters/CN=argocd")
    return pki.kubeconfig(pki.folder() / "argocd.kubeconfig", crt, key, NAMESPACE)


def repository(name: str) -> Path:
    """Return the folder of a bare git repository that Argo CD reaches as file://FOLDER; create it if needed."""
    path = state() / "git" / f"{name}.git"
    if not path.exists():
        run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path])
    return path
