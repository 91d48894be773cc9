"""Notifications on the wire: what to tell, and what became of telling it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from libs.contracts.alerts import Priority
from libs.contracts.base import Contract, UtcTime


class Channel(StrEnum):
    console = "console"
    email = "email"
    slack = "slack"


Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
"""Printable ASCII without spaces: it goes into mail headers and logs as it is."""


class ActionLink(Contract):
    label: str = Field(min_length=1, max_length=200)
    url: str = Field(max_length=2000, description="http or https, without credentials")


class NotificationRequest(Contract):
    """Something people should know. `recipients` are resolved by the service's channels when left out."""

    subject: str = Field(min_length=1, max_length=500)
    body: str = Field(min_length=1, max_length=100_000)
    priority: Priority = Priority.p2
    channels: list[Channel] = Field(
        default_factory=list, max_length=8, description="empty: the configured default channels"
    )
    recipients: list[str] = Field(
        default_factory=list, max_length=100, description="e-mail addresses; empty: the configured ones"
    )
    episode_id: Identifier | None = None
    incident_id: Identifier | None = None
    transition: Identifier = Field(
        default="explained", max_length=64, description="which change is told: `explained`, `resolved`, …"
    )
    round: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="raise it when the same transition of the same incident happens again (it was reopened): "
        "with the same round it is the same fact, and nobody is told a fact twice",
    )
    links: list[ActionLink] = Field(default_factory=list, max_length=20)


class DeliveryState(StrEnum):
    pending = "pending"
    sending = "sending"
    sent = "sent"
    retrying = "retrying"
    failed = "failed"
    unknown = "unknown"
    """The process died while the channel was being called, and the channel has no key to ask by."""


class NotificationStatus(StrEnum):
    """What its deliveries come to. `failed`: nobody is known to have been told."""

    pending = "pending"
    sending = "sending"
    sent = "sent"
    partially_sent = "partially_sent"
    failed = "failed"


class Delivery(Contract):
    """One message on one channel to one recipient."""

    effect_id: str = Field(description="deterministic: the same fact to the same recipient has the same id")
    channel: Channel
    recipient: str
    state: DeliveryState
    attempts: int
    next_attempt_at: UtcTime | None = None
    sent_at: UtcTime | None = None
    reason: str | None = Field(
        default=None, description="stable word for why it is in this state, e.g. `attempts-used-up`"
    )
    error: str | None = Field(default=None, description="what the channel said last")
    possible_duplicate: bool = Field(
        default=False, description="an earlier attempt may have arrived without our knowing"
    )
    told_by: str | None = Field(
        default=None,
        description="the notification whose words were sent, when another one had told this fact already",
    )


class DeliveryAttempt(Contract):
    """One call of a channel, as the audit trail keeps it."""

    effect_id: str
    channel: Channel
    recipient: str
    number: int
    started_at: UtcTime
    ended_at: UtcTime | None = None
    outcome: str | None = Field(
        default=None, description="`sent`, `retrying`, `failed` or `interrupted`; absent while it runs"
    )
    reason: str | None = None
    detail: str | None = None
    asked_by: str | None = Field(default=None, description="who asked for it, when it was sent again by hand")


class Notification(Contract):
    id: str
    status: NotificationStatus
    reason: str | None = Field(
        default=None, description="why nobody was to be told, when there is no delivery"
    )
    subject: str
    body: str
    priority: Priority
    episode_id: str | None = None
    incident_id: str | None = None
    transition: str = "explained"
    round: int = 1
    links: list[ActionLink] = Field(default_factory=list)
    redacted: list[str] = Field(
        default_factory=list, description="rules that took a secret out of the text, e.g. `password`"
    )
    created_at: UtcTime
    deliveries: list[Delivery]


class NotificationPage(Contract):
    items: list[Notification]
    next_cursor: str | None = None


class NotificationAttempts(Contract):
    """Every call made for one notification, oldest first."""

    items: list[DeliveryAttempt]
