from __future__ import annotations

from datetime import timedelta

import pytest

from libs.contracts.notifications import Channel, DeliveryState, NotificationRequest
from libs.metrics import Metrics
from services.notifications import observers
from services.notifications.adapters.outbox import Accepted
from services.notifications.domain.notice import Caller, Defaults, Notice, plan
from services.notifications.domain.ports import Outcome

pytestmark = pytest.mark.requirement("INT-BR-MON-003", "INT-BR-MON-012")


def shown(metrics: Metrics) -> str:
    return metrics.exposition().decode()


def test_attempts_are_counted_by_channel_and_outcome_and_arrivals_timed():
    metrics = Metrics("notifications")
    observe = observers.deliveries(metrics)

    observe(Outcome(Channel.slack, DeliveryState.sent, "delivered", timedelta(seconds=2)))
    observe(Outcome(Channel.slack, DeliveryState.unknown, "interrupted-no-key", None))

    text = shown(metrics)
    assert 'notifications_deliveries_total{channel="slack",outcome="sent"} 1.0' in text
    assert 'notifications_deliveries_total{channel="slack",outcome="unknown"} 1.0' in text
    assert 'notifications_delivery_seconds_sum{channel="slack"} 2.0' in text
    assert 'notifications_delivery_seconds_count{channel="slack"} 1.0' in text


def notice(*channels: Channel) -> Notice:
    request = NotificationRequest(subject="s", body="password=hunter2")
    return plan(request, Caller("default", "alerts", None), Defaults(channels, []), id_="n1")


@pytest.mark.parametrize(
    ("told", "new", "outcome"),
    [([Channel.console], True, "new"), ([Channel.console], False, "repeated"), ([], True, "nobody")],
)
def test_requests_are_counted_by_what_became_of_them(told: list[Channel], new: bool, outcome: str):
    metrics = Metrics("notifications")

    observers.requests(metrics)(notice(*told), Accepted("n1", "{}", new=new))

    text = shown(metrics)
    assert f'notifications_accepted_total{{outcome="{outcome}"}} 1.0' in text
    assert ('notifications_redactions_total{rule="assignment"} 1.0' in text) is new


def test_what_waits_is_shown_per_channel():
    metrics = Metrics("notifications")

    observers.waiting(metrics)({Channel.slack: 3, Channel.email: 0})

    assert 'notifications_waiting{channel="slack"} 3.0' in shown(metrics)
