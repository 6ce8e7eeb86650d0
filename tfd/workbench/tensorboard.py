"""TensorBoard behind a token: `python -m tfd.workbench.tensorboard OPTION...`, with the token in JUPYTER_TOKEN.

The options are those of TensorBoard, which has no authentication of its own. The address `/?token=TOKEN` sets a cookie,
as JupyterLab does.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
COOKIE = "tensorboard-token"
REFUSED = b"token: got nothing or a wrong one; expected the token of the workbench. Open /?token=TOKEN.\n"


def guarded(app: App, token: str) -> App:
    """Return a WSGI application that calls `app` only for requests with the token, or with the cookie that it sets."""
    # The browser sends a cookie to every port of the host, so the cookie does not contain the token.
    ticket = hmac.new(token.encode(), COOKIE.encode(), hashlib.sha256).hexdigest()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = parse_qs(environ.get("QUERY_STRING", "")).get("token", [""])[0]
        if _equal(given, token):
            cookie = f"{COOKIE}={ticket}; Path=/; HttpOnly; SameSite=Lax"
            # The token disappears from the address. The browser keeps the part after #, which selects the page.
            start_response("302 Found", [("Location", "./"), ("Set-Cookie", cookie)])
            return []
        if not given and _equal(_cookie(environ.get("HTTP_COOKIE", "")), ticket):
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", str(len(REFUSED)))])
        return [REFUSED]

    return application


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogatepass"), expected.encode())


def main(options: list[str]) -> int:
    """Serve TensorBoard until SIGTERM."""
    from tensorboard import program

    token = os.environ["JUPYTER_TOKEN"]

    class Server(program.WerkzeugServer):  # type: ignore[misc]
        def __init__(self, wsgi_app: App, flags: Any) -> None:  # noqa: ANN401 - TensorBoard's flags
            super().__init__(guarded(wsgi_app, token), flags)

    board = program.TensorBoard(server_class=Server)
    board.configure(argv=["tensorboard", *options])
    return int(board.main() or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
