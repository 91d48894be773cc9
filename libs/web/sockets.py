"""WebSockets at the Edge: who is let in before the handshake is answered, and asked again for each question.

A browser sends no `Authorization` with a WebSocket, and sends one to any server from any page. So a page's origin must
be ours or allowed, and a credential may come as a subprotocol, `bearer.<credential>`, which stands in no address and in
no log. One in the address is not looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from starlette.types import Message, Scope, Send

from libs.auth.authenticator import Authenticator
from libs.auth.principal import Principal
from libs.ratelimit import Limit, RateLimiter
from libs.web.answer import Answer, Header

DOOR = "kubernaut.door"
"""Scope key: the Door through which this socket came."""

BEARER = "bearer."
"""A subprotocol that begins so carries a credential. It is never the one that is spoken."""

SWITCHED = 101


class TooFast(Exception):
    """More questions than the caller's rate allows; one is free after `retry_after`."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(f"more requests than allowed; ask again in {retry_after.total_seconds():.0f} s")
        self.retry_after = retry_after


class BadHandshake(Exception):
    """Not a handshake we can take; the text says why."""


@dataclass(slots=True)
class Door:
    """Lets one socket's caller in, and knows whether it still may come in later: sockets outlive credentials."""

    authenticator: Authenticator
    headers: Mapping[bytes, bytes]
    client_ip: str | None
    limiter: RateLimiter | None
    limit: Limit | None

    async def knock(self) -> Principal:
        """The caller, as it is known now; counted as one request.

        Raises:
            NotAuthenticated, TooFast
        """
        principal = self.authenticator.authenticate(self.headers, self.client_ip)
        if self.limiter is not None and self.limit is not None:
            verdict = await self.limiter.take(f"{principal.tenant}:{principal.name}", self.limit)
            if not verdict.allowed:
                raise TooFast(verdict.retry_after)
        return principal


def credentials(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """The handshake's headers, with a credential among the subprotocols where an Authorization would be.

    Raises:
        BadHandshake: two credentials, or a header twice that may be sent once.
    """
    found: dict[bytes, bytes] = {}
    protocols: list[bytes] = []
    for name, value in headers:
        if name == b"sec-websocket-protocol":
            protocols += [one.strip() for one in value.split(b",")]
        elif name in found and name in (b"authorization", b"host", b"origin", b"x-api-key"):
            raise BadHandshake(f"{name.decode()} may be sent once")
        else:
            found[name] = value
    carried = [one.removeprefix(BEARER.encode()) for one in protocols if one.startswith(BEARER.encode())]
    if not carried:
        return found
    if len(carried) > 1 or b"authorization" in found or b"x-api-key" in found:
        raise BadHandshake("one credential: as Authorization, or as one subprotocol bearer.<credential>")
    return {**found, b"authorization": b"Bearer " + carried[0]}


def origin_allowed(origin: bytes | None, host: bytes | None, allowed: Collection[str]) -> bool:
    """Whether a page of this origin may open a socket; who sends none is no browser."""
    if origin is None:
        return True
    text = origin.decode("latin-1")
    if text in allowed:
        return True
    scheme, separator, authority = text.partition("://")
    own = (host or b"").decode("latin-1")
    return bool(separator and own) and scheme in ("http", "https") and authority.lower() == own.lower()


def spoken(offered: Iterable[str], known: str) -> str | None:
    """The subprotocol to answer with; None: nothing that we speak was offered."""
    return known if known in offered else None


class SocketAnswer(Answer):
    """The outgoing side of one socket: remembers how the handshake was answered."""

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self.status = SWITCHED
            headers = [*message.get("headers", ()), (b"x-request-id", self._request_id.encode())]
            message = {**message, "headers": headers}
        elif kind == "websocket.http.response.start":
            self.status = int(message["status"])
        elif kind == "websocket.close" and not self.status:
            self.status = 403  # what a server makes of a close before the handshake
        await self._send(message)


async def refuse(
    scope: Scope, send: Send, status: int, content_type: bytes, body: bytes, headers: Iterable[Header]
) -> None:
    """Answer the handshake with a problem document, where the server can; else with a plain refusal."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    start = {
        "type": "websocket.http.response.start",
        "status": status,
        "headers": [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ],
    }
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})
