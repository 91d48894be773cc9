"""Answer a `GET` by what was kept, before FastAPI is entered: conditional, in the coding the caller likes, age told.

Who calls, whether it may, and how often, the Edge has found out before; log and metrics come after, as always.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from starlette.types import ASGIApp, Message, Scope

from libs.auth.principal import Principal
from libs.web.answer import Answer, Header
from libs.web.conditional import coding, matches
from libs.web.deadline import DEADLINE
from libs.web.page import Page
from libs.web.pages import Ask, Captured, KeptRoute, Pages

READS = frozenset({"GET", "HEAD"})

PATIENCE = timedelta(seconds=10)
"""For whoever is making the same answer, of a caller who names no deadline."""

VARY = (b"vary", b"accept, accept-encoding, authorization, x-api-key")
_JSON = (b"content-type", b"application/json")
_GZIP, _ZSTD = (b"content-encoding", b"gzip"), (b"content-encoding", b"zstd")


async def kept_answer(
    pages: Pages | None,
    route: KeptRoute,
    caller: Principal | None,
    scope: Scope,
    headers: Mapping[bytes, bytes],
    app: ASGIApp,
    answer: Answer,
) -> bool:
    """Answer it, or say that the application must: where nothing may be kept, and where it will refuse.

    Args:
        scope: the method is `GET`, also where `HEAD` was asked.
    """
    if pages is None or caller is None or route.permission not in caller.permissions:
        return False
    if b"yaml" in headers.get(b"accept", b"") or b"yaml" in headers.get(b"content-type", b""):
        return False
    key = pages.key(caller, scope["path"], scope["query_string"])
    if key is None:
        return False
    anew = b"no-cache" in headers.get(b"cache-control", b"").lower()
    page = None if anew else pages.near(key, route.source)
    outcome = "near"
    if page is None:
        ends = scope.get(DEADLINE)
        left = PATIENCE if ends is None else timedelta(seconds=max(0.0, ends - time.monotonic()))
        # Who makes it anew behind its callers' backs is not bound to their time.
        behind = {key: value for key, value in scope.items() if key != DEADLINE}
        ask = Ask(partial(captured, app, scope), partial(captured, app, behind))
        got = await pages.get(key, route.source, ask, within=left, anew=anew)
        if got.page is None:
            if got.raw is None:
                return False
            await _pass_on(got.raw, answer)
            return True
        page, outcome = got.page, got.outcome
    also = route.also(scope["path"], scope["query_string"]) if route.also is not None else ()
    await _send(page, outcome, scope, headers, pages.now, also, answer)
    return True


async def captured(app: ASGIApp, scope: Scope) -> Captured:
    """The application's answer to this request, as a whole and as it is."""
    status, headers, body = 500, list[Header](), list[bytes]()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = int(message["status"]), list(message.get("headers", ()))
        else:
            body.append(message.get("body", b""))

    await app(dict(scope), receive, send)  # a copy, as routers write into it
    return Captured(status, headers, body[0] if len(body) == 1 else b"".join(body))


async def _pass_on(raw: Captured, answer: Answer) -> None:
    await answer.send({"type": "http.response.start", "status": raw.status, "headers": list(raw.headers)})
    await answer.send({"type": "http.response.body", "body": raw.body})


async def _send(
    page: Page,
    outcome: str,
    scope: Scope,
    headers: Mapping[bytes, bytes],
    now: float,
    also: Sequence[Header],
    answer: Answer,
) -> None:
    age = page.age(now)
    told: list[Header] = [
        (b"etag", page.etag),
        (b"cache-control", b"private, max-age=%d" % page.ttl),
        (b"age", b"%d" % age),
        # RFC 9211; a negative ttl says: older than its time.
        (b"cache-status", _status(outcome, page.ttl - age)),
        VARY,
        *also,
    ]
    asked = _whole(headers, scope, b"if-none-match")
    if asked is not None and matches(asked, page.etag):
        await answer.kept(304, told, b"")
        return
    accepted = _whole(headers, scope, b"accept-encoding")
    body, packed = page.in_coding(coding(accepted)) if accepted is not None else (page.body, "")
    if packed:
        told.append(_ZSTD if packed == "zstd" else _GZIP)
    told += (_JSON, (b"content-length", b"%d" % len(body)))
    await answer.kept(200, told, body)


def _status(outcome: str, left: float) -> bytes:
    match outcome:
        case "near" | "far" | "stale":
            return b"kubernaut; hit; ttl=%d; detail=%b" % (left, outcome.encode())
        case "shared":
            return b"kubernaut; fwd=uri-miss; collapsed; ttl=%d" % left
        case _:
            return b"kubernaut; fwd=uri-miss; stored; ttl=%d" % left


def _whole(headers: Mapping[bytes, bytes], scope: Scope, name: bytes) -> bytes | None:
    """The field's value; of one sent in several lines, all of them."""
    last = headers.get(name)
    if last is None or len(headers) == len(scope["headers"]):
        return last
    return b", ".join(value for field, value in scope["headers"] if field == name)
