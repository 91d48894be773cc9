"""Where a page goes on; what pages hold is seen against a real database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.contracts.alerts import Priority
from libs.contracts.notifications import Notification, NotificationStatus
from services.notifications.adapters.archive import cursor_after, position_of
from services.notifications.domain.errors import InvalidRequest

pytestmark = pytest.mark.requirement("INT-BR-NOT-013")


def last() -> Notification:
    return Notification(
        id="ntf-1",
        status=NotificationStatus.sent,
        subject="s",
        body="b",
        priority=Priority.p1,
        created_at=datetime(2026, 11, 2, 12, 0, 0, 123456, tzinfo=UTC),
        deliveries=[],
    )


def test_a_cursor_leads_back_to_where_the_page_ended():
    assert position_of(cursor_after(last())) == {"created_at": last().created_at, "id": "ntf-1"}


def test_the_first_page_has_no_position():
    assert position_of(None) == {}


@pytest.mark.parametrize("cursor", ["", "x", "eA==", "MjAyNiAx", "MjAyNi0wMS0wMSBuMQ==", "ü", "!!!!"])
def test_what_is_no_cursor_of_ours_is_refused(cursor: str):
    with pytest.raises(InvalidRequest, match=r"query\.cursor"):
        position_of(cursor)
