"""TensorBoard answers only with the token of the workbench."""

from typing import Any

import pytest

from tfd.workbench.tensorboard import REFUSED, guarded

TOKEN = "0123456789abcdef"


def request(query: str = "", cookie: str = "") -> tuple[str, dict[str, str], bytes]:
    """Return status, headers and body of the answer to a request."""
    found: list[Any] = []
    application = guarded(lambda environ, start: [start("200 OK", []), b"board"][1:], TOKEN)
    body = application({"QUERY_STRING": query, "HTTP_COOKIE": cookie}, lambda *given: found.extend(given))
    return found[0], dict(found[1]), b"".join(body)


@pytest.mark.parametrize(
    "query", ["", "token=", "token=wrong", f"token={TOKEN}x", f"TOKEN={TOKEN}", "token=%FF", "token=é"]
)
def test_request_without_the_token_is_refused(query: str) -> None:
    status, _, body = request(query)
    assert (status, body) == ("403 Forbidden", REFUSED)


@pytest.mark.parametrize(
    "cookie", ["tensorboard-token=x", f"tensorboard-token={TOKEN}", ";;=", "other=1", "tensorboard-token=é"]
)
def test_request_with_a_wrong_cookie_is_refused(cookie: str) -> None:
    assert request(cookie=cookie)[0] == "403 Forbidden"


def test_token_becomes_a_cookie_that_opens_tensorboard() -> None:
    status, headers, _ = request(f"token={TOKEN}")
    assert (status, headers["Location"]) == ("302 Found", "./")
    assert TOKEN not in str(headers)
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Lax"} <= set(attributes)
    assert request(cookie=f"other=1; {cookie}")[2] == b"board"
    # A wrong token in the address is refused even if the browser has the cookie.
    assert request("token=wrong", cookie)[0] == "403 Forbidden"
