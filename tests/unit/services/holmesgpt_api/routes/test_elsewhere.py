"""`/auth/…` is the platform service's: whoever asks here is sent there, or told so, and reveals nothing on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from services.holmesgpt_api.main import create_app
from services.holmesgpt_api.routes.elsewhere import METHODS
from services.holmesgpt_api.settings import Settings

pytestmark = pytest.mark.requirement("HAPI-045", "HAPI-067", "HAPI-079")

PLATFORM = "https://platform.example"


def service(platform: str | None) -> httpx.AsyncClient:
    """Not even started: nothing it could open is needed for these answers."""
    values = {"database_url": "postgresql://nowhere.invalid/none", "platform_url": platform}
    app = create_app(Settings.model_validate(values))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.fixture
async def sending() -> AsyncIterator[httpx.AsyncClient]:
    async with service(PLATFORM) as client:
        yield client


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/auth", "/auth/login", "/auth/users/a/roles?page=2"])
async def test_every_method_is_sent_to_the_same_path_there_without_a_credential(
    sending: httpx.AsyncClient, method: str, path: str
):
    answer = await sending.request(method, path)

    assert (answer.status_code, answer.headers["location"]) == (308, f"{PLATFORM}{path}")
    assert answer.headers["cache-control"] == "no-store", "a browser would keep a 308 for ever"


@pytest.mark.parametrize("host", ["evil.example", "localhost"])
async def test_the_host_of_the_place_is_never_the_requests(sending: httpx.AsyncClient, host: str):
    headers = {"Host": host, "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}

    answer = await sending.get("/auth/login", headers=headers)

    assert answer.headers["location"] == f"{PLATFORM}/auth/login"


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json"])
async def test_a_password_that_came_along_is_not_even_read(sending: httpx.AsyncClient, kind: str):
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{username=a&password=b"

    answer = await sending.post("/auth/login", content=body(), headers={"Content-Type": kind})

    assert (answer.status_code, read) == (308, False)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_without_a_place_a_problem_names_the_service_and_the_setting(method: str):
    async with service(None) as client:
        answer = await client.request(method, "/auth/refresh")

    assert (answer.status_code, answer.json()["code"]) == (404, "platform-service")
    assert "platform service" in answer.json()["detail"]
    assert "PLATFORM_URL" in answer.json()["detail"]


async def test_what_only_looks_like_it_stays_closed(sending: httpx.AsyncClient):
    for path in ("/authority", "/api/v1/auth/login", "/auth/../api/v1/config"):
        answer = await sending.get(httpx.URL("http://localhost", raw_path=path.encode()))

        assert answer.status_code in (400, 503), path  # 503: callers are not known before the start
