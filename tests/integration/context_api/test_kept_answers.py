"""Kept answers over HTTP, with a real Redis and without: the same bytes whatever becomes of it, and nobody else's."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import zstandard

from libs.auth import Authenticator, TokenMinter
from libs.auth.keys import KeyRing
from libs.auth.permissions import Role
from libs.metrics import Metrics
from services.context_api.main import create_app
from services.context_api.routes.kept import BY_TEMPLATE
from services.context_api.settings import Settings
from tests.support.keyrings import hs256_entry, ring
from tests.support.redis import RedisServer
from tests.support.source import ROOT

pytestmark = [
    pytest.mark.requirement("API-BR-CAPI-003", "API-BR-CAPI-012", "API-BR-CAPI-013", "API-BR-PERF-011"),
    pytest.mark.needs("redis-server"),
]

INCIDENT = ROOT / "examples" / "incidents" / "orders-database-config"
RING: KeyRing = ring(jwt=[hs256_entry()])
CONTEXT = "/api/v1/context"
CAUSES = f"{CONTEXT}/causes/shop/Deployment/checkout"
PATHS = (
    CAUSES,
    f"{CONTEXT}/findings/shop/Deployment/checkout",
    f"{CONTEXT}/evidence/shop/Deployment/checkout?limit=5",
    f"{CONTEXT}/topology/shop/Deployment/checkout",
    f"{CONTEXT}/kubernetes/shop/pods",
    f"{CONTEXT}/metrics/shop/checkout",
)


def bearer(*namespaces: str, tenant: str = "default", role: Role = Role.viewer) -> dict[str, str]:
    token = TokenMinter(lambda: RING, service="test").mint(
        "somebody", tenant=tenant, roles=[role], namespaces=namespaces
    )
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Service:
    http: httpx.AsyncClient
    metrics: Metrics

    def questions(self, outcome: str, source: str = "evidence") -> float:
        labels = {"source": source, "outcome": outcome}
        return self.metrics.registry.get_sample_value("context_api_cache_questions_total", labels) or 0.0

    def faults(self) -> dict[str, float]:
        return {
            sample.labels["reason"]: sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "context_api_cache_faults_total" and sample.value
        }

    async def component(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get("/health")).json()["checks"][name]
        return found

    async def component_is(self, name: str, status: str) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while (found := await self.component(name))["status"] != status:
                await asyncio.sleep(0.1)
        return found


@asynccontextmanager
async def service(redis: RedisServer | None = None, **settings: object) -> AsyncIterator[Service]:
    metrics = Metrics("context-api")
    given = {"recorded_cluster": INCIDENT, "redis_url": redis.url if redis is not None else None, **settings}
    app = create_app(Settings.model_validate(given), metrics=metrics, authenticator=Authenticator(RING))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://localhost",
            headers={**bearer("*"), "Accept-Encoding": "identity"},
        ) as client,
    ):
        (await client.get(f"{CONTEXT}/kubernetes/_cluster/nodes")).raise_for_status()  # the recording is read
        yield Service(client, metrics)


def said(answer: httpx.Response) -> bytes:
    """The answer; without the clock time that lists carry."""
    body = answer.json()
    body.pop("timestamp", None)
    return json.dumps(body).encode()


async def answers(one: Service) -> list[bytes]:
    return [said((await one.http.get(path)).raise_for_status()) for path in PATHS]


async def redis_keys(redis: RedisServer, pattern: str) -> list[bytes]:
    from redis.asyncio import Redis

    client = Redis.from_url(redis.url)
    try:
        return [key async for key in client.scan_iter(pattern)]
    finally:
        await client.aclose()


async def overwritten(redis: RedisServer, how: Any) -> int:
    """Change every value that is kept there; returns how many."""
    from redis.asyncio import Redis

    client = Redis.from_url(redis.url)
    try:
        keys = [key async for key in client.scan_iter("kubernaut:cache:*")]
        values = [await client.get(key) for key in keys]
        for key, value in zip(keys, how(values), strict=True):
            await client.set(key, value, ex=600)
        return len(keys)
    finally:
        await client.aclose()


async def test_a_second_answer_has_the_same_bytes_and_tells_where_it_is_from():
    async with service() as one:
        first, second = await one.http.get(CAUSES), await one.http.get(CAUSES)

    assert second.content == first.content
    assert first.headers["etag"] == second.headers["etag"]
    assert "stored" in first.headers["cache-status"]
    assert second.headers["cache-status"].startswith("kubernaut; hit; ttl=")
    assert second.headers["cache-control"] == "private, max-age=600"
    assert int(second.headers["age"]) >= 0
    assert {"accept-encoding", "authorization"} <= set(second.headers["vary"].split(", "))
    assert second.headers["x-content-type-options"] == "nosniff"
    assert second.headers["x-request-id"]


@pytest.mark.parametrize("field", ["{etag}", "*", '"other", {etag}'])
async def test_who_has_it_already_is_told_so_without_a_body(field: str):
    async with service() as one:
        etag = (await one.http.get(CAUSES)).headers["etag"]
        again = await one.http.get(CAUSES, headers={"If-None-Match": field.format(etag=etag)})
        other = await one.http.get(CAUSES, headers={"If-None-Match": '"other"'})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert "content-type" not in again.headers
    assert (other.status_code, bool(other.content)) == (200, True)


async def test_a_conditional_question_never_asks_redis_what_is_near(own_redis: RedisServer):
    async with service(own_redis, keep_near=60, rate_limit_requests=10**6) as one:
        etag = (await one.http.get(CAUSES)).headers["etag"]
        before = one.questions("near")
        own_redis.freeze()
        again = await one.http.get(CAUSES, headers={"If-None-Match": etag})
        own_redis.thaw()

    assert again.status_code == 304
    assert one.questions("near") == before + 1


async def test_if_none_match_in_two_lines_is_one_list():
    async with service() as one:
        etag = (await one.http.get(CAUSES)).headers["etag"]
        lines = [("If-None-Match", etag), ("If-None-Match", '"other"')]
        again = await one.http.get(CAUSES, headers=[*bearer("*").items(), *lines])

    assert again.status_code == 304


async def test_head_tells_what_get_would_and_sends_nothing():
    async with service() as one:
        head = await one.http.head(CAUSES)
        got = await one.http.get(CAUSES)
        missing = await one.http.head(f"{CONTEXT}/causes/shop/Pod/nobody")

    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-length", "content-type", "cache-control", "vary"):
        assert head.headers[name] == got.headers[name]
    assert (missing.status_code, missing.content) == (404, b"")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("zstd, gzip", "zstd"),
        ("zstd;q=0.1, gzip;q=0.2", "gzip"),
        ("br", None),
        ("gzip;q=0", None),
    ],
)
async def test_the_coding_is_the_one_liked_best_and_holds_the_same(accepted: str, coding: str | None):
    unpack = {
        "gzip": gzip.decompress,
        "zstd": lambda b: zstandard.ZstdDecompressor().decompress(b),
        None: bytes,
    }
    async with service() as one:
        plain = await one.http.get(CAUSES)
        request = one.http.build_request("GET", CAUSES, headers={"Accept-Encoding": accepted})
        packed = await one.http.send(request, stream=True)
        raw = b"".join([part async for part in packed.aiter_raw()])

    assert packed.headers.get("content-encoding") == coding
    assert int(packed.headers["content-length"]) == len(raw)
    assert unpack[coding](raw) == plain.content
    assert packed.headers["etag"] == plain.headers["etag"]


async def test_yaml_is_answered_from_the_application_as_before():
    async with service() as one:
        await one.http.get(CAUSES)
        answer = await one.http.get(CAUSES, headers={"Accept": "application/yaml"})

    assert answer.headers["content-type"].startswith("application/yaml")
    assert "ranked:" in answer.text


async def test_who_wants_none_that_was_kept_gets_a_new_one():
    async with service() as one:
        await one.http.get(CAUSES)
        await one.http.get(CAUSES, headers={"Cache-Control": "no-cache"})

    assert (one.questions("made"), one.questions("near")) == (2, 0)


@pytest.mark.requirement("API-BR-CAPI-018", "HAPI-170", "HAPI-178")
@pytest.mark.parametrize("shared", [False, True])
async def test_what_is_kept_is_given_to_nobody_who_may_not_have_it(own_redis: RedisServer, shared: bool):
    async with service(own_redis if shared else None) as one:
        whole = await one.http.get(CAUSES)
        statuses = {
            "nobody": (await one.http.get(CAUSES, headers={"Authorization": "Bearer wrong"})).status_code,
            "ingest": (await one.http.get(CAUSES, headers=bearer("*", role=Role.ingest))).status_code,
            "elsewhere": (await one.http.get(CAUSES, headers=bearer("data"))).status_code,
        }
        etag = {"If-None-Match": whole.headers["etag"]}
        conditional = await one.http.get(CAUSES, headers={**bearer("data"), **etag})
        part = await one.http.get(CAUSES, headers=bearer("shop"))
        tenant = await one.http.get(CAUSES, headers={**bearer("*", tenant="other"), **etag})

    assert statuses == {"nobody": 401, "ingest": 403, "elsewhere": 403}
    assert conditional.status_code == 403
    assert "orders-db-config" in whole.text
    assert "orders-db-config" not in part.text
    # The same rights show the same, and yet it was made for this tenant alone.
    assert tenant.status_code == 304
    assert one.questions("made") == 3


@pytest.mark.requirement("API-BR-PERF-019")
async def test_a_kept_answer_counts_against_the_rate_limit_and_is_logged_and_measured():
    async with service(rate_limit_requests=4) as one:
        statuses = [(await one.http.get(CAUSES)).status_code for _ in range(5)]
        counted = one.metrics.registry.get_sample_value(
            "http_requests_total",
            {
                "method": "GET",
                "route": f"{CONTEXT}/causes/{{namespace}}/{{kind}}/{{name}}",
                "status_class": "2xx",
            },
        )

    assert statuses == [200, 200, 200, 429, 429]  # one was asked for at the start
    assert counted == 3


async def test_errors_are_not_kept(own_redis: RedisServer):
    async with service(own_redis) as one:
        for _ in range(2):
            missing = await one.http.get(f"{CONTEXT}/causes/shop/Pod/nobody")
            assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")

    assert one.questions("not-kept") == 2
    assert [key for key in await redis_keys(own_redis, "kubernaut:turn:*") if b"nobody" in key] == []


async def test_an_answer_that_lacks_the_past_is_kept_for_a_moment_only():
    # No alerts service listens there.
    async with service(alerts_url="http://127.0.0.1:9", keep_partial=0.2) as one:
        path = f"{CONTEXT}/action-history/KubePodCrashLooping"
        (await one.http.get(path)).raise_for_status()
        await asyncio.sleep(0.3)
        (await one.http.get(path)).raise_for_status()

    assert one.questions("made", "action-history") == 2


async def test_what_one_replica_found_another_gives(own_redis: RedisServer):
    async with service(own_redis) as one, service(own_redis) as other:
        first = await one.http.get(CAUSES)
        async with asyncio.timeout(30):
            while not await redis_keys(own_redis, "kubernaut:cache:17:context-api/pages*"):
                await asyncio.sleep(0.02)
        second = await other.http.get(CAUSES)

    assert second.content == first.content
    assert (one.questions("made"), other.questions("made"), other.questions("far")) == (1, 0, 1)


async def test_replicas_asked_at_once_find_it_once_between_them(own_redis: RedisServer):
    async with service(own_redis, keep_wait=30) as one, service(own_redis, keep_wait=30) as other:
        given = await asyncio.gather(*(each.http.get(CAUSES) for each in (one, other) for _ in range(10)))

    assert {answer.status_code for answer in given} == {200}
    assert len({answer.content for answer in given}) == 1
    assert one.questions("made") + other.questions("made") == 1


async def test_replicas_with_other_settings_or_secrets_share_nothing(own_redis: RedisServer):
    async with service(own_redis) as one, service(own_redis, evidence_cluster="eu-1") as other:
        await one.http.get(CAUSES)
        await asyncio.sleep(0.2)
        await other.http.get(CAUSES)

    assert (other.questions("far"), other.questions("made")) == (0, 1)


LIES = {
    "truncated": lambda values: [value[: len(value) // 2] for value in values],
    "exchanged": lambda values: [*values[1:], *values[:1]],
    "foreign": lambda values: [b'{"ranked": []}' for _ in values],
    "another-version": lambda values: [b"KN\x09" + value[3:] for value in values],
}


@pytest.mark.requirement("API-BR-REL-006", "API-BR-REL-007")
@pytest.mark.parametrize("lie", LIES)
async def test_a_redis_that_lies_changes_no_answer(own_redis: RedisServer, lie: str):
    async with service(own_redis) as one:
        honest = await answers(one)
        async with asyncio.timeout(30):
            while len(await redis_keys(own_redis, "kubernaut:cache:17:context-api/pages*")) <= len(PATHS):
                await asyncio.sleep(0.02)
    changed = await overwritten(own_redis, LIES[lie])
    async with service(own_redis) as fresh:
        after = await answers(fresh)
        faults = fresh.faults()

    assert changed > len(PATHS)
    assert after == honest
    assert faults["not-ours"] >= len(PATHS)
    assert fresh.questions("far") == 0


@pytest.mark.requirement("API-BR-REL-006", "API-BR-REL-007", "API-BR-PERF-019")
async def test_redis_down_emptied_and_back_changes_no_answer_and_health_says_so(own_redis: RedisServer):
    async with service(own_redis, keep_near=0.05, redis_timeout=0.1) as one:
        honest = await answers(one)
        well = await one.component("cache")
        own_redis.kill()
        down = [await answers(one) for _ in range(3)]
        degraded = await one.component_is("cache", "degraded")
        whole = (await one.http.get("/health")).json()["status"]
        ready = (await one.http.get("/ready")).status_code
        own_redis.start()  # with nothing in it
        await one.component_is("cache", "healthy")
        back = await answers(one)

    assert (well["status"], whole, ready) == ("healthy", "degraded", 200)
    assert "in this process alone" in degraded["detail"]
    assert down == [honest] * 3
    assert back == honest
    assert one.faults()["unreachable"] >= 1


@pytest.mark.requirement("API-BR-REL-006", "API-BR-PERF-019")
async def test_a_frozen_redis_costs_a_few_timeouts_and_no_answer(own_redis: RedisServer):
    async with service(own_redis, keep_near=0.01, redis_timeout=0.1) as one:
        honest = await answers(one)
        own_redis.freeze()
        try:
            frozen = [await answers(one) for _ in range(20)]
        finally:
            own_redis.thaw()

    assert frozen == [honest] * 20
    assert one.faults()["breaker-open"] > 20


async def test_without_redis_health_says_what_that_means():
    async with service() as one:
        cache = await one.component("cache")
        whole = (await one.http.get("/health")).json()["status"]

    assert (cache["status"], whole) == ("not_configured", "healthy")
    assert "REDIS_URL" in cache["detail"]


async def test_every_kept_route_is_a_route():
    async with service() as one:
        document = (await one.http.get("/openapi.json")).json()

    assert {path for path in BY_TEMPLATE if "get" not in document["paths"].get(path, {})} == set()
