"""Decide what becomes of a delivery: begun, arrived, failed, cut short by a crash, asked for again.

    pending ──► sending ──► sent
       ▲           ├──► retrying ──► sending …
       │           ├──► failed ────┐
       │           └──► unknown ───┤
       └───────────────────────────┘ resend, asked for by a person

`sending` is committed before the channel is called. Whoever was taken for dead and comes back with an answer
makes it `sent` from `retrying` and `unknown` as well, unless another attempt has begun. Every step returns
the whole standing, its reason included; storing it is the adapters' work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from libs.contracts.alerts import Priority
from libs.contracts.notifications import Channel, DeliveryState, NotificationStatus
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.schedule import Schedule


class Reason(StrEnum):
    """Why a delivery is where it is. A channel's own word (`http-500`) stands beside it, in `error`."""

    accepted = "accepted"
    started = "started"
    delivered = "delivered"
    delivered_late = "delivered-late"
    """The answer came after the worker had been taken for dead."""
    will_retry = "will-retry"
    refused = "refused"
    """Trying again cannot help."""
    attempts_used_up = "attempts-used-up"
    interrupted_same_message_id = "interrupted-same-message-id"
    interrupted_marked = "interrupted-marked-possible-duplicate"
    interrupted_no_key = "interrupted-no-key"
    interrupted_too_often = "interrupted-too-often"
    resend_asked = "resend-asked"


class AfterCrash(StrEnum):
    """What may be done when nobody knows whether a channel took the message."""

    same_id = "same-id"
    """Send again: it carries the same identity, by which the recipient can tell."""
    mark = "mark"
    """Send again, marked as a possible duplicate."""
    leave = "leave"
    """Leave it to a person."""


URGENT = frozenset({Priority.p0, Priority.p1})

WAITING = frozenset({DeliveryState.pending, DeliveryState.retrying})
ENDED = frozenset({DeliveryState.sent, DeliveryState.failed, DeliveryState.unknown})
ARRIVABLE = frozenset({DeliveryState.sending, DeliveryState.retrying, DeliveryState.unknown})
RESENDABLE = frozenset({DeliveryState.failed, DeliveryState.unknown})


class IllegalStep(Exception):
    """A step was taken from a state that does not allow it: somebody else took one in between."""

    def __init__(self, step: str, state: DeliveryState) -> None:
        super().__init__(f"cannot {step} a delivery that is {state.value}")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a delivery is.

    Attributes:
        attempts: calls in all; also the fence that tells one call's outcome from another's.
        tried: calls since it was accepted, or since a person asked for it again.
        next_attempt_at: when it is due; set while it waits.
        error: what the channel said last.
    """

    state: DeliveryState = DeliveryState.pending
    reason: Reason = Reason.accepted
    attempts: int = 0
    tried: int = 0
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    error: str | None = None
    possible_duplicate: bool = False


def after_crash(channel: Channel, priority: Priority) -> AfterCrash:
    """The rule per channel: e-mail has a key to tell duplicates by, the others have none.

    The console is printed again whatever the priority: a line too many in a log disturbs nobody.
    """
    match channel:
        case Channel.email:
            return AfterCrash.same_id
        case Channel.console:
            return AfterCrash.mark
        case Channel.slack:
            return AfterCrash.mark if priority in URGENT else AfterCrash.leave


def begin(standing: Standing) -> Standing:
    """To be committed before the channel is called."""
    if standing.state not in WAITING:
        raise IllegalStep("begin", standing.state)
    return replace(
        standing,
        state=DeliveryState.sending,
        reason=Reason.started,
        attempts=standing.attempts + 1,
        tried=standing.tried + 1,
        next_attempt_at=None,
    )


def arrived(standing: Standing, now: datetime) -> Standing:
    """The channel took it. Also after the worker was taken for dead, as long as nobody has begun again."""
    if standing.state not in ARRIVABLE:
        raise IllegalStep("finish", standing.state)
    late = standing.state is not DeliveryState.sending
    return replace(
        standing,
        state=DeliveryState.sent,
        reason=Reason.delivered_late if late else Reason.delivered,
        next_attempt_at=None,
        sent_at=now,
        error=None,
    )


def failed(
    standing: Standing, failure: DeliveryFailed, schedule: Schedule, now: datetime, luck: float
) -> Standing:
    """The channel did not take it: again later, or never.

    Args:
        luck: from 0 to 1, decides the jitter.
    """
    if standing.state is not DeliveryState.sending:
        raise IllegalStep("fail", standing.state)
    told = replace(
        standing,
        error=str(failure),
        possible_duplicate=standing.possible_duplicate or failure.maybe_delivered,
    )
    if not failure.retry:
        return replace(told, state=DeliveryState.failed, reason=Reason.refused)
    pause = schedule.pause_after(standing.tried, asked=failure.retry_after, luck=luck)
    if pause is None:
        return replace(told, state=DeliveryState.failed, reason=Reason.attempts_used_up)
    return replace(told, state=DeliveryState.retrying, reason=Reason.will_retry, next_attempt_at=now + pause)


def interrupted(standing: Standing, rule: AfterCrash, schedule: Schedule, now: datetime) -> Standing:
    """The process died between `sending` and the answer: nobody knows whether it arrived.

    Due again at once, not after a pause: it was our crash, not the channel's. Each one counts as a try, so
    that a message that takes its worker down with it ends.
    """
    if standing.state is not DeliveryState.sending:
        raise IllegalStep("interrupt", standing.state)
    doubtful = replace(
        standing, possible_duplicate=True, error="the process died while the channel was being called"
    )
    if rule is AfterCrash.leave:
        return replace(doubtful, state=DeliveryState.unknown, reason=Reason.interrupted_no_key)
    if standing.tried >= schedule.attempts:
        return replace(doubtful, state=DeliveryState.unknown, reason=Reason.interrupted_too_often)
    marked = rule is AfterCrash.mark
    return replace(
        doubtful,
        state=DeliveryState.retrying,
        reason=Reason.interrupted_marked if marked else Reason.interrupted_same_message_id,
        next_attempt_at=now,
    )


def resend(standing: Standing, now: datetime) -> Standing:
    """A person wants it sent again: a full schedule of tries, from now."""
    if standing.state not in RESENDABLE:
        raise IllegalStep("resend", standing.state)
    return replace(
        standing, state=DeliveryState.pending, reason=Reason.resend_asked, tried=0, next_attempt_at=now
    )


def status_of(states: Iterable[DeliveryState]) -> NotificationStatus:
    """What a notification's deliveries come to. None at all is `failed`: nobody is told."""
    seen = set(states)
    if not seen - {DeliveryState.pending} and seen:
        return NotificationStatus.pending
    if seen - ENDED:
        return NotificationStatus.sending
    if seen == {DeliveryState.sent}:
        return NotificationStatus.sent
    return NotificationStatus.partially_sent if DeliveryState.sent in seen else NotificationStatus.failed
