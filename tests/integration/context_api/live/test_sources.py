"""The Context API with Prometheus, Loki and an API server that are slow, broken, too talkative or gone, and come back.

Faults that wait do so for an hour: a test that ends has met a deadline.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.auth import Authenticator, TokenMinter
from libs.auth.keys import KeyRing
from libs.auth.permissions import Role
from libs.metrics import Metrics
from services.context_api.main import create_app
from services.context_api.settings import Settings
from tests.fakes import loki, prometheus
from tests.fakes.kube_api import FakeKubeApi, Fault, kubeconfig, refusal, running
from tests.support import kube
from tests.support.keyrings import hs256_entry, ring

pytestmark = pytest.mark.requirement(
    "API-BR-CAPI-006", "API-BR-CAPI-007", "API-BR-CAPI-020", "HAPI-BR-HEALTH-020"
)

RING: KeyRing = ring(jwt=[hs256_entry()])
CONTEXT = "/api/v1/context"
CAUSES = f"{CONTEXT}/causes/shop/Pod/api-0"
HOUR = 3600.0
SECONDS = 60.0
"""How long a test waits for a source to be asked again; the pauses in it are tenths of seconds."""

MANY = json.dumps(
    {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [
                {"metric": {"namespace": "shop", "pod": f"p-{n}"}, "value": [1, "1"]} for n in range(2_001)
            ],
        },
    }
).encode()
FAULTS: Mapping[str, tuple[Fault, str, str]] = {
    "slow": (Fault(wait=HOUR), "late", "no answer in time"),
    "garbage": (Fault(200, b"<html>gateway</html>"), "failed", "its answer cannot be read"),
    "5xx": (Fault(502, b"bad gateway"), "failed", "it failed"),
    "429": (Fault(429, b"too many"), "failed", "it is overloaded"),
    "huge": (Fault(200, MANY), "failed", "the answer is too large"),
}


def bearer(*namespaces: str) -> Mapping[str, str]:
    minter = TokenMinter(lambda: RING, service="test")
    token = minter.mint("x", tenant="default", roles=[Role.viewer], namespaces=namespaces)
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Service:
    client: httpx.AsyncClient
    metrics: Metrics

    async def bundle(self) -> dict[str, Any]:
        answer = await self.client.post(f"{CONTEXT}/bundle", json={"target": {"api_version": "v1", "kind": "Pod", "namespace": "shop", "name": "api-0"}, "max_tokens": 20_000})  # fmt: skip
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def part(self, name: str) -> dict[str, Any]:
        """How a source took part in the newest bundle."""
        parts = [part for source in (await self.bundle())["sources"] for part in source.get("parts", [])]
        (found,) = [part for part in parts if part["name"] == name]
        return dict(found)

    async def until(self, name: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask until a source takes part so."""
        async with asyncio.timeout(SECONDS):
            while not fits(part := await self.part(name)):
                await asyncio.sleep(0.05)
        return part


@asynccontextmanager
async def service(fake: FakeKubeApi, folder: Path, **settings: object) -> AsyncIterator[Service]:
    path = kubeconfig(folder / "config", fake.url)
    given = {
        "evidence_max_age": "0.001",
        "evidence_source_pause": "0.2",
        **settings,
    }
    metrics = Metrics("context-api")
    app = create_app(
        Settings.model_validate({"evidence_kubeconfig": str(path), **given}),
        metrics=metrics,
        authenticator=Authenticator(RING),
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://localhost",
            headers=bearer("*"),
            timeout=60,
        ) as client,
    ):
        async with asyncio.timeout(SECONDS):
            while (await client.get(CAUSES)).status_code != 200:  # its lists are being read
                await asyncio.sleep(0.05)
        yield Service(client, metrics)


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubeApi]:
    last = kube.ended(minutes=2, lived=3)
    restarted = kube.running(restarts=4, minutes=1, ready=False, last=last)
    documents = [
        kube.thing("Deployment", "api", api="apps/v1", spec={"replicas": 1}),
        kube.pod("api-0", statuses=[restarted]),
        kube.thing("Namespace", "shop", None),
    ]
    async with running(documents, logs={"shop/api-0/app": b"listening\n"}) as made:
        yield made


# --- Prometheus -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(FAULTS))
async def test_a_prometheus_in_trouble_is_named_costs_no_answer_and_is_asked_again_by_itself(
    fake: FakeKubeApi, tmp_path: Path, name: str
):
    fault, outcome, words = FAULTS[name]
    async with (
        prometheus.running(faults=[fault], sticky=True) as (prom, url),
        service(fake, tmp_path, evidence_prometheus_url=url, evidence_prometheus_timeout="3") as here,
    ):
        causes = (await here.client.get(CAUSES)).json()
        part = await here.until("prometheus", lambda part: part["outcome"] == outcome)
        report = next(one for one in (await here.bundle())["sources"] if one["source"] == "metrics")
        prom.faults = []
        back = await here.until("prometheus", lambda part: part["outcome"] == "read")

    assert any(f"metrics of {url}" in gap for gap in causes["not_looked_at"])
    assert words in part["reason"]
    assert part["deadline_ms"] == 3000
    assert report["status"] == "partial"
    assert "breaker" not in back
    assert back["calls"] > 20


async def test_a_prometheus_that_fails_again_and_again_is_left_alone_and_its_state_is_told(
    fake: FakeKubeApi, tmp_path: Path
):
    async with (
        prometheus.running(faults=[Fault(500, b"no")], sticky=True) as (prom, url),
        service(fake, tmp_path, evidence_prometheus_url=url, evidence_source_pause="3600") as here,
    ):
        part = await here.until("prometheus", lambda part: part["outcome"] == "held-back")
        asked = len(prom.asked)
        await here.bundle()
        async with asyncio.timeout(SECONDS):
            while (health := (await here.client.get("/health")).json())["checks"]["prometheus"]["status"] == "healthy":  # fmt: skip
                await asyncio.sleep(0.2)
        text = here.metrics.exposition().decode()
        stays = len(prom.asked)

    assert part["breaker"] == "open"
    assert stays == asked
    assert "breaker open" in health["checks"]["prometheus"]["detail"]
    assert health["checks"]["evidence"]["status"] == "healthy"
    assert 'context_api_source_breaker_state{source="prometheus",state="open"} 1.0' in text
    assert 'context_api_source_requests_total{outcome="held-back",source="prometheus"}' in text
    assert prom.most_at_once <= 3


async def test_the_operators_matchers_stand_in_every_selector_that_is_sent(fake: FakeKubeApi, tmp_path: Path):
    async with prometheus.running() as (prom, url):
        given = {"evidence_prometheus_url": url, "evidence_prometheus_matchers": 'cluster="eu-1"'}
        async with service(fake, tmp_path, **given) as here:
            await here.until("prometheus", lambda part: part["outcome"] == "read")

    assert len(prom.asked) > 20
    assert all(one["query"].count("{") == one["query"].count('cluster="eu-1"') for one in prom.asked)


async def test_a_caller_of_one_namespace_is_told_that_prometheus_failed_and_not_where_it_is(
    fake: FakeKubeApi, tmp_path: Path
):
    async with (
        prometheus.running(faults=[Fault(500, b"no")], sticky=True) as (_, url),
        service(fake, tmp_path, evidence_prometheus_url=url) as here,
    ):
        answer = await here.client.get(CAUSES, headers=bearer("shop"))

    gaps = answer.json()["not_looked_at"]
    assert any(gap.startswith("prometheus: ") for gap in gaps)
    assert all(url not in gap for gap in gaps)


@pytest.mark.requirement("HAPI-168")
async def test_a_metric_that_contradicts_the_object_is_told_with_both_sides(
    fake: FakeKubeApi, tmp_path: Path
):
    labels = {"__name__": "kube_pod_container_status_restarts_total", "namespace": "shop", "pod": "api-0", "container": "app", "value": "9"}  # fmt: skip
    async with (
        prometheus.running(series={"restarts_total": [labels]}) as (_, url),
        service(fake, tmp_path, evidence_prometheus_url=url) as here,
    ):
        await here.until("prometheus", lambda part: part["outcome"] == "read")
        made = await here.bundle()
        evidence = (await here.client.get(f"{CONTEXT}/evidence/shop/Pod/api-0")).json()

    (one,) = made["conflicts"]
    assert (one["conflict"], one["reason"], one["about"]) == (True, "restart-count", "Pod/shop/api-0")
    assert [side["source"] for side in one["sides"]] == ["object", "metric"]
    assert 0.5 < one["confidence"] < 1
    assert {item["id"] for item in made["items"] if item.get("conflict")} == {
        s["evidence_id"] for s in one["sides"]
    }
    assert [c["reason"] for c in evidence["conflicts"]] == ["restart-count"]


# --- Loki -------------------------------------------------------------------------------------------------------


def stream(pod: str, *lines: tuple[float, str], container: str = "app", tenant: str = "fake") -> loki.Stream:
    """Minutes before now, line."""
    labels = {"namespace": "shop", "pod": pod, "container": container, "stream": "stderr"}
    return loki.Stream(labels, [(loki.nanoseconds(kube.moment(m)), line) for m, line in lines], tenant)


PREVIOUS = stream(
    "api-0", (300, "of long ago"), (4, "password=hunter22"), (3, "panic: no database"), (0.5, "again")
)


@pytest.mark.requirement("HAPI-168")
async def test_the_log_before_the_restart_that_no_kubelet_has_any_more_comes_from_loki(
    fake: FakeKubeApi, tmp_path: Path
):
    async with loki.running(PREVIOUS, tenants=True) as (store, url):
        store.streams[0].tenant = "team-a"
        given = {"evidence_loki_url": url, "evidence_loki_tenant": "team-a", "evidence_loki_token": "t"}
        async with service(fake, tmp_path, **given) as here:
            part = await here.until("loki", lambda part: part["outcome"] == "read")
            asked = {"container": "app", "previous": "true"}
            log = (await here.client.get(f"{CONTEXT}/logs/shop/api-0", params=asked)).json()
            causes = (await here.client.get(CAUSES)).json()

    lines = [line["text"] for line in log["lines"]]
    assert [line.split(" ", 1)[1] for line in lines[1:]] == ["panic: no database"]
    assert "hunter22" not in json.dumps(log)
    assert lines[0].startswith("2026-11-18T09:26:00.000000000Z ")
    assert {(one["tenant"], one["authorization"], one["direction"]) for one in store.asked} == {("team-a", "Bearer t", "backward")}  # fmt: skip
    assert part["calls"] >= 1
    assert not any("previous log" in gap for gap in causes["not_looked_at"])


async def test_the_last_words_of_a_pod_that_is_gone_come_from_loki(fake: FakeKubeApi, tmp_path: Path):
    gone = "api-6c5d9f8b7d-x2x2x"
    fake.documents.append(
        kube.thing(
            "Event",
            "killing",
            involvedObject={"kind": "Pod", "namespace": "shop", "name": gone},
            type="Warning",
            reason="Evicted",
            lastTimestamp=kube.ago(4),
        )
    )
    async with (
        loki.running(stream(gone, (5, "panic: disk quota exceeded"))) as (_, url),
        service(fake, tmp_path, evidence_loki_url=url) as here,
    ):
        await here.until("loki", lambda part: part["outcome"] == "read")
        log = (await here.client.get(f"{CONTEXT}/logs/shop/{gone}")).json()
        target = f"{CONTEXT}/evidence/shop/Deployment/api"
        page = (await here.client.get(target, params={"kind": "log"})).json()

    assert log["lines"][0]["text"].endswith("panic: disk quota exceeded")
    assert any(
        "disk quota exceeded" in item["summary"] and item["target"]["name"] == gone for item in page["items"]
    )


async def test_where_kubelets_may_not_be_asked_all_logs_come_from_loki(fake: FakeKubeApi, tmp_path: Path):
    async with (
        loki.running(stream("api-0", (0.5, "from the store"))) as (_, url),
        service(fake, tmp_path, evidence_loki_url=url, evidence_pod_logs="false") as here,
    ):
        await here.until("loki", lambda part: part["outcome"] == "read")
        log = (await here.client.get(f"{CONTEXT}/logs/shop/api-0")).json()

    assert log["lines"][0]["text"].endswith("from the store")
    assert not [one for one in fake.asked if "/log?" in one]


@pytest.mark.parametrize("name", ["slow", "garbage", "5xx", "429"])
async def test_a_loki_in_trouble_is_named_costs_no_answer_and_is_asked_again_by_itself(
    fake: FakeKubeApi, tmp_path: Path, name: str
):
    fault, outcome, words = FAULTS[name]
    async with (
        loki.running(PREVIOUS, faults=[fault], sticky=True) as (store, url),
        service(fake, tmp_path, evidence_loki_url=url, evidence_loki_timeout="3") as here,
    ):
        part = await here.until("loki", lambda part: part["outcome"] == outcome)
        causes = (await here.client.get(CAUSES)).json()
        store.faults = []
        back = await here.until("loki", lambda part: part["outcome"] == "read")

    assert words in part["reason"]
    assert part["deadline_ms"] == 3000
    assert any("log" in gap and url in gap for gap in causes["not_looked_at"])
    assert "breaker" not in back


async def test_more_than_the_limit_of_bytes_is_not_read(fake: FakeKubeApi, tmp_path: Path):
    huge = Fault(200, b"x" * (9 * 2**20))
    async with (
        loki.running(faults=[huge], sticky=True) as (_, url),
        service(fake, tmp_path, evidence_loki_url=url, evidence_loki_timeout="30") as here,
    ):
        part = await here.until("loki", lambda part: part["outcome"] == "failed")

    assert "the answer is too large" in part["reason"]


# --- the API server ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refusal(429, "too many requests", **{"Retry-After": "3600"}), "it is overloaded"),
        (refusal(503, "etcdserver: no leader"), "it failed"),
        (Fault(200, wait=HOUR), "no answer in time"),
    ],
    ids=["429", "5xx", "slow"],
)
async def test_an_api_server_in_trouble_is_named_with_the_age_of_what_it_told_and_comes_back_by_itself(
    fake: FakeKubeApi, tmp_path: Path, fault: Fault, words: str
):
    async with service(fake, tmp_path) as here:
        await here.until("kubernetes", lambda part: part["outcome"] == "read")
        fake.faults["/version"], fake.sticky = [fault], fake.sticky | {"/version"}
        part = await here.until("kubernetes", lambda part: part["outcome"] == "stale")
        # What was kept before may be given for another moment, and tells its age.
        causes = await here.client.get(CAUSES, headers={"Cache-Control": "no-cache"})
        fake.faults["/version"] = []
        back = await here.until("kubernetes", lambda part: part["outcome"] != "stale")

    assert causes.status_code == 200
    gaps = causes.json()["not_looked_at"]
    assert any("the cluster as it is now" in gap and "as of" in gap for gap in gaps), gaps
    assert words in part["reason"]
    assert part["age_s"] >= 0
    assert back["outcome"] in ("read", "partial")
