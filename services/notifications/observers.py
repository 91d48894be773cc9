"""What is counted and timed. Closed label sets: a recipient or a subject is never a label."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from libs.contracts.notifications import Channel, DeliveryState
from libs.metrics import Metrics
from libs.redaction import RULE_NAMES
from services.notifications.adapters.outbox import Accepted
from services.notifications.domain.notice import Notice
from services.notifications.domain.ports import Outcome

_CHANNELS = tuple(channel.value for channel in Channel)
_OUTCOMES = tuple(state.value for state in DeliveryState)
_LATENCIES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds. Slack within 10 s, e-mail within 60 s, all within 30 s are what is asked of us."""


def deliveries(metrics: Metrics) -> Callable[[Outcome], None]:
    """Counts attempts by what they led to, and times those that arrived."""
    total = metrics.counter(
        "notifications_deliveries_total",
        "Attempts to deliver, by channel and by the state they led to.",
        {"channel": _CHANNELS, "outcome": _OUTCOMES},
    )
    seconds = metrics.histogram(
        "notifications_delivery_seconds",
        "From a notification being accepted to its delivery.",
        {"channel": _CHANNELS},
        buckets=_LATENCIES,
    )

    def observe(outcome: Outcome) -> None:
        total.inc(channel=outcome.channel.value, outcome=outcome.state.value)
        if outcome.state is DeliveryState.sent and outcome.after is not None:
            seconds.observe(outcome.after.total_seconds(), channel=outcome.channel.value)

    return observe


def requests(metrics: Metrics) -> Callable[[Notice, Accepted], None]:
    """Counts requests: new ones, repeated ones, those that resolved to nobody."""
    total = metrics.counter(
        "notifications_accepted_total",
        "Requests taken: new, repeated under their key, or resolved to nobody.",
        {"outcome": ("new", "repeated", "nobody")},
    )
    redacted = metrics.counter(
        "notifications_redactions_total",
        "Notifications out of which a rule took a secret.",
        {"rule": RULE_NAMES},
    )

    def observe(notice: Notice, accepted: Accepted) -> None:
        if not accepted.new:
            total.inc(outcome="repeated")
            return
        total.inc(outcome="new" if notice.deliveries else "nobody")
        for rule in notice.wording.redacted:
            redacted.inc(rule=rule)

    return observe


def waiting(metrics: Metrics) -> Callable[[Mapping[Channel, int]], None]:
    """Shows how many deliveries wait: what workers are scaled by."""
    gauge = metrics.gauge(
        "notifications_waiting", "Deliveries that wait, per channel.", {"channel": _CHANNELS}
    )

    def observe(counted: Mapping[Channel, int]) -> None:
        for channel, number in counted.items():
            gauge.set(number, channel=channel.value)

    return observe
