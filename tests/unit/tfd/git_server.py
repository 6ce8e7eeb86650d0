"""A git server over HTTP, as git's own `http-backend` serves it."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit


def git(folder: Path, *words: str) -> str:
    """Run git in `folder`; return its output."""
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, **files: str) -> str:
    """Commit `files` (name without .py -> text) in the repository `folder`, which may be new; return the hash."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


@dataclass
class GitServer:
    """One host with the repositories below a folder."""

    address: str
    """Without the scheme: host:port."""
    credentials: list[str] = field(default_factory=list)
    """The user names and passwords that clients sent, each as name:password."""


@contextmanager
def serving(
    root: Path, host: str = "127.0.0.1", *, password: str = "", old: bool = False, redirect: str = ""
) -> Iterator[GitServer]:
    """Serve the repositories below `root` on `host`.

    Args:
        root: The folder of the repositories.
        host: The IP address to listen on.
        password: The password that clients must send; empty: all may read.
        old: Whether the server has only the protocol 0, in which it sends branches and tags only.
        redirect: Answer each request with a redirect to this address.

    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            sent = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            server.credentials.extend([sent] if sent else [])
            if redirect:
                self._send(302, {"Location": redirect + self.path})
            elif password and sent.partition(":")[2] != password:
                self._send(401, {"WWW-Authenticate": "Basic realm=git"})
            else:
                self._backend()

        do_POST = do_GET

        def _send(self, code: int, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _backend(self) -> None:
            url = urlsplit(self.path)
            env = {
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command, "PATH_INFO": url.path, "QUERY_STRING": url.query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": "" if old else self.headers.get("Git-Protocol", ""),
            }  # fmt: skip
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=True)
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self._send(int(headers.pop("Status", "200").split()[0]), headers, rest)

    with ThreadingHTTPServer((host, 0), Handler) as listener:
        server = GitServer(f"{host}:{listener.server_address[1]}")
        Thread(target=listener.serve_forever, daemon=True).start()
        yield server
        listener.shutdown()
