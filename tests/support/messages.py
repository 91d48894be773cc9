"""A message to tell, ready for any channel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from libs.contracts.alerts import Priority
from services.notifications.domain.message import Message

EFFECT = "5f" * 20


def message(**changes: Any) -> Message:
    """One about an incident, with whatever the test changes."""
    fields: dict[str, Any] = {
        "effect_id": EFFECT,
        "notification_id": "0192f0c1d2e37aaa8000000000000001",
        "tenant": "default",
        "recipient": "oncall@example.org",
        "subject": "[P1] CheckoutDown on Deployment/shop/checkout: ConfigMap changed",
        "body": "Cause: ConfigMap/shop/settings\n  because it was edited 2 min before",
        "priority": Priority.p1,
        "transition": "explained",
        "created_at": datetime(2026, 11, 2, 12, 0, tzinfo=UTC),
        "incident_id": "inc-1",
        "episode_id": "epi-1",
    }
    return Message(**{**fields, **changes})
