from __future__ import annotations

from datetime import timedelta

import pytest

from libs.clients.alerts import AlertsClient
from tests.support.peers import Recorded, recorded

pytestmark = pytest.mark.requirement("INT-BR-WH-001")

SOON = timedelta(seconds=1)


def client(answer: dict, status: int = 200) -> tuple[AlertsClient, Recorded]:
    transport, asked = recorded(answer, status)
    return AlertsClient("http://alerts:8092", transport=transport), asked


async def test_a_webhook_body_is_posted_byte_for_byte():
    alerts, asked = client({"accepted": 1, "rejected": 0, "results": []}, 202)

    receipt = await alerts.send_webhook(b'{"version":  "4"}', tenant="acme", deadline=SOON)

    assert receipt.accepted == 1
    assert asked.line == "POST /api/v1/webhooks/alertmanager"
    assert asked.request.content == b'{"version":  "4"}'


async def test_a_page_is_asked_for_with_its_filters_and_cursor():
    alerts, asked = client({"items": []})

    await alerts.list(filters={"state": "firing"}, cursor="abc=", tenant="acme", deadline=SOON)

    assert asked.line == "GET /api/v1/alerts?state=firing&cursor=abc%3D"


async def test_the_first_page_needs_neither():
    alerts, asked = client({"items": []})

    await alerts.list(tenant="acme", deadline=SOON)

    assert asked.line == "GET /api/v1/alerts"


async def test_one_episode_is_read_with_its_decisions():
    decision = {"subject": "environment", "outcome": "production", "reason": "unknown-means-production"}
    alerts, asked = client(
        {
            "id": "e-1",
            "fingerprint": "f",
            "alertname": "PodCrash",
            "state": "firing",
            "severity": "critical",
            "labels": {},
            "annotations": {},
            "starts_at": "2026-11-21T07:00:00Z",
            "last_seen": "2026-11-21T07:00:00Z",
            "received_count": 1,
            "decisions": [decision],
            "timeline": [],
        }
    )

    episode = await alerts.get("e-1", tenant="acme", deadline=SOON)

    assert episode.decisions[0].reason == "unknown-means-production"
    assert asked.line == "GET /api/v1/alerts/e-1"
