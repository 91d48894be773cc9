"""The Edge: everything that is done for every request, in one pure-ASGI wrapper.

Order: header → host → caller (before the body is looked at) → rate → size and type of the body → fast route, kept
answer, or FastAPI. Around it: security headers, access log, metrics, and problem details for whatever goes wrong. One wrapper
instead of six: each costs a `send` closure per message.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette_compress import CompressMiddleware

from libs.auth.authenticator import Authenticator
from libs.auth.errors import NotAllowed, NotAuthenticated
from libs.auth.guards import SCOPE_KEY
from libs.auth.principal import Principal
from libs.contracts.problem import FieldError
from libs.logs import get_logger
from libs.logs.context import current_request
from libs.metrics import Metrics
from libs.ratelimit import Limit, RateLimiter
from libs.web.answer import Answer, Header
from libs.web.body import BodyTooLarge, ClientGone, MalformedJson, inspect, replay, whole
from libs.web.deadline import ARRIVED, DEADLINE
from libs.web.fast import FastRequest, FastRoute
from libs.web.hosts import AllowedHosts
from libs.web.kept import READS, kept_answer
from libs.web.measure import Measure
from libs.web.page import COMPRESS_FROM
from libs.web.pages import KeptRoute, Pages
from libs.web.problems import MEDIA_TYPE, render
from libs.web.routes import Place, Places
from libs.web.sockets import (
    DOOR,
    BadHandshake,
    Door,
    SocketAnswer,
    TooFast,
    credentials,
    origin_allowed,
    refuse,
)
from libs.web.trace import context_of
from libs.web.yaml import YamlTranslation, is_yaml

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_TYPES = (b"application/json", b"application/yaml", b"application/x-yaml", b"text/yaml")
ONCE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"x-api-key",
        b"x-request-deadline",
    }
)
"""Fields of which a second one would let us and a proxy in front believe different things."""

REQUEST_ID = "kubernaut.request_id"
"""Scope key: what this request is called in logs and answers."""

LONGEST_DEADLINE_S = 3_600

_SLASH = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)

_errors = get_logger("web")


@dataclass(slots=True)
class EdgeConfig:
    """What the Edge knows. Filled by `create_app`; caller and rate parts when the service starts."""

    app: FastAPI
    hosts: AllowedHosts
    max_body: int
    security_headers: list[Header]
    metrics: Metrics
    fast: Mapping[tuple[str, str], FastRoute] = field(default_factory=dict)
    kept: tuple[KeptRoute, ...] = ()
    elsewhere: frozenset[str] = frozenset()
    """Templates of addresses that are another service's."""
    pages: Pages | None = None
    """Where answers of the kept routes are; None until the service has started."""
    limit: Limit | None = None
    origins: frozenset[str] = frozenset()
    """Pages of these may open WebSockets, beside our own."""
    authenticator: Authenticator | None = None
    """None until the service has started: nobody is let in before."""
    limiter: RateLimiter | None = None


@dataclass(eq=False)
class _Refused(Exception):
    status: int
    code: str
    detail: str
    headers: tuple[Header, ...] = ()
    errors: tuple[FieldError, ...] = ()


class Edge:
    """See the module."""

    def __init__(self, app: ASGIApp, config: EdgeConfig) -> None:
        self._app = app
        # Most requests need neither; for them the wrappers' 9 µs are not spent.
        self._translating = YamlTranslation(app)
        self._compressing = CompressMiddleware(
            self._translating, minimum_size=COMPRESS_FROM, zstd_level=3, gzip_level=1, brotli=False
        )
        self._config = config
        self._places = Places(config.app.routes, config.fast.values(), config.kept, config.elsewhere)
        self._measure = Measure(config.metrics, self._places.templates)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        context = context_of(headers.get(b"x-request-id"), headers.get(b"traceparent"))
        scope[REQUEST_ID] = context.request_id
        token = current_request.set(context)
        place = self._places.find(scope["path"])
        answer = Answer(send, self._config.security_headers, context.request_id)
        try:
            await self._handle(scope, place, headers, receive, answer)
        except _Refused as refused:
            await self._refuse(scope, answer, refused)
        except BodyTooLarge as error:
            await self._refuse(scope, answer, too_large(error.limit))
        except MalformedJson as error:
            await self._refuse(scope, answer, malformed(error))
        except (ClientGone, ClientDisconnect):
            answer.status = answer.status or 499  # nginx' word for it; nobody reads an answer
        except Exception:
            _errors.exception("unhandled", path=scope["path"])
            await self._refuse(scope, answer, OUR_FAULT)
        finally:
            self._measure.ended(scope, place, answer, time.perf_counter() - began, context)
            current_request.reset(token)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket's handshake, with the same questions as to any request; no address is public here."""
        began = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        context = context_of(headers.get(b"x-request-id"), headers.get(b"traceparent"))
        scope[REQUEST_ID] = context.request_id
        token = current_request.set(context)
        answer = SocketAnswer(send, self._config.security_headers, context.request_id)
        try:
            scope[DOOR], scope[SCOPE_KEY] = await self._admitted(scope)
            await self._app(scope, receive, answer.send)
        except _Refused as refused:
            body = self._document(scope, refused)
            more = [
                (b"x-request-id", context.request_id.encode()),
                *self._config.security_headers,
                *refused.headers,
            ]
            await refuse(scope, answer.send, refused.status, MEDIA_TYPE.encode(), body, more)
        except Exception:
            _errors.exception("unhandled", path=scope["path"])
            await answer.send({"type": "websocket.close", "code": 1011})
        finally:
            place = self._places.find(scope["path"])
            self._measure.ended(
                {**scope, "method": "GET"}, place, answer, time.perf_counter() - began, context
            )
            current_request.reset(token)

    async def _admitted(self, scope: Scope) -> tuple[Door, Principal]:
        config = self._config
        try:
            headers = credentials(scope["headers"])
        except BadHandshake as error:
            raise _Refused(400, "bad-handshake", str(error)) from None
        _means_one_path(scope)
        host = headers.get(b"host")
        if not config.hosts.allows(host):
            raise _Refused(400, "host-not-allowed", "this Host is not answered to; add it to ALLOWED_HOSTS")
        if not origin_allowed(headers.get(b"origin"), host, config.origins):
            raise _Refused(
                403, "origin-not-allowed", "pages of this origin may not connect; add it to CORS_ORIGINS"
            )
        authenticator, client = self._authenticator(), scope.get("client")
        door = Door(authenticator, headers, client[0] if client else None, config.limiter, config.limit)
        try:
            return door, await door.knock()
        except NotAuthenticated as error:
            raise self._unknown(error) from None
        except TooFast as error:
            pause = max(1, int(error.retry_after.total_seconds() + 0.999))
            raise _Refused(429, "rate-limited", str(error), ((b"retry-after", b"%d" % pause),)) from None

    async def _handle(
        self, scope: Scope, place: Place, headers: dict[bytes, bytes], receive: Receive, answer: Answer
    ) -> None:
        config, method = self._config, scope["method"]
        if len(headers) != len(scope["headers"]):
            _only_once(scope["headers"])
        if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"]:
            raise _Refused(400, "nul-character", "the address holds U+0000, which no text here may contain")
        _means_one_path(scope)
        principal = None
        if not place.public:
            if not config.hosts.allows(headers.get(b"host")):
                raise _Refused(
                    400, "host-not-allowed", "this Host is not answered to; add it to ALLOWED_HOSTS"
                )
            scope[SCOPE_KEY] = principal = self._caller(scope, headers)
        if place.fast:
            route = place.fast.get(method)
            if route is not None:
                await self._fast(route, scope, headers, principal, receive, answer)
                return
            if not place.methods:
                raise _Refused(
                    405,
                    "method-not-allowed",
                    f"allowed: {place.allowed}",
                    ((b"allow", place.allowed.encode()),),
                )
        # What is waited for from here on, the caller waits for.
        scope[ARRIVED] = arrived = time.monotonic()
        if principal is not None and config.limiter is not None and config.limit is not None:
            await _limited(config.limiter, config.limit, principal)
        if method not in BODILESS and not place.elsewhere and _has_body(headers, config.max_body):
            body = await whole(receive, config.max_body)
            if not is_yaml(headers.get(b"content-type", b"")):  # which is looked at where it is translated
                inspect(body)
            receive = replay(body, receive)
        deadline = headers.get(b"x-request-deadline")
        if deadline is not None:
            scope[DEADLINE] = arrived + _deadline(deadline)
        if place.kept is not None and method in READS:
            if method == "HEAD":
                answer.bodiless = True
                scope = {**scope, "method": "GET"}  # a copy: the log tells what was asked
            if await kept_answer(config.pages, place.kept, principal, scope, headers, self._app, answer):
                return
        answer.own_policy = place.own_policy
        await self._inner(headers)(scope, receive, answer.send)

    def _inner(self, headers: dict[bytes, bytes]) -> ASGIApp:
        """The application, behind only those translations that this request can need."""
        if b"accept-encoding" in headers:
            return self._compressing
        if b"yaml" in headers.get(b"content-type", b"") or b"yaml" in headers.get(b"accept", b""):
            return self._translating
        return self._app

    def _caller(self, scope: Scope, headers: dict[bytes, bytes]) -> Principal:
        authenticator, client = self._authenticator(), scope.get("client")
        try:
            return authenticator.authenticate(headers, client[0] if client else None)
        except NotAuthenticated as error:
            raise self._unknown(error) from None

    def _authenticator(self) -> Authenticator:
        if self._config.authenticator is None:
            raise _Refused(
                503, "starting", "this service has not started yet; ask again", ((b"retry-after", b"1"),)
            )
        return self._config.authenticator

    def _unknown(self, error: NotAuthenticated) -> _Refused:
        self._measure.refused(error.reason.value)
        challenge = (b"www-authenticate", error.challenge.encode())
        return _Refused(401, "not-authenticated", error.hint, (challenge,))

    async def _fast(
        self,
        route: FastRoute,
        scope: Scope,
        headers: dict[bytes, bytes],
        principal: Principal | None,
        receive: Receive,
        answer: Answer,
    ) -> None:
        if route.permission is not None and (
            principal is None or route.permission not in principal.permissions
        ):
            lacking = NotAllowed(f"permission {route.permission.value}")
            challenge = (b"www-authenticate", lacking.challenge.encode())
            raise _Refused(403, "not-allowed", lacking.hint, (challenge,))
        config, client = self._config, scope.get("client")
        _has_body(headers, config.max_body)
        # What stands in the body is each fast handler's business: one bad alert must not drop its neighbours.
        request = FastRequest(
            scope["path"],
            headers,
            principal,
            client[0] if client else None,
            config.app,
            receive,
            config.max_body,
        )
        given = await route.handler(request)
        await answer.whole(given.status, given.content_type, given.body, given.headers)

    async def _refuse(self, scope: Scope, answer: Answer, refused: _Refused) -> None:
        if answer.status:  # already begun: cutting it is all that is left, and the server does that
            return
        body = self._document(scope, refused)
        await answer.whole(refused.status, MEDIA_TYPE.encode(), body, refused.headers)

    def _document(self, scope: Scope, refused: _Refused) -> bytes:
        return render(
            refused.status,
            refused.code,
            detail=refused.detail,
            instance=scope["path"],
            request_id=scope[REQUEST_ID],
            errors=refused.errors,
        )


OUR_FAULT = _Refused(500, "internal-error", "our fault; it is logged under the request id")


def too_large(limit: int) -> _Refused:
    return _Refused(413, "body-too-large", f"the body is larger than {limit} bytes; send less at once")


def malformed(error: MalformedJson) -> _Refused:
    field = FieldError(field=f"body, {error.where}" if error.where else "body", reason=error.reason)
    return _Refused(400, "malformed-json", f"the body is not JSON that can be read: {error}", errors=(field,))


def _means_one_path(scope: Scope) -> None:
    """Refuse an address that a proxy or a client would read as another path than we do."""
    path = scope["path"]
    if _SLASH.search(scope.get("raw_path", b"")):
        raise _Refused(400, "ambiguous-path", "the path holds an encoded slash (%2F, %5C); no part of it can")
    if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
        raise _Refused(400, "ambiguous-path", "the path holds a dot segment (. or ..); send it resolved")


def _only_once(headers: list[Header]) -> None:
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in ONCE and name in seen:
            raise _Refused(400, "repeated-header", f"{name.decode()} may be sent once")
        seen.add(name)


async def _limited(limiter: RateLimiter, limit: Limit, principal: Principal) -> None:
    # A tenant's name has no colon, so the key is unambiguous.
    verdict = await limiter.take(f"{principal.tenant}:{principal.name}", limit)
    if not verdict.allowed:
        pause = max(1, int(verdict.retry_after.total_seconds() + 0.999))
        detail = (
            f"more than {limit.rate} requests in {limit.per.total_seconds():.0f} s; ask again in {pause} s"
        )
        raise _Refused(429, "rate-limited", detail, ((b"retry-after", b"%d" % pause),))


def _has_body(headers: dict[bytes, bytes], limit: int) -> bool:
    """Whether a body is coming; refuses one that is too large, packed, or of a type nobody here reads."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding not in (b"identity", b""):
        accepted = ((b"accept-encoding", b"identity"),)
        raise _Refused(415, "content-encoding", "send the body without Content-Encoding", accepted)
    length = headers.get(b"content-length")
    if length is not None and length.isdigit():
        if len(length) > 15 or int(length) > limit:
            raise too_large(limit)
        if length == b"0":
            return False
    elif b"transfer-encoding" not in headers:
        return False
    given = headers.get(b"content-type", b"")
    if given == b"application/json":
        return True
    kind = given.partition(b";")[0].strip().lower()
    if kind not in BODY_TYPES and not kind.endswith(b"+json"):
        detail = "send application/json or application/yaml, and say so in Content-Type"
        raise _Refused(415, "content-type", detail)
    return True


def _deadline(header: bytes) -> float:
    try:
        left = float(header)
    except ValueError:
        left = -1.0
    if not 0 < left <= LONGEST_DEADLINE_S:
        raise _Refused(
            400,
            "bad-deadline",
            f"X-Request-Deadline is the number of seconds left, more than 0 and at most {LONGEST_DEADLINE_S}",
        )
    return left
