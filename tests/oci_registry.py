"""A read-only OCI registry on the loopback network that serves packaged charts, for the real `helm pull`."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.cncf.helm.config.v1+json"
LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(kind: str, data: bytes) -> dict[str, str | int]:
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


class Registry:
    """Answers by path; each path that was asked for is in `asked`."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, bytes]] = {"/v2/": ("application/json", b"{}")}
        self.asked: list[str] = []

    def add(self, repository: str, tag: str, package: Path, metadata: Mapping[str, str]) -> None:
        """Add a packaged chart."""
        config, layer = json.dumps(metadata).encode(), package.read_bytes()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": described(CONFIG, config),
                "layers": [described(LAYER, layer)],
            }
        ).encode()
        for name in (tag, digest(manifest)):
            self.answers[f"/v2/{repository}/manifests/{name}"] = (MANIFEST, manifest)
        for data in (config, layer):
            self.answers[f"/v2/{repository}/blobs/{digest(data)}"] = ("application/octet-stream", data)


@contextmanager
def serving(registry: Registry) -> Iterator[str]:
    """Serve a registry, and yield HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            registry.asked.append(self.path)
            code, (kind, body) = 200, registry.answers.get(self.path, ("", b""))
            if not kind:
                error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}
                code, kind, body = 404, "application/json", json.dumps(error).encode()
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", digest(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
