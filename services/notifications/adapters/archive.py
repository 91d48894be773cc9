"""Archive: reads what was told and what became of it; forgets it when it is old."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from libs.contracts.notifications import (
    Channel,
    DeliveryAttempt,
    Notification,
    NotificationAttempts,
    NotificationPage,
    NotificationStatus,
)
from libs.storage import Database
from services.notifications.adapters import sql
from services.notifications.adapters.rows import notification
from services.notifications.domain.errors import InvalidRequest, NoSuchNotification

FORGOTTEN_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Filters:
    status: NotificationStatus | None = None
    channel: Channel | None = None
    incident_id: str | None = None
    episode_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What the last calls said about a channel; `failures` in a row."""

    failures: int
    error: str | None
    paused: bool


class Archive:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, notification_id: str, *, tenant: str) -> Notification:
        """Raises NoSuchNotification."""
        async with self._database.begin() as conn:
            found = (
                (await conn.execute(sql.GET, {"id": notification_id, "tenant": tenant})).mappings().first()
            )
        if found is None:
            raise NoSuchNotification(notification_id)
        return notification(found)

    async def page(
        self, tenant: str, filters: Filters, *, cursor: str | None, limit: int
    ) -> NotificationPage:
        """The newest first, after `cursor`. Raises InvalidRequest for a cursor that is not ours."""
        values = _values(filters) | position_of(cursor)
        conditions = [sql.FILTERS[name] for name in _names(values)]
        query = text(sql.PAGE.format(conditions=" AND ".join(conditions) or "true"))
        async with self._database.begin() as conn:
            rows = (
                (await conn.execute(query, {**values, "tenant": tenant, "limit": limit + 1})).mappings().all()
            )
        items = [notification(found) for found in rows[:limit]]
        more = len(rows) > limit
        return NotificationPage(items=items, next_cursor=cursor_after(items[-1]) if more else None)

    async def attempts(self, notification_id: str, *, tenant: str) -> NotificationAttempts:
        """Raises NoSuchNotification."""
        values = {"id": notification_id, "tenant": tenant}
        async with self._database.begin() as conn:
            if await conn.scalar(sql.KNOWN, values) is None:
                raise NoSuchNotification(notification_id)
            rows = (await conn.execute(sql.ATTEMPTS, values)).mappings().all()
        return NotificationAttempts(items=[DeliveryAttempt.model_validate(dict(found)) for found in rows])

    async def channel(self, channel: Channel) -> ChannelState:
        async with self._database.begin() as conn:
            found = (await conn.execute(sql.CHANNEL, {"channel": channel.value})).one()
        return ChannelState(found.failures, found.error, found.paused)

    async def waiting(self) -> Mapping[Channel, int]:
        """Deliveries that wait, per channel."""
        async with self._database.begin() as conn:
            counted = {found.channel: found.waiting for found in (await conn.execute(sql.WAITING)).all()}
        return {channel: counted.get(channel.value, 0) for channel in Channel}

    async def forget(self, *, older_than: timedelta) -> int:
        """Remove old notifications that have ended, with their deliveries and attempts."""
        values = {"older_than": older_than, "at_most": FORGOTTEN_AT_ONCE}
        async with self._database.begin() as conn:
            return (await conn.execute(sql.FORGET, values)).rowcount


def _values(filters: Filters) -> dict[str, object]:
    given = {
        "status": filters.status.value if filters.status else None,
        "channel": filters.channel.value if filters.channel else None,
        "incident_id": filters.incident_id,
        "episode_id": filters.episode_id,
    }
    return {name: value for name, value in given.items() if value is not None}


def _names(values: Mapping[str, object]) -> list[str]:
    return [
        *(name for name in values if name in sql.FILTERS),
        *(["before"] if "created_at" in values else []),
    ]


def cursor_after(last: Notification) -> str:
    """Where the page behind this one begins, in a form to be handed back."""
    return base64.urlsafe_b64encode(f"{last.created_at.isoformat()} {last.id}".encode()).decode()


def position_of(cursor: str | None) -> dict[str, object]:
    """The place a cursor stands for; empty for the first page. Raises InvalidRequest."""
    if cursor is None:
        return {}
    try:
        at, id_ = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").split(" ")
        moment = datetime.fromisoformat(at)
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("query.cursor", "take it from `next_cursor` of the page before") from error
    if moment.tzinfo is None or not id_.isprintable():
        raise InvalidRequest("query.cursor", "take it from `next_cursor` of the page before")
    return {"created_at": moment, "id": id_}
