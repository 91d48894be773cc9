"""The Context API with a live cluster behind it: answers, an outage, and the way back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from libs.auth import Authenticator, TokenMinter
from libs.auth.keys import KeyRing
from libs.auth.permissions import Role
from services.context_api.main import create_app
from services.context_api.settings import Settings
from tests.fakes.kube_api import FakeKubeApi, kubeconfig, refusal, running
from tests.support import kube
from tests.support.keyrings import hs256_entry, ring
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006", "HAPI-BR-HEALTH-020")

RING: KeyRing = ring(jwt=[hs256_entry()])
CONTEXT = "/api/v1/context"
CAUSES = f"{CONTEXT}/causes/shop/Pod/api-0"


def bearer(*namespaces: str) -> Mapping[str, str]:
    minter = TokenMinter(lambda: RING, service="test")
    token = minter.mint("x", tenant="default", roles=[Role.viewer], namespaces=namespaces)
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubeApi]:
    documents = [
        kube.pod("api-0", statuses=[kube.crashing()]),
        kube.pod("b", "bank"),
        kube.thing("Namespace", "shop", None),
    ]
    async with running(documents, logs={"shop/api-0/app": b"panic: no database\n"}) as made:
        yield made


@asynccontextmanager
async def service(fake: FakeKubeApi, tmp_path: Path, **settings: object) -> AsyncIterator[httpx.AsyncClient]:
    path = kubeconfig(tmp_path / "config", fake.url)
    app = create_app(
        Settings.model_validate({"evidence_kubeconfig": str(path), **settings}),
        authenticator=Authenticator(RING),
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://localhost", headers=bearer("*")
        ) as client,
    ):
        yield client


async def test_a_cause_is_found_in_the_cluster_as_it_is(fake: FakeKubeApi, tmp_path: Path):
    async with service(fake, tmp_path) as client:
        answer = (await client.get(CAUSES)).json()
        own = await client.get(f"{CONTEXT}/health")
        # Looked at in the background: on a busy machine the first look may come before the first list.
        async with asyncio.timeout(30):
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.1)

    assert answer["ranked"][0]["reason"] == "CrashLoopBackOff"
    assert {item["source"] for item in answer["evidence"]} == {"kubernetes"}
    assert own.json()["kubernetes_connectivity"] == "healthy"


async def test_many_questions_cost_one_reading(fake: FakeKubeApi, tmp_path: Path):
    async with service(fake, tmp_path) as client:
        for _ in range(10):
            assert (await client.get(CAUSES)).status_code == 200

    assert len(fake.asked_for("/api/v1/pods")) == 1


async def test_a_caller_sees_only_the_namespaces_of_the_credential(fake: FakeKubeApi, tmp_path: Path):
    async with service(fake, tmp_path) as client:
        mine = await client.get(f"{CONTEXT}/kubernetes/bank/pods", headers=bearer("bank"))
        other = await client.get(CAUSES, headers=bearer("bank"))

    assert mine.json()["context"]["total"] == 1
    assert other.status_code == 403


async def test_in_an_outage_it_answers_with_the_age_said_until_the_limit(fake: FakeKubeApi, tmp_path: Path):
    settings = {"evidence_max_age": "0.001", "evidence_call_timeout": "1"}
    async with service(fake, tmp_path, **settings, evidence_stale_limit="60", keep_stale="0") as client:
        await client.get(CAUSES)
        fake.faults["/api/v1/pods"] = [refusal(500, "etcd")] * 100
        for path in ("/api", "/apis", *{one.partition("?")[0] for one in fake.asked}):
            fake.faults[path], fake.sticky = [refusal(500, "etcdserver: no leader")], fake.sticky | {path}
        stale = await client.get(CAUSES)
        own = await client.get(f"{CONTEXT}/health")

    assert stale.status_code == 200
    assert stale.json()["ranked"][0]["reason"] == "CrashLoopBackOff"
    assert any("the cluster as it is now" in gap and "as of" in gap for gap in stale.json()["not_looked_at"])
    assert (own.status_code, own.json()["kubernetes_connectivity"]) == (200, "unhealthy")


@pytest.mark.requirement("API-BR-CAPI-008", "API-BR-CAPI-012")
async def test_a_kept_answer_tells_its_age_and_is_made_anew_behind_who_is_given_it(
    fake: FakeKubeApi, tmp_path: Path
):
    async with service(fake, tmp_path, evidence_max_age="0.2", keep_stale="600") as client:
        first = await client.get(CAUSES)
        await asyncio.sleep(1.5)
        stale = await client.get(CAUSES)
        async with asyncio.timeout(30):
            while (late := await client.get(CAUSES)).json()["snapshot_at"] == first.json()["snapshot_at"]:
                await asyncio.sleep(0.05)

    assert first.headers["cache-control"] == stale.headers["cache-control"] == "private, max-age=0"
    assert stale.content == first.content
    assert int(stale.headers["age"]) >= 1
    assert "detail=stale" in stale.headers["cache-status"]
    assert "ttl=-" in stale.headers["cache-status"]
    assert late.status_code == 200


@pytest.mark.requirement("API-BR-CAPI-012")
async def test_in_an_outage_what_is_given_again_soon_says_so_itself(fake: FakeKubeApi, tmp_path: Path):
    async with service(fake, tmp_path, evidence_max_age="0.2", evidence_call_timeout="1") as client:
        await client.get(CAUSES)
        fake.faults["/api/v1/pods"] = [refusal(500, "etcd")] * 100
        for path in ("/api", "/apis", *{one.partition("?")[0] for one in fake.asked}):
            fake.faults[path], fake.sticky = [refusal(500, "etcdserver: no leader")], fake.sticky | {path}
        async with asyncio.timeout(30):
            given = await client.get(CAUSES)
            while not any("as it is now" in gap for gap in given.json()["not_looked_at"]):
                await asyncio.sleep(0.05)
                given = await client.get(CAUSES)

    assert given.status_code == 200
    assert "detail=stale" not in given.headers["cache-status"]


async def test_without_anything_to_answer_from_it_is_503_with_a_time_to_come_back(tmp_path: Path):
    nobody = FakeKubeApi([], url="http://127.0.0.1:9")
    async with service(nobody, tmp_path, evidence_call_timeout="1") as client:
        ready, health = await client.get("/ready"), await client.get("/health")
        asked = await client.get(CAUSES)

    assert ready.status_code == 503
    assert "connection refused" in health.json()["checks"]["evidence"]["detail"]
    assert (asked.status_code, asked.json()["code"]) == (503, "no-evidence")
    assert int(asked.headers["retry-after"]) >= 1


def test_a_recording_and_a_cluster_at_once_are_refused_at_the_start_in_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "services.context_api"],
        cwd=ROOT,
        env={**os.environ, "RECORDED_CLUSTER": "/r", "EVIDENCE_KUBECONFIG": "/k"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode != 0
    assert "RECORDED_CLUSTER and a live cluster" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_recording_does_not_pay_for_the_clusters_client():
    code = (
        "import sys, services.context_api.main; print('kubernetes' in sys.modules, 'aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.stdout.split() == ["False", "False"], done.stderr
