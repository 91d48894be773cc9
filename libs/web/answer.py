"""The outgoing side of one request: remembers how it was answered, adds the headers every answer has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from starlette.types import Message, Send

Header = tuple[bytes, bytes]

_POLICY = b"content-security-policy"


def security_headers(*, over_tls: bool) -> list[Header]:
    """Headers of every answer. Source: OWASP REST Security Cheat Sheet, "Security Headers"."""
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
        (_POLICY, b"default-src 'none'; frame-ancestors 'none'"),
    ]
    # Only where callers speak TLS: over plain HTTP browsers ignore it, and a test installation would be locked out.
    return [*headers, (b"strict-transport-security", b"max-age=31536000")] if over_tls else headers


@lru_cache(maxsize=8)
def _lasting(security: tuple[Header, ...]) -> tuple[Header, ...]:
    """Those that say nothing about how long an answer may be kept. A process has one set of them."""
    return tuple(pair for pair in security if pair[0] != b"cache-control")


class Answer:
    """Sends one answer. `status` is 0 until it has begun; `size` counts its body's bytes."""

    __slots__ = ("_request_id", "_security", "_send", "bodiless", "own_policy", "size", "status")

    def __init__(self, send: Send, security: list[Header], request_id: str) -> None:
        self._send, self._security, self._request_id = send, security, request_id
        self.status = self.size = 0
        self.own_policy = False
        """The application's answer brings a Content-Security-Policy of its own."""
        self.bodiless = False
        """Asked by HEAD of a route that knows only GET: told what there is, and not given it."""

    async def send(self, message: Message) -> None:
        """What the application gets as ASGI's `send`."""
        if message["type"] == "http.response.body":
            if self.bodiless:
                message = {**message, "body": b""}
            self.size += len(message.get("body", b""))
        elif message["type"] == "http.response.start":
            self.status = int(message["status"])  # some send an HTTPStatus, which a log would spell out
            headers = list(message.get("headers", ()))
            headers.append((b"x-request-id", self._request_id.encode()))
            own = dict(headers)
            if self.own_policy or b"cache-control" in own:
                headers += [pair for pair in self._security if pair[0] not in own]
            else:
                headers += self._security
            message = {"type": "http.response.start", "status": self.status, "headers": headers}
        await self._send(message)

    async def whole(self, status: int, content_type: bytes, body: bytes, more: Iterable[Header] = ()) -> None:
        """An answer in one piece, without the application."""
        self.status, self.size = status, 0 if self.bodiless else len(body)
        headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self._request_id.encode()),
            *self._security,
            *more,
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"" if self.bodiless else body})

    async def kept(self, status: int, headers: list[Header], body: bytes) -> None:
        """An answer that was kept; it says itself how long it may be kept by others."""
        self.status, self.size = status, 0 if self.bodiless else len(body)
        headers.append((b"x-request-id", self._request_id.encode()))
        headers += _lasting(tuple(self._security))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"" if self.bodiless else body})
