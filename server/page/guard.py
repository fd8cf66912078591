"""What every request has to pass, and what every answer carries.

The page holds no session and sets no cookie, so another site's page has nothing to ride on: a wish
needs a header that a browser adds for nobody. A name that points to this machine without being its
own (DNS rebinding) is refused, so that no other site's page can read what is shown here.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 1024
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def token_digest(token: str) -> str:
    """Return the SHA-256 of a token, hex. A token is 32 random bytes or more: no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_token(authorization: str, token_hash: str) -> bool:
    """Return whether an Authorization header holds the token, in time that tells nothing."""
    scheme, _, token = authorization.partition(" ")
    same = hmac.compare_digest(token_digest(token), token_hash)
    return same and scheme.lower() == "bearer"


@dataclass(frozen=True)
class Guard:
    """Stands before the application. names: host names beside localhost that are this page's."""

    app: ASGIApp
    names: Collection[str] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what does not belong here; add the headers to any answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if refusal := self._refusal(Headers(scope=scope), scope["method"]):
            await _answer(with_headers, *refusal)
        else:
            await self.app(scope, receive, with_headers)

    def _refusal(self, headers: Headers, method: str) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_own(_name(host)):
            return 421, "this page does not answer to that host name"
        if method in ("GET", "HEAD"):
            return None
        origin = headers.get("origin", "")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
            origin and origin.partition("://")[2] != host
        ):
            return 403, "a wish comes from this page itself, not from another site"
        length = headers.get("content-length", "")
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > MOST_BODY:
            return 413, f"a wish is at most {MOST_BODY} bytes long and says how long"
        return None

    def _is_own(self, name: str) -> bool:
        if name in ("localhost", *self.names):
            return True
        try:
            ip_address(name)  # a number cannot be made to point elsewhere
        except ValueError:
            return False
        return True


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


async def _answer(send: Send, status: int, what: str) -> None:
    body = json.dumps({"detail": what}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
