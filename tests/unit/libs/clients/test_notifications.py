from __future__ import annotations

from datetime import timedelta

import pytest

from libs.clients.notifications import NotificationsClient
from libs.contracts.notifications import NotificationRequest
from tests.support.peers import Recorded, recorded

pytestmark = pytest.mark.requirement("INT-BR-NOT-001")

SOON = timedelta(seconds=1)
NOTIFICATION = {
    "id": "n-1",
    "status": "pending",
    "subject": "Disk full",
    "body": "node-1",
    "priority": "P1",
    "created_at": "2026-11-21T07:00:00Z",
    "deliveries": [],
}


def client() -> tuple[NotificationsClient, Recorded]:
    transport, asked = recorded(NOTIFICATION, 202)
    return NotificationsClient("http://notifications:8093", transport=transport), asked


async def test_a_notification_is_handed_over_under_a_key():
    notifications, asked = client()

    answer = await notifications.send(
        NotificationRequest(subject="Disk full", body="node-1"),
        idempotency_key="incident-7:explained",
        tenant="acme",
        deadline=SOON,
    )

    assert answer.id == "n-1"
    assert asked.line == "POST /api/v1/notifications"
    assert asked.request.headers["Idempotency-Key"] == "incident-7:explained"


async def test_a_notification_is_read_by_its_id():
    notifications, asked = client()

    await notifications.get("n-1", tenant="acme", deadline=SOON)

    assert asked.line == "GET /api/v1/notifications/n-1"
