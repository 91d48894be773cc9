"""Outbox: commits what is to be told, with the jobs that will tell it, in one transaction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.notifications import Channel, DeliveryState, Notification
from libs.jobs import Jobs
from libs.storage import Database, StorageUnavailable
from services.notifications.adapters import sql
from services.notifications.adapters.rows import notification, restate, row, set_status, store, wake
from services.notifications.domain import delivery
from services.notifications.domain.errors import KeyReused, NoSuchNotification, NothingToResend
from services.notifications.domain.notice import Notice


@dataclass(frozen=True, slots=True)
class Accepted:
    """`answer` is the notification as JSON; `new` is false when it was asked before."""

    id: str
    answer: str
    new: bool


class Outbox:
    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._database, self._jobs = database, jobs

    async def accept(self, notice: Notice) -> Accepted:
        """Commit a notification, its deliveries and their jobs; or find what the same request was answered.

        A request under the same key that is being committed at this moment is waited for.

        Raises:
            KeyReused: the key belongs to another request.
            StorageUnavailable: nothing is known to be committed; ask again.
        """
        async with self._database.begin() as conn:
            opened = await conn.scalar(sql.OPEN, _values(notice))
            if opened is None:
                return await _repeated(conn, notice)
            channels = await self._plan(conn, notice)
            for channel in channels:
                await wake(conn, self._jobs, channel)
            told = notification((await conn.execute(sql.GET, _id(notice))).mappings().one())
            answer = told.model_dump_json()
            await conn.execute(sql.ANSWER, {"id": notice.id, "answer": answer})
        return Accepted(notice.id, answer, new=True)

    async def _plan(self, conn: AsyncConnection, notice: Notice) -> set[Channel]:
        """Make the deliveries that nobody has made yet; share those that somebody has."""
        planned = notice.deliveries
        effects = [one.effect_id for one in planned]
        columns = {
            "id": notice.id,
            "priority": notice.priority.value,
            "effects": effects,
            "channels": [one.channel.value for one in planned],
            "recipients": [one.recipient for one in planned],
            "errors": [one.error for one in planned],
        }
        await conn.execute(sql.PLAN, columns)
        await conn.execute(sql.TELL, {"id": notice.id, "effects": effects})
        held = (await conn.execute(sql.HOLD, {"effects": effects})).all()
        states = [DeliveryState(one.state) for one in held]
        await set_status(conn, notice.id, delivery.status_of(states))
        # Also where nothing is new: a worker that looked while the rows were held has passed them over.
        return {Channel(one.channel) for one in held if DeliveryState(one.state) in delivery.WAITING}

    async def resend(self, notification_id: str, *, tenant: str, by: str) -> Notification:
        """Have every delivery that has failed or is in doubt sent again.

        Raises:
            NoSuchNotification, NothingToResend, StorageUnavailable.
        """
        known = {"id": notification_id, "tenant": tenant}
        async with self._database.begin() as conn:
            if await conn.scalar(sql.KNOWN, known) is None:
                raise NoSuchNotification(notification_id)
            those = [row(found) for found in (await conn.execute(sql.RESENDABLE, known)).mappings()]
            if not those:
                raise NothingToResend(notification_id)
            for one in those:
                await store(conn, one.effect_id, delivery.resend(one.standing, one.now), asked_by=by)
            await restate(conn, [one.effect_id for one in those])
            for channel in {one.channel for one in those}:
                await wake(conn, self._jobs, channel)
            return notification((await conn.execute(sql.GET, known)).mappings().one())


async def _repeated(conn: AsyncConnection, notice: Notice) -> Accepted:
    caller = notice.caller
    known = {"tenant": caller.tenant, "sender": caller.name, "key": caller.key}
    found = (await conn.execute(sql.BY_KEY, known)).first()
    if found is None:
        # It was removed for its age between the two statements: asked again, the key is free.
        raise StorageUnavailable("conflict", "idempotency key", retry_after=timedelta(seconds=1))
    if bytes(found.digest) != notice.digest:
        raise KeyReused
    return Accepted(Notification.model_validate_json(found.answer).id, found.answer, new=False)


def _id(notice: Notice) -> dict[str, str]:
    return {"id": notice.id, "tenant": notice.caller.tenant}


def _values(notice: Notice) -> dict[str, object]:
    wording, caller = notice.wording, notice.caller
    return {
        **_id(notice),
        "sender": caller.name,
        "key": caller.key,
        "digest": notice.digest,
        "reason": notice.reason,
        "subject": wording.subject,
        "body": wording.body,
        "priority": notice.priority.value,
        "transition": notice.transition,
        "round": notice.round,
        "incident_id": notice.incident_id,
        "episode_id": notice.episode_id,
        "links": orjson.dumps([asdict(link) for link in wording.links]).decode(),
        "redacted": list(wording.redacted),
    }
