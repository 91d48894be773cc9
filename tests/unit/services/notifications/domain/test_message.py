from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.contracts.alerts import Priority
from services.notifications.domain.message import Message

pytestmark = pytest.mark.requirement("INT-BR-NOT-006")


def message(incident: str | None, episode: str | None) -> Message:
    return Message(
        effect_id="e",
        notification_id="n",
        tenant="default",
        recipient="stdout",
        subject="s",
        body="b",
        priority=Priority.p1,
        transition="explained",
        created_at=datetime(2026, 11, 2, tzinfo=UTC),
        incident_id=incident,
        episode_id=episode,
    )


def test_urgency_is_said_in_both_vocabularies():
    assert message(None, None).urgency == "P1, high"


@pytest.mark.parametrize(
    ("incident", "episode", "thread"), [("i", "e", "i"), (None, "e", "e"), (None, None, None)]
)
def test_messages_about_one_incident_share_a_thread(
    incident: str | None, episode: str | None, thread: str | None
):
    assert message(incident, episode).thread == thread
