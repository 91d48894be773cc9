"""create_app: nothing happens before the start; CORS only for who was named; the start and the end in order."""

from __future__ import annotations

import contextlib

import pytest

from libs.auth import AuthNotConfigured
from libs.metrics import Metrics
from libs.web import Check, ServiceInfo, WebSettings, create_app
from tests.support.web_client import calling
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


@pytest.mark.parametrize("origins", [[], [CONSOLE]])
async def test_a_page_of_another_origin_may_not(origins):
    async with calling(cors_origins=origins) as service:
        answer = await service.http.get("/api/v1/notes/a", headers={"Origin": "https://attacker.example"})

    assert "access-control-allow-origin" not in answer.headers
