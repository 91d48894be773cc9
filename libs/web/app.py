"""`create_app`: the one way a service becomes a FastAPI application."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from libs.auth.authenticator import Authenticator
from libs.auth.errors import NotAllowed, NotAuthenticated
from libs.auth.settings import AuthSettings
from libs.cache.connect import RedisLink, connect
from libs.cache.settings import RedisSettings
from libs.contracts.health import ComponentHealth
from libs.metrics import Metrics
from libs.ratelimit import AheadRateLimiter, Limit, MemoryRateLimiter, RedisRateLimiter
from libs.web import docs, health, problems
from libs.web.answer import security_headers
from libs.web.edge import Edge, EdgeConfig
from libs.web.fast import FastRoute
from libs.web.hosts import AllowedHosts
from libs.web.info import Check, Checks, Problems, ProblemSpec, ServiceInfo
from libs.web.openapi import document, tell_refusals
from libs.web.pages import KeptRoute, Pages
from libs.web.routes import ASSETS
from libs.web.settings import WebSettings

AUTH_PROBLEMS: Problems = {
    NotAuthenticated: ProblemSpec(
        401,
        "not-authenticated",
        detail=lambda error: error.hint if isinstance(error, NotAuthenticated) else "",
        headers=lambda error: (
            {"WWW-Authenticate": error.challenge} if isinstance(error, NotAuthenticated) else {}
        ),
    ),
    NotAllowed: ProblemSpec(
        403,
        "not-allowed",
        detail=lambda error: error.hint if isinstance(error, NotAllowed) else "",
        headers=lambda error: {"WWW-Authenticate": error.challenge} if isinstance(error, NotAllowed) else {},
    ),
}

Wiring = Callable[[FastAPI], AbstractAsyncContextManager[Any]]
"""Builds the ports when the service starts, gives them back, and closes them when it ends."""


def create_app(
    *,
    info: ServiceInfo,
    settings: WebSettings,
    wiring: Wiring,
    routers: Sequence[APIRouter],
    problems_of: Problems,
    metrics: Metrics,
    checks: Callable[[Any], Checks] | None = None,
    fast_routes: Sequence[FastRoute] = (),
    kept: Sequence[KeptRoute] = (),
    pages: Callable[[Any], Pages] | None = None,
    elsewhere: Collection[str] = (),
    authenticator: Authenticator | None = None,
) -> FastAPI:
    """Build the application. Reads no file and opens no connection; that happens when it starts.

    Args:
        wiring: its result becomes `app.state.ports`.
        checks: from the ports, what /health reports and /ready depends on.
        kept, pages: `GET` routes whose answers are kept, and from the ports, by what.
        elsewhere: templates of routes that only tell which service answers there: no credential and no body is asked
            for or looked at.
        authenticator: given by tests; otherwise made at the start from the settings, which then inherit
            `AuthSettings`, and its absence ends the start.
    """
    board = health.HealthBoard(info, metrics)
    app = _Service(
        title=info.title,
        description=info.description,
        version=info.version,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # `_describe` serves it, at two addresses and without writing it anew each time
        lifespan=_lifespan(settings, wiring, checks, board, pages, authenticator),
        separate_input_output_schemas=False,
        # Three look-ups of OpenTelemetry's providers a request, 2.7 µs, for spans that nobody here collects.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.cors_origins, app.fast_routes = tuple(settings.cors_origins), tuple(fast_routes)
    config = EdgeConfig(
        app=app,
        hosts=AllowedHosts(settings.allowed_hosts),
        max_body=settings.max_body_bytes,
        security_headers=security_headers(over_tls=settings.behind_tls or settings.tls is not None),
        metrics=metrics,
        fast={(route.method, route.path): route for route in fast_routes},
        kept=tuple(kept),
        elsewhere=frozenset(elsewhere),
        origins=frozenset(settings.cors_origins),
        limit=Limit(settings.rate_limit_requests, settings.rate_limit_window),
    )
    app.state.edge, app.state.board, app.state.metrics = config, board, metrics
    for router in (*routers, health.routes(board), docs.routes(info.title)):
        _add(app, router)
    app.mount(ASSETS, StaticFiles(directory=docs.FOLDER), name="docs-assets")
    _describe(app)
    problems.install(app, {**AUTH_PROBLEMS, **problems_of})
    return app


def _add(app: FastAPI, router: APIRouter) -> None:
    """Take over a router's routes, which carry its prefix and dependencies already.

    `include_router` wraps them, and each request is then matched twice: 8 of a route's 75 µs (measured 2026-11).
    """
    if all(isinstance(route, APIRoute) for route in router.routes):
        app.router.routes.extend(router.routes)
    else:
        app.include_router(router)


def ports(request: Request) -> Any:
    """What the wiring built; a service narrows the type where it asks."""
    return request.app.state.ports


class _Service(FastAPI):
    """FastAPI with the Edge as its outside.

    Its own outer layers are left out: the Edge answers what ServerErrorMiddleware would (and ends there, instead of
    raising it again), limits bodies, and each layer costs every request 2 to 5 µs.
    """

    cors_origins: Sequence[str] = ()
    fast_routes: Sequence[FastRoute] = ()

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = super().openapi()
            document(self.fast_routes, schema)
            tell_refusals(schema)
        return super().openapi()

    def build_middleware_stack(self) -> ASGIApp:
        inner: ASGIApp = ExceptionMiddleware(AsyncExitStackMiddleware(self.router), self.exception_handlers)
        for layer, positional, named in reversed(self.user_middleware):
            inner = layer(inner, *positional, **named)
        edge = Edge(inner, self.state.edge)
        return _cors(edge, self.cors_origins) if self.cors_origins else edge


def _describe(app: FastAPI) -> None:
    """The OpenAPI document, at its usual address and the one older callers know. Written once: anybody may ask."""

    @functools.cache
    def written() -> bytes:
        return orjson.dumps(app.openapi())

    async def openapi() -> Response:
        return Response(written(), media_type="application/json")

    for address in (docs.OPENAPI, f"/api/v1{docs.OPENAPI}"):
        app.add_api_route(address, openapi, methods=["GET"], include_in_schema=False)


def _cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Outside of the Edge: a browser sends preflights without a credential, and must be able to read a 401."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-None-Match",
            "Last-Event-ID",  # an EventSource may send it unasked, a page that reads streams by fetch may not
            "Prefer",
            "X-API-Key",
            "X-Request-ID",
            "X-Request-Deadline",
            "traceparent",
            "tracestate",  # not read here; pages that trace send both, and one unknown name refuses the request
        ],
        expose_headers=["X-Request-ID", "Retry-After", "Location", "ETag"],
    )


def _lifespan(
    settings: WebSettings,
    wiring: Wiring,
    checks: Callable[[Any], Checks] | None,
    board: health.HealthBoard,
    pages: Callable[[Any], Pages] | None,
    authenticator: Authenticator | None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        config: EdgeConfig = app.state.edge
        config.authenticator = authenticator or _authenticator(settings)
        link = connect(settings) if isinstance(settings, RedisSettings) else None
        config.limiter = (
            AheadRateLimiter(RedisRateLimiter(link, namespace=config.metrics.service))
            if link
            else MemoryRateLimiter()
        )
        async with _closing(link), wiring(app) as built:
            app.state.ports = built
            config.pages = pages(built) if pages else None
            await board.start({**_store(settings, link), **(checks(built) if checks else {})})
            try:
                yield
            finally:
                await board.stop()

    return lifespan


def _store(settings: WebSettings, link: RedisLink | None) -> Checks:
    """Of a service whose limits may stand in Redis. Not critical: without it everybody is answered, and nobody limited."""
    return {"redis": Check(functools.partial(_redis, link))} if isinstance(settings, RedisSettings) else {}


async def _redis(link: RedisLink | None) -> ComponentHealth:
    if link is None:
        return ComponentHealth(
            status="not_configured", detail="limits are counted in this process; REDIS_URL shares them"
        )
    if not await link.guard.answers(link.client.ping()):
        return ComponentHealth(
            status="unhealthy", detail="Redis does not answer; meanwhile nobody is limited"
        )
    return ComponentHealth(status="healthy")


@contextlib.asynccontextmanager
async def _closing(link: RedisLink | None) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if link is not None:
            await link.close()


def _authenticator(settings: WebSettings) -> Authenticator:
    if not isinstance(settings, AuthSettings):
        raise TypeError("a service's settings inherit AuthSettings, or a test gives an authenticator")
    return Authenticator.from_settings(settings)
