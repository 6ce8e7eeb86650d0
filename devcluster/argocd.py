"""Argo CD as the control plane's other components are: processes in its namespaces. It watches git repositories here.

Of Argo CD there is what syncs: the application controller, the repo server, the ApplicationSet controller and their
Redis. Server and notifications are left out; `bin/argocd` is its command, which reads the same settings.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from devcluster import control, pki
from devcluster.build import binaries_of, link
from devcluster.kube import apply_on_server, kubectl
from devcluster.paths import CHECKOUT, state, write
from devcluster.shell import run, say, wait_for

NAMESPACE = "argocd"
MODULE = "github.com/argoproj/argo-cd/v3"
COMPONENTS = ("argocd-repo-server", "argocd-application-controller", "argocd-applicationset-controller")
PORTS = (6379, 8081, 8082, 7000)
"""Where Redis, repo server, application controller and ApplicationSet controller listen when they are ready."""
SECONDS_TO_START = 120
SETTINGS = ("argocd-cm", "argocd-rbac-cm", "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm", "argocd-gpg-keys-cm")


def programs() -> None:
    """Build what is not in the cache, and link it beside the cluster's other programs."""
    folder = state() / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    [argocd] = binaries_of("argocd")
    for name in ("argocd", *COMPONENTS):
        link(folder / name, argocd)
    [helm] = binaries_of("helm")  # Argo CD renders with the one on its PATH
    link(folder / "helm", helm)
    # It calls this for every revision, also when signatures are not asked for; without it nothing renders. In the
    # modules' cache nothing is executable.
    write(folder / "git-verify-wrapper.sh", (source() / "hack" / "git-verify-wrapper.sh").read_text(), 0o755)


def source() -> Path:
    """Return the folder of Argo CD's source, which has its CRDs."""
    module = CHECKOUT / "devcluster" / "node" / "argocd"
    said = [
        line.removeprefix("// env: ") for line in (module / "go.mod").read_text().splitlines() if "// env: " in line
    ]
    env = os.environ | dict(word.split("=", 1) for line in said for word in line.split())
    run(["go", "-C", module, "mod", "download", MODULE], env=env)
    return Path(run(["go", "-C", module, "list", "-m", "-f", "{{.Dir}}", MODULE], env=env).strip())


def up() -> None:
    """Start what does not run of it and wait until it works."""
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
        if control.SPACE.start(name, command, environment):
            say(f"started {name}")
    wait_for("Argo CD", listens, SECONDS_TO_START, f"logs: {control.SPACE.folder}")
    say("Argo CD is ready")


def components() -> dict[str, list[str | Path]]:
    """Return the command of each component."""
    linked, redis, repo_server = state() / "bin", "127.0.0.1:6379", "127.0.0.1:8081"
    use = ["--repo-server-plaintext", "--loglevel=warn"]
    return {
        "redis": ["redis-server", "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", folder()],
        "argocd-repo-server": [
            linked / "argocd-repo-server", "--address=127.0.0.1", "--metrics-address=127.0.0.1", f"--redis={redis}",
            # TLS can't be left out while there is an authority for it.
            "--disable-tls", "--client-ca-path=", "--loglevel=warn",
            # How long it may think that a branch is where it was: the set asks every few seconds.
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


def teams(*options: str | Path) -> None:
    """Render argocd/ with options for helm, and bring it into Argo CD as its README says."""
    with tempfile.TemporaryDirectory() as made:
        run([state() / "bin" / "helm", "template", "argocd", CHECKOUT / "argocd", "--output-dir", made, *options])
        templates = Path(made, "argocd", "templates")
        kubectl("apply", "--server-side", "--field-manager=tf-distributed", "-f", str(templates / "teams"))
        for patch in sorted((templates / "settings").iterdir()):
            given = ("--type=merge", "--patch-file", str(patch))
            kubectl("patch", "configmap", patch.stem, "--namespace", NAMESPACE, *given)


def listens() -> bool:
    """Return whether each component can be reached."""
    control.SPACE.must_run("redis", *COMPONENTS)
    open_ports = control.SPACE.call("ss --tcp --listening --numeric --no-header")
    return all(f":{port} " in open_ports for port in PORTS)


def install() -> None:
    """Make Argo CD's namespace, kinds and empty settings, which its own installation would bring."""
    made_last = ("secret", "argocd-secret", "--namespace", NAMESPACE)
    if not kubectl("get", *made_last, "--ignore-not-found", "-o", "name"):
        crds = source() / "manifests" / "crds"
        names = ("application-crd.yaml", "applicationset-crd.yaml", "appproject-crd.yaml")
        # Too large for an annotation, where a client's apply would keep a copy.
        files = [word for name in names for word in ("-f", str(crds / name))]
        kubectl("apply", "--server-side", *files)
        # Asked again and again: kubectl does not wait for an object that has no status yet.
        wait_for("Argo CD's kinds", lambda: kubectl("wait", "--for=condition=Established", *files), SECONDS_TO_START)
        apply_on_server({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *settings())


def settings() -> list[dict[str, Any]]:
    """Return the settings that Argo CD must find, and the secret that it signs sessions with."""

    def metadata(name: str) -> dict[str, Any]:
        labels = {"app.kubernetes.io/part-of": "argocd", "app.kubernetes.io/name": name}
        return {"name": name, "namespace": NAMESPACE, "labels": labels}

    secret = {"server.secretkey": secrets.token_hex(16)}
    maps = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name)} for name in SETTINGS]
    return [*maps, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("argocd-secret"), "stringData": secret}]


def folder() -> Path:
    """Return where Argo CD keeps its files."""
    home = state() / "argocd"
    for name in ("tls", "ssh", "gpg", "gnupg", "tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "gnupg").chmod(0o700)
    return home


def kubeconfig() -> Path:
    """Write its kubeconfig; it looks for its settings in the namespace that this names."""
    crt, key = pki.certificate("argocd", "/O=system:masters/CN=argocd")
    return pki.kubeconfig(pki.folder() / "argocd.kubeconfig", crt, key, NAMESPACE)


def repository(name: str) -> Path:
    """Return the folder of a bare git repository that Argo CD reaches as file://FOLDER; make it if it is not there."""
    path = state() / "git" / f"{name}.git"
    if not path.exists():
        run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path])
    return path
