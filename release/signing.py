"""Sign and verify with cosign: with the identity of the workflow on GitHub, or with a key of this machine."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.build import go_module
from devcluster.repository import chart_version
from devcluster.shell import DevclusterError, run
from release.contents import Artifact

ISSUER = "https://token.actions.githubusercontent.com"
SERVICES, ROOTS = "signing-config.json", "trusted-root.json"
PROVENANCE = "slsaprovenance1"
"""The type of the attestation, in the words of cosign."""


class TamperedError(Exception):
    """cosign refuses an artifact; the message is its own."""


@dataclass(frozen=True)
class Signer:
    """What signs and what verifies.

    A key keeps everything on this machine: no certificate, no time stamp and no entry in a public log.
    """

    key: Path | None = None
    """The private key. Its public key has the same name and the end `.pub`. None: the identity of the workflow."""
    identity: str = ""
    """The identity of the workflow: the address of its file, `@`, and the git reference."""
    plain: bool = False
    """Whether the registry has no TLS."""

    def sign(self, artifact: Artifact) -> None:
        """Sign an image or a chart."""
        _cosign("sign", *self._signing(), *self._registry(), artifact.reference)

    def attest(self, artifact: Artifact, kind: str, predicate: Path) -> None:
        """Sign a statement about an image or a chart, such as its provenance, and store both in the registry."""
        words = ["--type", kind, "--predicate", str(predicate), *self._signing(), *self._registry()]
        _cosign("attest", *words, artifact.reference)

    def sign_file(self, path: Path) -> None:
        """Sign a file; write the signature next to it."""
        _cosign("sign-blob", "--bundle", _bundle(path), *self._signing(), str(path))

    def attest_file(self, path: Path, kind: str, predicate: Path) -> None:
        """Sign a statement about a file; write it next to the file."""
        words = ["--type", kind, "--predicate", str(predicate), "--bundle", _bundle(path, kind), *self._signing()]
        _cosign("attest-blob", *words, str(path))

    def verify(self, name: str) -> str:
        """Verify the signature of NAME:VERSION and return its digest.

        Raises:
            TamperedError: it is not signed, or not by this signer.

        """
        found = json.loads(self._verified("verify", *self._registry(), f"{name}:{chart_version()}"))
        return str(found[0]["critical"]["image"]["docker-manifest-digest"])

    def verify_attestation(self, reference: str, kind: str) -> list[dict[str, Any]]:
        """Verify the signed statements of a kind; return their content. Raises TamperedError as `verify` does."""
        envelopes = self._verified("verify-attestation", "--type", kind, *self._registry(), reference).splitlines()
        return [json.loads(b64decode(json.loads(each)["payload"]))["predicate"] for each in envelopes]

    def verify_file(self, path: Path, signed: Path) -> None:
        """Verify that a file has the content of a signed file. Raises TamperedError as `verify` does."""
        self._verified("verify-blob", "--bundle", _bundle(signed), str(path))

    def verify_file_attestation(self, path: Path, kind: str, signed: Path) -> None:
        """Verify that a signed statement is about a file with this content. Raises TamperedError as `verify` does."""
        self._verified("verify-blob-attestation", "--type", kind, "--bundle", _bundle(signed, kind), str(path))

    def _signing(self) -> list[str]:
        if not self.key:
            return ["--yes"]
        services = str(self.key.with_name(SERVICES))
        return ["--yes", "--key", str(self.key), "--signing-config", services, *self._roots()]

    def _verified(self, verb: str, *words: str) -> str:
        if self.key:
            trusted = ["--key", str(self.key.with_suffix(".pub")), "--insecure-ignore-tlog", *self._roots()]
        else:
            trusted = ["--certificate-identity", self.identity, "--certificate-oidc-issuer", ISSUER]
        try:
            return _cosign(verb, *trusted, *words)
        except DevclusterError as error:
            raise TamperedError(str(error)) from error

    def _roots(self) -> list[str]:
        return ["--trusted-root", str(self.key.with_name(ROOTS))] if self.key else []

    def _registry(self) -> list[str]:
        return ["--allow-http-registry"] if self.plain else []


def new_key(folder: Path) -> Path:
    """Create a key pair without a password and return the private key."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "cosign.key"
    for old in (key, key.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    _cosign("generate-key-pair", "--output-key-prefix", str(key.with_suffix("")))
    # Without services and roots of trust, cosign connects only to the registry.
    _cosign("signing-config", "create", "--out", str(folder / SERVICES))
    _cosign("trusted-root", "create", "--out", str(folder / ROOTS))
    return key


def _bundle(path: Path, kind: str = "") -> str:
    return f"{path}{kind and f'.{kind}'}.sigstore.json"


def _cosign(*words: str) -> str:
    return run([go_module("cosign") / "cosign", *words], env=os.environ | {"COSIGN_PASSWORD": ""})
