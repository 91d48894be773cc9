"""Older routes over HTTP: they are answered as they were, and say what comes after them and until when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.integration.context_api.test_service import INCIDENT, as_reader_of, service

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-API-005", "API-BR-DOC-012")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with service(recorded_cluster=INCIDENT, alerts_url="http://127.0.0.1:9") as made:
        yield made


async def test_an_older_route_says_since_when_until_when_and_what_comes_after_it(client: httpx.AsyncClient):
    answer = await client.get("/api/v1/namespace/shop/resources", params={"resource": "pods"})

    assert answer.status_code == 200
    since = datetime.fromtimestamp(int(answer.headers["deprecation"].removeprefix("@")), UTC)
    assert since < parsedate_to_datetime(answer.headers["sunset"])
    assert answer.links["successor-version"]["url"] == "/api/v1/context/kubernetes/shop/pods"


async def test_the_successor_that_is_named_answers_the_same(client: httpx.AsyncClient):
    older = await client.get("/api/v1/namespace/shop/resources")
    successor = await client.get(older.links["successor-version"]["url"])

    assert successor.json()["context"] == older.json()["context"]
    assert "deprecation" not in successor.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/namespace/data/resources", 403),
        ("/api/v1/namespace/Shop/resources", 422),
        ("/api/v1/namespace/shop/resources?resource=rockets", 404),
    ],
)
async def test_a_refusal_says_it_too(client: httpx.AsyncClient, path: str, status: int):
    answer = await client.get(path, headers=as_reader_of("shop"))

    assert answer.status_code == status
    assert {"deprecation", "sunset", "link"} <= set(answer.headers)


async def test_an_answer_that_was_kept_says_it_too(client: httpx.AsyncClient):
    path = "/api/v1/namespace/shop/resources?resource=deployments"
    first, kept = await client.get(path), await client.get(path)
    unchanged = await client.get(path, headers={"If-None-Match": kept.headers["etag"]})

    assert "hit" in kept.headers["cache-status"]
    assert unchanged.status_code == 304
    for answer in (first, kept, unchanged):
        assert answer.headers.get_list("deprecation") == ["@1795651200"]
        assert answer.links["successor-version"]["url"] == "/api/v1/context/kubernetes/shop/deployments"


async def test_routes_without_a_successor_say_nothing(client: httpx.AsyncClient):
    answer = await client.get("/api/v1/context/discover")

    assert answer.status_code == 200
    assert not {"deprecation", "sunset", "link"} & set(answer.headers)
