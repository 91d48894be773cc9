from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from libs.clients.context import ContextClient
from libs.contracts.target import Target
from tests.support.peers import Recorded, recorded

pytestmark = pytest.mark.requirement("HAPI-011", "HAPI-166", "HAPI-167")

SOON = timedelta(seconds=1)
WEB = Target(cluster="east", api_version="apps/v1", kind="Deployment", namespace="shop", name="web")
NODE = Target(kind="Node", name="node-1")
CAUSES = {"ranked": [], "no_cause": True, "no_cause_reason": "nothing-wrong"}


def client(answer: dict) -> tuple[ContextClient, Recorded]:
    transport, asked = recorded(answer)
    return ContextClient("http://context:8091", transport=transport), asked


async def test_labels_are_posted_to_resolve():
    context, asked = client({"target": None, "owner": None, "exists": False, "reason": "no-target-label"})

    answer = await context.resolve({"pod": "web-1"}, cluster="east", tenant="acme", deadline=SOON)

    assert answer.reason == "no-target-label"
    assert asked.line == "POST /api/v1/context/resolve"
    assert asked.json == {"labels": {"pod": "web-1"}, "cluster": "east"}


@pytest.mark.requirement("API-BR-CAPI-015")
async def test_when_the_alert_began_is_said_where_an_earlier_service_does_not_look():
    context, asked = client({"target": None, "owner": None, "exists": False, "reason": "no-target-label"})

    await context.resolve({}, onset=datetime(2026, 11, 21, 7, tzinfo=UTC), tenant="acme", deadline=SOON)

    assert asked.line == "POST /api/v1/context/resolve?onset=2026-11-21T07%3A00%3A00%2B00%3A00"
    assert "onset" not in asked.json


@pytest.mark.requirement("API-BR-CAPI-014")
async def test_an_investigations_priority_goes_along_as_a_header():
    context, asked = client(CAUSES)

    await context.causes(WEB, priority="P0", tenant="acme", deadline=SOON)

    assert asked.request.headers["x-request-priority"] == "P0"


async def test_causes_are_asked_for_by_namespace_kind_with_group_and_name():
    context, asked = client(CAUSES)

    await context.causes(WEB, onset=datetime(2026, 11, 21, 7, tzinfo=UTC), tenant="acme", deadline=SOON)

    assert asked.line == (
        "GET /api/v1/context/causes/shop/Deployment.apps/web"
        "?cluster=east&onset=2026-11-21T07%3A00%3A00%2B00%3A00"
    )


async def test_an_object_without_a_namespace_is_asked_for_in_the_cluster():
    context, asked = client(CAUSES)

    await context.causes(NODE, tenant="acme", deadline=SOON)

    assert asked.line == "GET /api/v1/context/causes/_cluster/Node/node-1?cluster=local"


async def test_findings_have_their_own_route():
    context, asked = client({"findings": []})

    answer = await context.findings(WEB, tenant="acme", deadline=SOON)

    assert answer.findings == []
    assert asked.line == "GET /api/v1/context/findings/shop/Deployment.apps/web?cluster=east"


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        (None, "GET /api/v1/context/kubernetes/shop/pods"),
        (
            {"app": "web", "tier": "front"},
            "GET /api/v1/context/kubernetes/shop/pods?labels=app%3Dweb%2Ctier%3Dfront",
        ),
    ],
)
async def test_objects_are_asked_for_by_label_as_older_callers_do(labels, line):
    context, asked = client(
        {"namespace": "shop", "resource": "pods", "context": {}, "timestamp": "2026-11-21T07:00:00Z"}
    )

    await context.kubernetes("shop", "pods", labels=labels, tenant="acme", deadline=SOON)

    assert asked.line == line


async def test_health_is_read_from_the_context_apis_own_route():
    context, asked = client(
        {
            "status": "healthy",
            "timestamp": "2026-11-21T07:00:00Z",
            "version": "1",
            "cache_hit_rate": 0.5,
            "context_types": 5,
            "kubernetes_connectivity": "healthy",
        }
    )

    assert (await context.health(tenant="acme", deadline=SOON)).kubernetes_connectivity == "healthy"
    assert asked.line == "GET /api/v1/context/health"


async def test_a_base_address_with_a_path_keeps_it():
    transport, asked = recorded(CAUSES)
    context = ContextClient(httpx.URL("http://gateway/context-api/"), transport=transport)

    await context.causes(NODE, tenant="acme", deadline=SOON)

    assert asked.line.startswith("GET /context-api/api/v1/context/causes/")
