"""The Edge: everything that is done for every request, in one pure-ASGI wrapper.

Order: host → identity of the request → caller (before the body is looked at) → rate → size and type of the body →
fast route, or FastAPI. Around it: security headers, access log, metrics, and problem details for whatever
goes wrong. One wrapper instead of six: each costs a `send` closure per message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware

from libs.auth.authenticator import Authenticator
from libs.auth.errors import NotAuthenticated, Refusal
from libs.auth.guards import SCOPE_KEY
from libs.auth.principal import Principal
from libs.contracts.problem import FieldError
from libs.logs import access_log, get_logger
from libs.logs.access import Write
from libs.logs.context import RequestContext, current_request
from libs.metrics import Metrics
from libs.ratelimit import Limit, RateLimiter
from libs.web.body import BodyTooLarge, ClientGone, MalformedJson, inspect, replay, whole
from libs.web.fast import FastRequest, FastRoute
from libs.web.hosts import AllowedHosts
from libs.web.problems import MEDIA_TYPE, render
from libs.web.trace import context_of
from libs.web.yaml import YamlTranslation

PUBLIC = frozenset(
    {
        "/health",
        "/ready",
        "/api/v1/health",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/api/v1/openapi.json",
        "/docs/oauth2-redirect",
    }
)
PUBLIC_PREFIX = "/docs/assets/"
PAGES = frozenset({"/docs", "/redoc"})
QUIET = frozenset({"/health", "/ready", "/api/v1/health"})
"""Probes: asked every few seconds by machines, logged only at DEBUG."""

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_TYPES = (b"application/json", b"application/yaml", b"application/x-yaml", b"text/yaml")
DEADLINE = "kubernaut.deadline"
"""Scope key: the caller's deadline as `time.monotonic()`, when it named one."""

COMPRESS_FROM = 1_000
"""Bytes; smaller answers cost more to compress than to send. Levels: gzip-9 costs four times gzip-1 (measured)."""

_errors = get_logger("web")


@dataclass(slots=True)
class EdgeConfig:
    """What the Edge knows. Filled by `create_app`; caller and rate parts when the service starts."""

    app: FastAPI
    hosts: AllowedHosts
    max_body: int
    security_headers: list[tuple[bytes, bytes]]
    metrics: Metrics
    fast: Mapping[tuple[str, str], FastRoute] = field(default_factory=dict)
    limit: Limit | None = None
    authenticator: Authenticator | None = None
    limiter: RateLimiter | None = None
    preflight: bool = False
    """True where CORS is on: a preflight carries no credential by design."""


@dataclass(eq=False)
class _Refused(Exception):
    status: int
    code: str
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    errors: tuple[FieldError, ...] = ()


class Edge:
    """See the module. `config.authenticator` None means that every caller is let in unnamed (tests of libs.web)."""

    def __init__(self, app: ASGIApp, config: EdgeConfig) -> None:
        self._app = app
        # Most requests need neither; for them the wrappers' 9 µs are not spent.
        self._translating = YamlTranslation(app)
        self._compressing = CompressMiddleware(
            self._translating, minimum_size=COMPRESS_FROM, zstd_level=3, gzip_level=1, brotli=False
        )
        self._config = config
        self._measure = _Measure(config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        context = context_of(headers.get(b"x-request-id"), headers.get(b"traceparent"))
        scope["kubernaut.request_id"] = context.request_id
        answer = _Answer(send, self._config.security_headers, context)
        try:
            await self._handle(scope, headers, receive, answer, context)
        except _Refused as refused:
            await self._refuse(scope, answer, refused)
        except BodyTooLarge as error:
            await self._refuse(scope, answer, too_large(error.limit))
        except MalformedJson as error:
            await self._refuse(scope, answer, malformed(error))
        except (ClientGone, ClientDisconnect):
            answer.status = answer.status or 499  # nginx' word for it; nobody reads an answer
        except Exception:
            _errors.exception("unhandled", path=scope["path"], request_id=context.request_id)
            if answer.status == 0:
                await self._refuse(
                    scope,
                    answer,
                    _Refused(500, "internal-error", "our fault; it is logged under the request id"),
                )
        finally:
            self._measure.ended(scope, answer.status, time.perf_counter() - began, context)

    async def _handle(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        answer: _Answer,
        context: RequestContext,
    ) -> None:
        config, path, method = self._config, scope["path"], scope["method"]
        public = path in PUBLIC or path.startswith(PUBLIC_PREFIX)
        if not public and not config.hosts.allows(headers.get(b"host")):
            raise _Refused(400, "host-not-allowed", "this Host is not answered to; add it to ALLOWED_HOSTS")
        if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"]:
            raise _Refused(400, "nul-character", "the address holds U+0000, which no text here may contain")
        answer.own_policy = path in PAGES
        principal = None if public else self._caller(scope, headers, config)
        fast = config.fast.get((method, path))
        if fast is not None:
            await self._fast(fast, scope, headers, principal, receive, answer)
            return
        if principal is not None and config.limiter is not None and config.limit is not None:
            await self._limited(config.limiter, config.limit, principal)
        if method not in BODILESS and _has_body(headers, config.max_body):
            body = await whole(receive, config.max_body)
            if b"yaml" not in headers.get(b"content-type", b""):  # which is looked at where it is translated
                inspect(body)
            receive = replay(body, receive)
        deadline = headers.get(b"x-request-deadline")
        if deadline is not None:
            scope[DEADLINE] = _deadline(deadline)
        token = current_request.set(context)
        try:
            await self._inner(headers)(scope, receive, answer.send)
        finally:
            current_request.reset(token)

    def _inner(self, headers: dict[bytes, bytes]) -> ASGIApp:
        """The application, behind only those translations that this request can need."""
        if b"accept-encoding" in headers:
            return self._compressing
        if b"yaml" in headers.get(b"content-type", b"") or b"yaml" in headers.get(b"accept", b""):
            return self._translating
        return self._app

    def _caller(self, scope: Scope, headers: dict[bytes, bytes], config: EdgeConfig) -> Principal | None:
        if config.authenticator is None:
            return None
        if config.preflight and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            return None
        client = scope.get("client")
        try:
            principal = config.authenticator.authenticate(headers, client[0] if client else None)
        except NotAuthenticated as error:
            self._measure.refused(error.reason.value)
            challenge = (b"www-authenticate", error.challenge.encode())
            raise _Refused(401, "not-authenticated", error.hint, (challenge,)) from None
        scope[SCOPE_KEY] = principal
        return principal

    async def _limited(self, limiter: RateLimiter, limit: Limit, principal: Principal) -> None:
        verdict = await limiter.take(f"{principal.tenant}:{principal.name}", limit)
        if not verdict.allowed:
            pause = max(1, int(verdict.retry_after.total_seconds() + 0.999))
            detail = f"more than {limit.rate} requests in {limit.per.total_seconds():.0f} s; ask again in {pause} s"
            raise _Refused(429, "rate-limited", detail, ((b"retry-after", str(pause).encode()),))

    async def _fast(
        self,
        route: FastRoute,
        scope: Scope,
        headers: dict[bytes, bytes],
        principal: Principal | None,
        receive: Receive,
        answer: _Answer,
    ) -> None:
        if (
            route.permission is not None
            and principal is not None
            and route.permission not in principal.permissions
        ):
            challenge = (b"www-authenticate", b'Bearer realm="kubernaut", error="insufficient_scope"')
            raise _Refused(
                403, "not-allowed", f"the caller lacks permission {route.permission.value}", (challenge,)
            )
        client = scope.get("client")
        _has_body(headers, self._config.max_body)
        address = client[0] if client else None
        # What stands in the body is each fast handler's business: one bad alert must not drop its neighbours.
        request = FastRequest(
            scope["path"], headers, principal, address, self._config.app, receive, self._config.max_body
        )
        given = await route.handler(request)
        await answer.whole(given.status, given.content_type, given.body, given.headers)

    async def _refuse(self, scope: Scope, answer: _Answer, refused: _Refused) -> None:
        if answer.status:  # already begun: cutting it is all that is left, and the server does that
            return
        body = render(
            refused.status,
            refused.code,
            detail=refused.detail,
            instance=scope["path"],
            request_id=scope["kubernaut.request_id"],
            errors=refused.errors,
        )
        await answer.whole(refused.status, MEDIA_TYPE.encode(), body, refused.headers)


def too_large(limit: int) -> _Refused:
    return _Refused(413, "body-too-large", f"the body is larger than {limit} bytes; send less at once")


def malformed(error: MalformedJson) -> _Refused:
    field = FieldError(field=f"body, {error.where}" if error.where else "body", reason=error.reason)
    return _Refused(400, "malformed-json", f"the body is not JSON that can be read: {error}", errors=(field,))


def _has_body(headers: dict[bytes, bytes], limit: int) -> bool:
    """Whether a body is coming; refuses one that is too large, packed, or of a type nobody here reads."""
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding not in (b"identity", b""):
        accepted = ((b"accept-encoding", b"identity"),)
        raise _Refused(415, "content-encoding", "send the body without Content-Encoding", accepted)
    length = headers.get(b"content-length")
    if length is not None and length.isdigit():
        if int(length) > limit:
            raise too_large(limit)
        if length == b"0":
            return False
    elif b"transfer-encoding" not in headers:
        return False
    kind = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    if kind not in BODY_TYPES and not kind.endswith(b"+json"):
        detail = "send application/json or application/yaml, and say so in Content-Type"
        raise _Refused(415, "content-type", detail)
    return True


def _deadline(header: bytes) -> float:
    try:
        left = float(header)
    except ValueError:
        left = -1.0
    if not 0 < left <= 3600:
        raise _Refused(
            400,
            "bad-deadline",
            "X-Request-Deadline is the number of seconds left, more than 0 and at most 3600",
        )
    return time.monotonic() + left


class _Answer:
    """The outgoing side: remembers the status, adds the headers every answer has."""

    __slots__ = ("_context", "_security", "_send", "own_policy", "status")

    def __init__(self, send: Send, security: list[tuple[bytes, bytes]], context: RequestContext) -> None:
        self._send, self._security, self._context = send, security, context
        self.status = 0
        self.own_policy = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], (b"x-request-id", self._context.request_id.encode())]
            if self.own_policy:  # the documentation's pages bring a Content-Security-Policy of their own
                headers += [pair for pair in self._security if pair[0] != b"content-security-policy"]
            else:
                headers += self._security
            message = {**message, "headers": headers}
        await self._send(message)

    async def whole(self, status: int, content_type: bytes, body: bytes, more: Any = ()) -> None:
        """An answer in one piece, without another wrapper in between."""
        self.status = status
        headers = [
            (b"content-type", content_type),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", self._context.request_id.encode()),
            *self._security,
            *more,
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


class _Measure:
    """Access log line and HTTP metrics of one request."""

    def __init__(self, config: EdgeConfig) -> None:
        self._config = config
        self._bound: dict[tuple[str, str, int], tuple[Callable[[float], None], Callable[[float], None]]] = {}
        self._write: Write | None = None
        self._refusals = config.metrics.counter(
            "http_authentication_failures_total",
            "Requests whose caller was not recognised.",
            {"reason": REFUSALS},
        )

    def refused(self, reason: str) -> None:
        self._refusals.inc(reason=reason)

    def ended(self, scope: Scope, status: int, seconds: float, context: RequestContext) -> None:
        path, method = scope["path"], scope["method"]
        route = _template(scope, self._config)
        key = (method, route, status // 100)
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bind(key)
        bound[0](1)
        bound[1](seconds)
        principal = scope.get(SCOPE_KEY)
        client = scope.get("client")
        if self._write is None:  # now that logging is configured
            self._write = access_log(self._config.metrics.service)
        self._write(
            path in QUIET,
            {
                "method": method,
                "path": path,
                "status": status,
                "ms": round(seconds * 1000, 2),
                "client": client[0] if client else None,
                "caller": principal.name if principal else None,
                "tenant": principal.tenant if principal else None,
                "request_id": context.request_id,
                "trace_id": context.traceparent[3:35],
            },
        )

    def _bind(self, key: tuple[str, str, int]) -> tuple[Callable[[float], None], Callable[[float], None]]:
        method, route, hundreds = key
        routes = sorted(_templates(self._config))
        count = self._config.metrics.counter(
            "http_requests_total",
            "Requests answered, by route.",
            {"method": METHODS, "route": routes, "status_class": STATUS_CLASSES},
        )
        duration = self._config.metrics.histogram(
            "http_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            {"route": routes},
        )
        labels = {"method": method, "route": route, "status_class": f"{hundreds}xx"}
        pair = (count.bind(**labels), duration.bind(route=route))
        if len(self._bound) < MAX_BOUND:
            self._bound[key] = pair
        return pair


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")
MAX_BOUND = 2_048
"""Pre-bound series remembered; methods are the caller's words, so without an end."""

REFUSALS = tuple(reason.value for reason in Refusal)


def _template(scope: Scope, config: EdgeConfig) -> str:
    """The route's template, `unmatched` for none: never the path, which is the caller's text."""
    route = scope.get("route")
    template = getattr(route, "path", None)
    if template is not None:
        return str(template)
    return scope["path"] if (scope["method"], scope["path"]) in config.fast else "unmatched"


def _templates(config: EdgeConfig) -> set[str]:
    paths = {path for route in config.app.routes if isinstance(path := getattr(route, "path", None), str)}
    return paths | {path for _, path in config.fast} | {"unmatched"}
