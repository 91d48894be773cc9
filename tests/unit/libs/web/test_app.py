"""create_app: nothing happens before the start; CORS only for who was named; the start and the end in order."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from libs.auth import AuthNotConfigured
from libs.cache.settings import RedisSettings
from libs.metrics import Metrics
from libs.web import Check, ServiceInfo, WebSettings, create_app
from tests.support.web_client import authenticator, calling
from tests.support.web_service import Settings, application

pytestmark = pytest.mark.requirement("HAPI-036", "HAPI-079", "API-BR-SEC-008", "HAPI-102")

CONSOLE = "https://console.example"


def test_building_the_application_does_nothing_but_describe_it():
    app = application(Settings(auth_keys_file="/nowhere/keys.yaml"), Metrics("sample"))

    assert "/api/v1/notes" in app.openapi()["paths"]


async def test_a_service_that_could_recognise_nobody_does_not_start():
    app = application(Settings(), Metrics("sample"))

    with pytest.raises(AuthNotConfigured):
        async with app.router.lifespan_context(app):
            pass


async def test_settings_without_authentication_are_a_mistake_that_is_named():
    app = create_app(
        info=ServiceInfo("x", "X", "", "1"),
        settings=WebSettings(),
        wiring=lambda _: contextlib.nullcontext(),
        routers=[],
        problems_of={},
        metrics=Metrics("x"),
    )

    with pytest.raises(TypeError, match="AuthSettings"):
        async with app.router.lifespan_context(app):
            pass


async def test_the_health_checks_end_before_what_they_check_is_closed():
    happened = []

    @contextlib.asynccontextmanager
    async def wiring(app):
        happened.append("wired")
        yield "ports"
        happened.append(f"serving={app.state.board.serving}")

    async def probe() -> None:
        happened.append("checked")

    settings = Settings(trusted_networks={"127.0.0.1/32": {"principal": "test", "roles": ["viewer"]}})
    app = create_app(
        info=ServiceInfo("x", "X", "", "1"),
        settings=settings,
        wiring=wiring,
        routers=[],
        problems_of={},
        metrics=Metrics("x"),
        checks=lambda ports: {str(ports): Check(probe)},
    )
    async with app.router.lifespan_context(app):
        happened.append(app.state.ports)

    assert happened == ["wired", "checked", "ports", "serving=False"]


async def test_a_page_of_a_named_origin_may_call_and_read_refusals_too():
    async with calling(cors_origins=[CONSOLE]) as service:
        preflight = await service.http.options(
            "/api/v1/notes",
            headers={
                "Origin": CONSOLE,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
                "Authorization": "",
            },
        )
        refused = await service.http.get("/api/v1/notes/a", headers={"Origin": CONSOLE, "Authorization": ""})

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == CONSOLE
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, CONSOLE)


@pytest.mark.requirement("HAPI-129", "HAPI-064")
@pytest.mark.parametrize(
    "header",
    ["Last-Event-ID", "Prefer", "Idempotency-Key", "If-None-Match", "X-Request-Deadline", "traceparent"],
)
async def test_a_page_may_send_every_header_that_routes_read(header):
    async with calling(cors_origins=[CONSOLE]) as service:
        preflight = await service.http.options(
            "/api/v1/notes",
            headers={
                "Origin": CONSOLE,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": header.lower(),
            },
        )

    assert preflight.status_code == 200
    assert header.lower() in preflight.headers["access-control-allow-headers"].lower()


async def test_a_page_may_read_where_a_new_thing_is_and_when_to_come_back():
    async with calling(cors_origins=[CONSOLE]) as service:
        answer = await service.http.get("/api/v1/notes/a", headers={"Origin": CONSOLE})

    shown = set(answer.headers["access-control-expose-headers"].split(", "))
    assert {"Location", "Retry-After", "ETag", "X-Request-ID"} <= shown


class Limited(Settings, RedisSettings):
    """A service whose limits may stand in Redis."""


@contextlib.asynccontextmanager
async def limited(redis_url: str | None) -> AsyncIterator[httpx.AsyncClient]:
    settings = Limited.model_validate({"redis_url": redis_url})
    app = application(settings, Metrics("sample"), authenticator=authenticator())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        yield http


@pytest.mark.requirement("HAPI-016", "HAPI-017", "HAPI-069")
async def test_a_store_of_limits_that_is_away_is_told_and_takes_no_readiness():
    with socket.socket() as taken:  # bound and not listening: a connection there is refused
        taken.bind(("127.0.0.1", 0))
        async with limited(redis_url=f"redis://127.0.0.1:{taken.getsockname()[1]}/0") as http:
            health, ready = (await http.get("/health")).json(), await http.get("/ready")

    assert (health["status"], health["checks"]["redis"]["status"]) == ("degraded", "unhealthy")
    assert "nobody is limited" in health["checks"]["redis"]["detail"]
    assert ready.status_code == 200


@pytest.mark.requirement("HAPI-016")
async def test_without_a_store_limits_are_the_process_own_and_nothing_is_amiss():
    async with limited(redis_url=None) as http:
        health = (await http.get("/health")).json()

    assert (health["status"], health["checks"]["redis"]["status"]) == ("healthy", "not_configured")


@pytest.mark.parametrize("origins", [[], [CONSOLE]])
async def test_a_page_of_another_origin_may_not(origins):
    async with calling(cors_origins=origins) as service:
        answer = await service.http.get("/api/v1/notes/a", headers={"Origin": "https://attacker.example"})

    assert "access-control-allow-origin" not in answer.headers
