"""The Context API over HTTP, with a recording on disk and keys as an operator has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.auth import Authenticator, TokenMinter
from libs.auth.keys import KeyRing
from libs.auth.permissions import Role
from services.context_api.adapters import recorded
from services.context_api.adapters.recording import load_recording
from services.context_api.main import create_app
from services.context_api.settings import Settings
from tests.support.keyrings import hs256_entry, ring
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-005", "HAPI-166", "HAPI-BR-CONTEXT-006")

INCIDENT = ROOT / "examples" / "incidents" / "orders-database-config"
ALERT = json.loads((INCIDENT / "alert.json").read_text())["alerts"][0]
RING: KeyRing = ring(jwt=[hs256_entry()])
CONTEXT = "/api/v1/context"


def token(*namespaces: str, role: Role = Role.viewer) -> str:
    return TokenMinter(lambda: RING, service="test").mint(
        "somebody", tenant="default", roles=[role], namespaces=namespaces
    )


@asynccontextmanager
async def service(**settings: object) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings.model_validate(settings), authenticator=Authenticator(RING))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://localhost",
            headers={"Authorization": f"Bearer {token('*')}"},
        ) as client,
    ):
        yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with service(recorded_cluster=INCIDENT) as made:
        yield made


def as_reader_of(*namespaces: str, role: Role = Role.viewer) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token(*namespaces, role=role)}"}


async def test_it_is_ready_once_its_recording_is_read(client: httpx.AsyncClient):
    (await client.get(f"{CONTEXT}/kubernetes/_cluster/nodes")).raise_for_status()

    # Looked at in the background: on a busy machine the first look may come before the recording is read.
    async with asyncio.timeout(30):
        while (await client.get("/ready")).status_code != 200:
            await asyncio.sleep(0.05)


async def test_the_main_job_labels_to_target_to_cause(client: httpx.AsyncClient):
    resolved = (await client.post(f"{CONTEXT}/resolve", json={"labels": ALERT["labels"]})).json()
    target = resolved["target"]
    answer = await client.get(
        f"{CONTEXT}/causes/{target['namespace']}/{target['kind']}/{target['name']}",
        params={"onset": ALERT["startsAt"]},
    )

    body = answer.json()
    assert answer.status_code == 200
    assert body["ranked"][0]["target"]["name"] == "orders-db-config"
    assert body["snapshot_at"] == resolved["snapshot_at"]
    cited = set(body["ranked"][0]["evidence_ids"])
    assert cited <= {item["id"] for item in body["evidence"]}


async def test_a_second_answer_comes_from_the_cache(client: httpx.AsyncClient):
    path = f"{CONTEXT}/findings/data/StatefulSet.apps/orders-db"
    first, second = await client.get(path), await client.get(path)

    assert first.json()["findings"]
    assert second.content == first.content
    assert (await client.get(f"{CONTEXT}/health")).json()["cache_hit_rate"] == 0.5


async def test_older_callers_get_the_objects_of_a_namespace(client: httpx.AsyncClient):
    answer = await client.get(
        f"{CONTEXT}/kubernetes/shop/pods", params={"labels": "app.kubernetes.io/name=checkout"}
    )

    body = answer.json()
    assert set(body) >= {"namespace", "resource", "labels", "context", "timestamp"}
    assert body["context"]["total"] == len(body["context"]["items"]) == 2
    assert body["labels"] == {"app.kubernetes.io/name": "checkout"}


async def test_health_has_the_keys_older_callers_read(client: httpx.AsyncClient):
    # An answer from the evidence is there when the recording has been read; health alone waits for nothing.
    (await client.get(f"{CONTEXT}/kubernetes/_cluster/nodes")).raise_for_status()

    answer = await client.get(f"{CONTEXT}/health")

    body = answer.json()
    assert (answer.status_code, body["status"], body["service"]) == (200, "healthy", "context-api")
    assert (body["kubernetes_connectivity"], body["context_types"]) == ("healthy", 5)


async def test_yaml_is_answered_where_it_is_asked_for(client: httpx.AsyncClient):
    answer = await client.get(f"{CONTEXT}/kubernetes/_cluster/nodes", headers={"Accept": "application/yaml"})

    assert answer.headers["content-type"].startswith("application/yaml")
    assert "kind: Node" in answer.text


@pytest.mark.requirement("API-BR-CAPI-018", "HAPI-170")
@pytest.mark.parametrize(
    "path", ["causes/shop/Pod/x", "findings/shop/Pod/x", "kubernetes/shop/pods", "health"]
)
async def test_who_is_not_known_is_not_answered(client: httpx.AsyncClient, path: str):
    answer = await client.get(f"{CONTEXT}/{path}", headers={"Authorization": "Bearer wrong"})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"]


@pytest.mark.requirement("API-BR-CAPI-018")
async def test_who_may_not_view_context_is_refused(client: httpx.AsyncClient):
    answer = await client.get(f"{CONTEXT}/kubernetes/shop/pods", headers=as_reader_of("*", role=Role.ingest))

    assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")


@pytest.mark.requirement("HAPI-178")
@pytest.mark.parametrize(
    "path",
    [
        "causes/data/StatefulSet/orders-db",
        "findings/data/Pod/nobody",
        "kubernetes/data/pods",
        "kubernetes/_cluster/nodes",
    ],
)
async def test_another_namespace_is_refused_whether_the_object_is_there_or_not(
    client: httpx.AsyncClient, path: str
):
    answer = await client.get(f"{CONTEXT}/{path}", headers=as_reader_of("shop"))

    assert (answer.status_code, answer.json()["code"]) == (403, "namespace-not-readable")


@pytest.mark.requirement("HAPI-178")
async def test_an_answer_holds_nothing_of_namespaces_the_caller_may_not_read(client: httpx.AsyncClient):
    answer = await client.get(f"{CONTEXT}/causes/shop/Deployment.apps/checkout", headers=as_reader_of("shop"))

    body = answer.json()
    assert answer.status_code == 200
    assert {cause["target"]["namespace"] for cause in body["ranked"]} <= {"shop"}
    assert {item["target"]["namespace"] for item in body["evidence"] if item["target"]} <= {"shop"}
    assert "orders-db-config" not in answer.text
    assert any("may not read" in gap for gap in body["not_looked_at"])


@pytest.mark.requirement("API-BR-SEC-006")
@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("causes/shop/Pod/nobody", 404, "Pod/shop/nobody"),
        ("causes/shop/Rocket.acme.io/x", 404, "Rocket.acme.io/shop/x"),
        ("kubernetes/shop/nonsense", 404, "nonsense in shop"),
        ("causes/Shop/Pod/x", 422, "path.namespace"),
        ("causes/shop/Pod!/x", 422, "path.kind"),
        ("causes/shop/Pod/-x", 422, "path.name"),
        ("causes/shop/Pod/..%2f..%2fetc%2fpasswd", 400, "encoded slash"),
        ("causes/shop/Pod/x?onset=tomorrow", 422, "query.onset"),
        ("causes/shop/Pod/x?onset=0001-01-01T00:00:00%2B10:00", 422, "query.onset"),
        ("causes/shop/Pod/x?cluster=%20", 422, "query.cluster"),
        ("kubernetes/shop/pods?labels=a=b=c", 422, "query.labels"),
        ("kubernetes/shop/" + "x" * 300, 422, "path.resource"),
    ],
)
async def test_what_cannot_be_answered_is_a_problem_that_names_it(
    client: httpx.AsyncClient, path: str, status: int, said: str
):
    answer = await client.get(f"{CONTEXT}/{path}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"] + json.dumps(answer.json()["errors"])


@pytest.mark.requirement("API-BR-CAPI-013")
async def test_a_hundred_callers_at_once_are_answered(client: httpx.AsyncClient):
    paths = [
        f"{CONTEXT}/{q}/{o}"
        for q in ("causes", "findings")
        for o in ("shop/Deployment/checkout", "data/Service/orders-db")
    ]

    answers = await asyncio.gather(*(client.get(paths[n % len(paths)]) for n in range(100)))

    assert {answer.status_code for answer in answers} == {200}


async def test_without_a_recording_it_runs_and_says_what_to_set():
    async with service() as client:
        ready, health = await client.get("/ready"), await client.get("/health")
        asked = await client.get(f"{CONTEXT}/kubernetes/shop/pods")
        own = await client.get(f"{CONTEXT}/health")

    assert (ready.status_code, ready.json()["services"]["evidence"]) == (503, "unhealthy")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert "set RECORDED_CLUSTER" in health.json()["checks"]["evidence"]["detail"]
    assert (asked.status_code, asked.json()["code"]) == (503, "no-evidence")
    assert "set RECORDED_CLUSTER" in asked.json()["detail"]
    assert "retry-after" not in asked.headers
    assert (own.status_code, own.json()["kubernetes_connectivity"]) == (503, "unavailable")


async def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path):
    async with service(recorded_cluster=tmp_path) as client:
        ready = await client.get("/ready")
        asked = await client.get(f"{CONTEXT}/kubernetes/shop/pods")
        own = await client.get(f"{CONTEXT}/health")

    assert ready.status_code == 503
    assert (asked.status_code, "no Kubernetes object in it" in asked.json()["detail"]) == (503, True)
    assert (own.status_code, own.json()["kubernetes_connectivity"]) == (503, "unhealthy")


async def test_while_the_recording_is_read_it_answers_that_it_comes(monkeypatch: pytest.MonkeyPatch):
    go = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(path: Path) -> Any:
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(30)
        return load_recording(path)

    monkeypatch.setattr(recorded, "load_recording", slowly)
    async with service(recorded_cluster=INCIDENT) as client:
        early = await client.get(f"{CONTEXT}/kubernetes/shop/pods", headers={"X-Request-Deadline": "0.05"})
        before, ready = await client.get(f"{CONTEXT}/health"), await client.get("/ready")
        go.set()
        late = await client.get(f"{CONTEXT}/kubernetes/shop/pods")

    assert (early.status_code, early.headers["retry-after"]) == (503, "2")
    assert "is being read" in early.json()["detail"]
    assert (before.json()["kubernetes_connectivity"], ready.status_code) == ("unavailable", 503)
    assert late.status_code == 200


async def test_named_evidence_does_not_speak_for_another_cluster():
    async with service(recorded_cluster=INCIDENT, evidence_cluster="eu-1") as client:
        ours = await client.get(f"{CONTEXT}/causes/shop/Deployment/checkout", params={"cluster": "eu-1"})
        other = await client.get(f"{CONTEXT}/causes/shop/Deployment/checkout", params={"cluster": "us-1"})

    assert ours.status_code == 200
    assert (other.status_code, other.json()["code"]) == (404, "unknown-cluster")
