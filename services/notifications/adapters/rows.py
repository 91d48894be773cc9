"""What rows hold, in the domain's words, and back; and what deliveries come to, kept beside the notification."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.alerts import Priority
from libs.contracts.notifications import (
    ActionLink,
    Channel,
    Delivery,
    DeliveryState,
    Notification,
    NotificationStatus,
)
from libs.jobs import Jobs
from services.notifications.adapters import sql
from services.notifications.domain.delivery import Reason, Standing, status_of
from services.notifications.domain.message import Link, Message

QUEUES = {channel: channel.value for channel in Channel}
"""Each channel has a queue of its own: what is stuck in one is in nobody's way."""


def task(channel: Channel) -> str:
    """Name of the job that delivers what is due on a channel."""
    return f"deliver-{channel.value}"


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as it is locked: where it stands, and the database's time."""

    effect_id: str
    channel: Channel
    priority: Priority
    standing: Standing
    asked_by: str | None
    now: datetime


def row(found: RowMapping) -> Row:
    standing = Standing(
        state=DeliveryState(found["state"]),
        reason=Reason(found["reason"]),
        attempts=found["attempts"],
        tried=found["tried"],
        next_attempt_at=found["next_attempt_at"],
        sent_at=found["sent_at"],
        error=found["error"],
        possible_duplicate=found["possible_duplicate"],
    )
    channel, priority = Channel(found["channel"]), Priority(found["priority"])
    return Row(found["effect_id"], channel, priority, standing, found["asked_by"], found["now"])


async def store(
    conn: AsyncConnection,
    effect_id: str,
    standing: Standing,
    *,
    holder: int | None = None,
    asked_by: str | None = None,
) -> None:
    """Write a delivery's new standing."""
    values: dict[str, Any] = {
        "effect": effect_id,
        "state": standing.state.value,
        "reason": standing.reason.value,
        "attempts": standing.attempts,
        "tried": standing.tried,
        "next_attempt_at": standing.next_attempt_at,
        "sent_at": standing.sent_at,
        "error": standing.error,
        "possible_duplicate": standing.possible_duplicate,
        "holder": holder,
        "asked_by": asked_by,
    }
    await conn.execute(sql.STORE, values)


async def restate(conn: AsyncConnection, effects: Collection[str]) -> None:
    """Bring the status of every notification that tells these facts to what its deliveries now come to."""
    concerned = list(await conn.scalars(sql.CONCERNED, {"effects": list(effects)}))
    # Read after the locks: a change that was under way until then is seen.
    for found in (await conn.execute(sql.STATES, {"ids": concerned})).all():
        await set_status(conn, found.id, status_of(DeliveryState(state) for state in found.states or ()))


async def set_status(conn: AsyncConnection, notification_id: str, status: NotificationStatus) -> None:
    await conn.execute(sql.STATUS, {"id": notification_id, "status": status.value})


async def wake(conn: AsyncConnection, jobs: Jobs, channel: Channel, *, in_: timedelta | None = None) -> None:
    """Have a worker look for due deliveries of this channel, if this transaction commits."""
    await jobs.defer(conn, task(channel), in_=in_)


def message(found: RowMapping, *, possible_duplicate: bool) -> Message:
    """What a due delivery tells."""
    return Message(
        effect_id=found["effect_id"],
        notification_id=found["notification_id"],
        tenant=found["tenant"],
        recipient=found["recipient"],
        subject=found["subject"],
        body=found["body"],
        priority=Priority(found["priority"]),
        transition=found["transition"],
        created_at=found["created_at"],
        incident_id=found["incident_id"],
        episode_id=found["episode_id"],
        links=tuple(Link(one["label"], one["url"]) for one in found["links"]),
        possible_duplicate=possible_duplicate,
    )


def notification(found: RowMapping) -> Notification:
    """The contract of one row of `sql.GET` or `sql.PAGE`."""
    return Notification(
        id=found["id"],
        status=NotificationStatus(found["status"]),
        reason=found["reason"],
        subject=found["subject"],
        body=found["body"],
        priority=Priority(found["priority"]),
        episode_id=found["episode_id"],
        incident_id=found["incident_id"],
        transition=found["transition"],
        round=found["round"],
        links=[ActionLink.model_validate(one) for one in found["links"]],
        redacted=list(found["redacted"]),
        created_at=found["created_at"],
        deliveries=[Delivery.model_validate(one) for one in found["deliveries"]],
    )
