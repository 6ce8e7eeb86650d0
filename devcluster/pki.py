"""Certificates, created by openssl and signed by one authority per cluster."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from devcluster.paths import API, CONTROL, DOMAIN, SERVICES, Node, state, write
from devcluster.shell import run

DAYS = "30"


def folder() -> Path:
    """Return the folder of keys and certificates."""
    return state() / "pki"


def key(path: Path) -> Path:
    """Return a private key; create it if needed."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path])
        path.chmod(0o600)
    return path


def authority() -> Path:
    """Return the authority's certificate."""
    crt = folder() / "ca.crt"
    if not crt.exists():
        made = key(folder() / "ca.key")
        run(
            ["openssl", "req", "-x509", "-new", "-key", made, "-days", DAYS, "-subj", "/CN=tf-distributed", "-out", crt]
        )
    return crt


def certificate(name: str, subject: str, names: str = "") -> tuple[Path, Path]:
    """Return certificate and key for a subject such as `/O=system:masters/CN=admin`; create them if needed."""
    crt, made = folder() / f"{name}.crt", key(folder() / f"{name}.key")
    if not crt.exists():
        request, extensions = folder() / f"{name}.csr", folder() / f"{name}.ext"
        run(["openssl", "req", "-new", "-key", made, "-subj", subject, "-out", request])
        alternatives = f"subjectAltName={names}\n" if names else ""
        extensions.write_text(f"{alternatives}extendedKeyUsage=serverAuth,clientAuth\n")
        sign: list[str | Path] = ["openssl", "x509", "-req", "-in", request]
        sign += ["-CA", authority(), "-CAkey", folder() / "ca.key"]
        run([*sign, "-CAcreateserial", "-days", DAYS, "-extfile", extensions, "-out", crt])
    return crt, made


def kubeconfig(path: Path, crt: Path, private: Path, namespace: str = "default") -> Path:
    """Write a kubeconfig with embedded certificates."""

    def data(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    name = "tf-distributed"
    server = {"server": API, "certificate-authority-data": data(authority())}
    user = {"client-certificate-data": data(crt), "client-key-data": data(private)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    return write(path, json.dumps(config, indent=1), 0o600)


def control_plane() -> None:
    """Create the certificates and kubeconfigs of the control plane and of its administrator."""
    authority()
    service_accounts = key(folder() / "sa.key")
    public = folder() / "sa.pub"
    if not public.exists():
        run(["openssl", "ec", "-in", service_accounts, "-pubout", "-out", public])
    kubernetes = ",".join(f"DNS:kubernetes{end}" for end in ("", ".default", ".default.svc", f".default.svc.{DOMAIN}"))
    certificate(
        "apiserver", "/CN=kube-apiserver", f"{kubernetes},DNS:localhost,IP:{CONTROL},IP:127.0.0.1,IP:{SERVICES}.1"
    )
    kubeconfig(state() / "kubeconfig", *certificate("admin", "/O=system:masters/CN=admin"))
    for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        kubeconfig(folder() / f"{name}.kubeconfig", *certificate(name, f"/CN=system:{name}"))


def node(of: Node) -> Path:
    """Return the kubeconfig of a kubelet; its certificate also secures the kubelet's port."""
    made = certificate(of.name, f"/O=system:nodes/CN=system:node:{of.name}", f"DNS:{of.name},IP:{of.address}")
    return kubeconfig(folder() / f"{of.name}.kubeconfig", *made)
