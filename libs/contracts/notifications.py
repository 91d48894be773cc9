"""Notifications on the wire: what to tell, and what became of telling it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from libs.contracts.alerts import Priority
from libs.contracts.base import Contract, UtcTime


class Channel(StrEnum):
    console = "console"
    email = "email"
    slack = "slack"


class ActionLink(Contract):
    label: str = Field(max_length=200)
    url: str = Field(max_length=2000)


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
    episode_id: str | None = Field(default=None, max_length=128)
    incident_id: str | None = Field(default=None, max_length=128)
    transition: str = Field(
        default="explained", max_length=64, description="which change is told: `explained`, `resolved`, …"
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


class Delivery(Contract):
    """One message on one channel to one recipient."""

    effect_id: str = Field(description="deterministic: the same fact to the same recipient has the same id")
    channel: Channel
    recipient: str
    state: DeliveryState
    attempts: int
    next_attempt_at: UtcTime | None = None
    sent_at: UtcTime | None = None
    error: str | None = None
    possible_duplicate: bool = False


class Notification(Contract):
    id: str
    status: str = Field(description="`pending`, `sending`, `sent`, `partially_sent` or `failed`")
    subject: str
    body: str
    priority: Priority
    created_at: UtcTime
    deliveries: list[Delivery]


class NotificationPage(Contract):
    items: list[Notification]
    next_cursor: str | None = None
