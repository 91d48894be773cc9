from __future__ import annotations

from datetime import timedelta

import pytest

from libs.clients.holmesgpt import HolmesClient
from libs.contracts.investigations import InvestigationRequest, InvestigationStatus
from tests.support.peers import Recorded, recorded

pytestmark = pytest.mark.requirement("HAPI-001", "HAPI-005")

SOON = timedelta(seconds=1)
REQUEST = InvestigationRequest(alert_name="PodCrash", namespace="shop")
INVESTIGATION = {
    "investigation_id": "inv-1",
    "status": "completed",
    "progress": 100,
    "alert_name": "PodCrash",
    "namespace": "shop",
    "priority": "P1",
    "timestamp": "2026-11-21T07:00:00Z",
}


def client(answer: dict, status: int = 200) -> tuple[HolmesClient, Recorded]:
    transport, asked = recorded(answer, status)
    return HolmesClient("http://holmes:8090", transport=transport), asked


async def test_an_investigation_can_be_waited_for():
    holmes, asked = client(INVESTIGATION)

    answer = await holmes.investigate(REQUEST, tenant="acme", deadline=SOON)

    assert answer.status is InvestigationStatus.completed
    assert asked.line == "POST /api/v1/investigate"
    assert asked.json == {"alert_name": "PodCrash", "namespace": "shop"}


async def test_an_investigation_can_be_handed_over_under_a_key():
    holmes, asked = client({"investigation_id": "inv-1", "message": "accepted"}, status=202)

    answer = await holmes.investigate_async(
        REQUEST, idempotency_key="incident-7", tenant="acme", deadline=SOON
    )

    assert answer.investigation_id == "inv-1"
    assert asked.line == "POST /api/v1/investigate/async"
    assert asked.request.headers["Idempotency-Key"] == "incident-7"


async def test_an_investigation_is_read_by_its_id_whatever_the_id_contains():
    holmes, asked = client(INVESTIGATION)

    await holmes.get("inv/1", tenant="acme", deadline=SOON)

    assert asked.line == "GET /api/v1/investigate/inv%2F1"


async def test_a_page_is_asked_for_with_its_cursor_and_length():
    holmes, asked = client({"items": []})

    page = await holmes.list(cursor="abc=", limit=50, tenant="acme", deadline=SOON)

    assert page.next_cursor is None
    assert asked.line == "GET /api/v1/investigate?cursor=abc%3D&limit=50"


async def test_the_first_page_of_the_usual_length_needs_neither():
    holmes, asked = client({"items": []})

    await holmes.list(tenant="acme", deadline=SOON)

    assert asked.line == "GET /api/v1/investigate"
