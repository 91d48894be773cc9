"""Dispatch: hands out due deliveries one at a time, and writes down what became of each. Fulfils
`domain.ports.Dispatcher`.

Everything about an attempt is committed at both its ends: `sending` before the channel is called, the
outcome after. An attempt's number is its fence: whoever was taken for dead cannot speak for a later attempt.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.notifications import Channel, DeliveryState
from libs.jobs import Jobs
from libs.storage import Database
from services.notifications.adapters import sql
from services.notifications.adapters.rows import Row, message, restate, row, store, wake
from services.notifications.domain import delivery
from services.notifications.domain.delivery import Standing
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.ports import Claim, NotBefore, Outcome
from services.notifications.domain.schedule import LONGEST_ASKED, Schedule


class Dispatch:
    def __init__(
        self, database: Database, jobs: Jobs, schedule: Schedule, *, luck: Callable[[], float] = random.random
    ) -> None:
        """`luck`: from 0 to 1, decides the jitter of pauses."""
        self._database, self._jobs, self._schedule, self._luck = database, jobs, schedule, luck

    async def claim(self, channel: Channel, holder: int, *, interval: timedelta) -> Claim | NotBefore | None:
        async with self._database.begin() as conn:
            found = (await conn.execute(sql.DUE, {"channel": channel.value})).mappings().first()
            if found is None:
                return None
            wait = await _pace(conn, channel, interval)
            if wait is not None:
                return NotBefore(wait)
            return await self._begin(conn, found, holder)

    async def _begin(self, conn: AsyncConnection, found: RowMapping, holder: int) -> Claim:
        due = row(found)
        begun = delivery.begin(due.standing)
        await store(conn, due.effect_id, begun, holder=holder)
        values = {"effect": due.effect_id, "number": begun.attempts, "now": due.now, "asked_by": due.asked_by}
        await conn.execute(sql.BEGUN, values)
        await restate(conn, [due.effect_id])
        told = message(found, possible_duplicate=begun.possible_duplicate)
        return Claim(due.channel, told, begun.attempts)

    async def arrived(self, claim: Claim) -> Outcome | None:
        def decide(it: Row) -> Standing:
            return delivery.arrived(it.standing, it.now)

        return await self._end(claim, decide, outcome="sent")

    async def failed(self, claim: Claim, failure: DeliveryFailed) -> Outcome | None:
        def decide(it: Row) -> Standing:
            return delivery.failed(it.standing, failure, self._schedule, it.now, self._luck())

        return await self._end(claim, decide, failure=failure)

    async def _end(
        self,
        claim: Claim,
        decide: Callable[[Row], Standing],
        *,
        outcome: str | None = None,
        failure: DeliveryFailed | None = None,
    ) -> Outcome | None:
        effect = claim.message.effect_id
        async with self._database.begin() as conn:
            it = row((await conn.execute(sql.STANDING, {"effect": effect})).mappings().one())
            await _note_channel(conn, claim.channel, failure)
            try:
                after = decide(it) if it.standing.attempts == claim.number else None
            except delivery.IllegalStep:
                after = None
            said = outcome or (after.state.value if after else DeliveryState.failed.value)
            why = {"reason": failure.reason, "detail": failure.detail} if failure else {}
            await _note_attempt(conn, effect, claim.number, said, **why)
            if after is None:
                return None
            await store(conn, effect, after)
            await restate(conn, [effect])
            if after.next_attempt_at is not None:
                await wake(conn, self._jobs, it.channel, in_=after.next_attempt_at - it.now)
        return Outcome(claim.channel, after.state, after.reason.value, it.now - claim.message.created_at)

    async def recover(self, channel: Channel, holder: int) -> Sequence[Outcome]:
        values = {"channel": channel.value, "holder": holder}
        async with self._database.begin() as conn:
            left = [row(found) for found in (await conn.execute(sql.LEFT, values)).mappings()]
            decided = [(it, self._interrupted(it)) for it in left]
            for it, after in decided:
                await _note_attempt(
                    conn, it.effect_id, it.standing.attempts, "interrupted", reason=after.reason.value
                )
                await store(conn, it.effect_id, after)
            await restate(conn, [it.effect_id for it in left])
            if any(after.state in delivery.WAITING for _, after in decided):
                await wake(conn, self._jobs, channel)
        return [Outcome(channel, after.state, after.reason.value, None) for _, after in decided]

    def _interrupted(self, it: Row) -> Standing:
        rule = delivery.after_crash(it.channel, it.priority)
        return delivery.interrupted(it.standing, rule, self._schedule, it.now)

    async def wake(self, channel: Channel, in_: timedelta) -> None:
        async with self._database.begin() as conn:
            await wake(conn, self._jobs, channel, in_=in_)


async def _pace(conn: AsyncConnection, channel: Channel, interval: timedelta) -> timedelta | None:
    """Take the channel's next slot; or say how long it is until then."""
    name = {"channel": channel.value}
    if interval and await conn.scalar(sql.PACE, {**name, "interval": interval}) is not None:
        return None
    left: timedelta = await conn.scalar(sql.NOT_BEFORE, name) or timedelta(0)
    return left if left > timedelta(0) else None


async def _note_channel(conn: AsyncConnection, channel: Channel, failure: DeliveryFailed | None) -> None:
    """What an outcome says about the channel: shown in /health, and its pause kept by every worker."""
    name = {"channel": channel.value}
    if failure is None or not failure.about_channel:
        await conn.execute(sql.WENT_WELL, name)
        return
    await conn.execute(sql.WENT_WRONG, {**name, "error": str(failure)})
    if failure.retry_after:
        await conn.execute(sql.PAUSE, {**name, "pause": min(failure.retry_after, LONGEST_ASKED)})


async def _note_attempt(
    conn: AsyncConnection,
    effect: str,
    number: int,
    outcome: str,
    *,
    reason: str | None = None,
    detail: str | None = None,
) -> None:
    said = {"outcome": outcome, "reason": reason, "detail": detail}
    await conn.execute(sql.ENDED, {"effect": effect, "number": number, **said})
