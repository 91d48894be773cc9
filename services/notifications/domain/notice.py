"""Decide what a request comes to: the words that are kept, and one delivery per channel and recipient."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from libs.contracts.alerts import Priority
from libs.contracts.notifications import Channel, NotificationRequest
from services.notifications.domain.addressees import resolve
from services.notifications.domain.effects import effect_id, fact_of
from services.notifications.domain.wording import Wording, word


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and under which key: the same key from another caller is another key."""

    tenant: str
    name: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery to be made; `error` says why it has failed before it began."""

    effect_id: str
    channel: Channel
    recipient: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Everything that is committed for one request.

    Attributes:
        digest: of the request as it was asked, by which a key used for another request is known.
        reason: why nobody is told, when there is no delivery.
    """

    id: str
    caller: Caller
    digest: bytes
    wording: Wording
    priority: Priority
    transition: str
    round: int
    incident_id: str | None
    episode_id: str | None
    deliveries: tuple[Planned, ...]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Defaults:
    """Configured channels and recipients, for what requests leave out."""

    channels: Sequence[Channel]
    recipients: Sequence[str]


def plan(request: NotificationRequest, caller: Caller, defaults: Defaults, *, id_: str) -> Notice:
    """What to commit. Raises InvalidRequest."""
    addressees = resolve(request, channels=defaults.channels, recipients=defaults.recipients)
    fact = fact_of(
        caller.tenant,
        incident_id=request.incident_id,
        episode_id=request.episode_id,
        transition=request.transition,
        round_=request.round,
        notification=f"{caller.name} {caller.key}" if caller.key else id_,
    )
    return Notice(
        id=id_,
        caller=caller,
        digest=digest(request),
        wording=word(request),
        priority=request.priority,
        transition=request.transition,
        round=request.round,
        incident_id=request.incident_id,
        episode_id=request.episode_id,
        deliveries=tuple(
            Planned(effect_id(fact, one.channel, one.recipient), one.channel, one.recipient, one.reason)
            for one in addressees.those
        ),
        reason=addressees.reason,
    )


def digest(request: NotificationRequest) -> bytes:
    """The same for the same request; a field that a later version adds does not change it while left out."""
    return hashlib.sha256(request.model_dump_json(exclude_defaults=True).encode()).digest()
