"""Deliver what is due on a channel, the most urgent first, until there is nothing left or a reason to wait.

A job does not stand for a delivery: it is a reason to look. So a channel's pace, its pauses and an open
breaker hold up one job and not hundreds, and what is urgent overtakes. A job that finds its channel fully
occupied ends at once; those who occupy it look again before they end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from enum import Enum, auto
from typing import TypeVar

from libs.clients.breaker import Admission, Breaker
from libs.contracts.notifications import Channel
from libs.logs import get_logger
from libs.storage import StorageUnavailable
from services.notifications.domain.addressees import NO_RECIPIENT, NOBODY
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Message
from services.notifications.domain.ports import ChannelAdapter, Claim, Dispatcher, Outcome

SHORT = timedelta(seconds=2)
"""A wait up to this is spent in the job; a longer one is a row with a due time."""

TOLERANCE_S = 1.0
"""A job that is due so little later than wished is as good."""

LONGEST_RUN = timedelta(seconds=60)
"""After this a job hands over to the next one, so that none runs for as long as a backlog lasts."""

WRITE_DOWN_FOR = timedelta(seconds=60)
"""How long an outcome is kept in memory while the database is away. Longer, and the delivery counts as cut
short; the fault matrix asks for an outage of a minute to be borne."""

_log = get_logger(__name__)

Result = TypeVar("Result")


class Then(Enum):
    """What follows one look at the channel."""

    again = auto()
    idle = auto()
    later = auto()


class Lane:
    """One channel in this process: who speaks it, how many at once, how it has been doing."""

    def __init__(
        self,
        channel: Channel,
        adapter: ChannelAdapter,
        breaker: Breaker,
        *,
        capacity: int,
        interval: timedelta,
    ) -> None:
        """`interval`: least time between two calls, over all processes."""
        self.channel, self.adapter, self.breaker = channel, adapter, breaker
        self.capacity, self.interval = capacity, interval
        self.running = 0
        self.asked = 0
        """Grows with each job that found no room: who is about to end has to look again if it grew."""
        self.left: set[asyncio.Task[None]] = set()
        """Deliveries under way whose job was taken away (the database went, or a stop): they end by themselves."""
        self.wake_at: float | None = None
        """Until then (loop's clock) a job is already on its way that will look."""


class Deliver:
    def __init__(
        self,
        dispatch: Dispatcher,
        lanes: Mapping[Channel, Lane],
        *,
        stopping: Callable[[], bool],
        observe: Callable[[Outcome], None],
        write_down_for: timedelta = WRITE_DOWN_FOR,
    ) -> None:
        self._dispatch, self._lanes = dispatch, lanes
        self._stopping, self._observe = stopping, observe
        self._write_down_for = write_down_for

    async def run(self, channel: Channel, holder: int) -> None:
        """Deliver what is due. `holder` is the id of this job, the same when it runs again after a crash."""
        lane = self._lanes[channel]
        if lane.left:
            await asyncio.wait(lane.left)
        for outcome in await self._dispatch.recover(channel, holder):
            self._observe(outcome)
        if lane.running >= lane.capacity:
            lane.asked += 1
            return
        await self._occupy(lane, holder)

    async def finish(self, within: timedelta) -> None:
        """At the end of the process: let deliveries that are under way end, and then no longer."""
        left = [task for lane in self._lanes.values() for task in lane.left]
        if left:
            _, late = await asyncio.wait(left, timeout=within.total_seconds())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def wake_all(self) -> None:
        """Have every channel looked at: at the start, for what an earlier process has left."""
        for channel in self._lanes:
            await self._dispatch.wake(channel, timedelta(0))

    async def _occupy(self, lane: Lane, holder: int) -> None:
        """One place of the lane, and another one for each delivery found, while there is room."""
        places: list[asyncio.Task[None]] = []

        def another() -> None:
            if lane.running < lane.capacity:
                places.append(asyncio.create_task(self._place(lane, holder, another)))

        another()
        try:
            # Each ends what it has begun, also when another one fails: an outcome is not to be lost with it.
            while any(not place.done() for place in places):
                await asyncio.wait(places)
        except asyncio.CancelledError:
            for place in places:
                place.cancel()
            await asyncio.gather(*places, return_exceptions=True)
            raise
        for place in places:
            place.result()

    async def _place(self, lane: Lane, holder: int, found: Callable[[], None]) -> None:
        if lane.running >= lane.capacity:
            return
        lane.running += 1
        until = asyncio.get_running_loop().time() + LONGEST_RUN.total_seconds()
        try:
            while True:
                asked = lane.asked
                then = await self._one(lane, holder, found)
                if then is Then.later or (then is Then.idle and asked == lane.asked):
                    return
                if self._stopping() or asyncio.get_running_loop().time() > until:
                    await self._look_later(lane, timedelta(0))
                    return
        finally:
            lane.running -= 1

    async def _one(self, lane: Lane, holder: int, found: Callable[[], None]) -> Then:
        """At most one delivery."""
        admission = lane.breaker.admit()
        if isinstance(admission, timedelta):
            return await self._wait(lane, admission)
        try:
            claim = await self._dispatch.claim(lane.channel, holder, interval=lane.interval)
        except BaseException:
            lane.breaker.abandoned(admission)
            raise
        if not isinstance(claim, Claim):
            lane.breaker.abandoned(admission)
            return Then.idle if claim is None else await self._wait(lane, claim.wait)
        found()
        # A job can be taken away in the middle of a call; the call, and what it came to, must not be.
        task = asyncio.create_task(self._deliver(lane, claim, admission))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            _leave(lane, task)
            raise
        return Then.again

    async def _deliver(self, lane: Lane, claim: Claim, admission: Admission) -> None:
        failure = await self._call(lane, claim, admission)
        if failure is None:
            outcome = await self._written(lambda: self._dispatch.arrived(claim))
        else:
            outcome = await self._written(lambda: self._dispatch.failed(claim, failure))
        if outcome is not None:
            self._observe(outcome)

    async def _call(self, lane: Lane, claim: Claim, admission: Admission) -> DeliveryFailed | None:
        """Call the channel; what it said, and the breaker told of it."""
        try:
            await _send(lane.adapter, claim.message)
        except DeliveryFailed as failure:
            settle = lane.breaker.failed if failure.about_channel else lane.breaker.succeeded
            settle(admission)
            _log.warning(
                "not delivered",
                channel=lane.channel.value,
                effect_id=claim.message.effect_id,
                attempt=claim.number,
                reason=failure.reason,
                detail=failure.detail,
            )
            return failure
        except Exception as error:
            # A mistake of ours in one message: seen in the log, counted as a try, in nobody else's way.
            lane.breaker.succeeded(admission)
            _log.exception("a channel failed by itself", channel=lane.channel.value)
            return DeliveryFailed("internal-error", type(error).__name__, retry=True, about_channel=False)
        except BaseException:
            lane.breaker.abandoned(admission)
            raise
        lane.breaker.succeeded(admission)
        return None

    async def _written(self, write: Callable[[], Awaitable[Result]]) -> Result:
        """Write an outcome down, through an outage of the database too: people have been told already."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._write_down_for.total_seconds()
        while True:
            try:
                return await write()
            except StorageUnavailable as error:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(error.retry_after.total_seconds())

    async def _wait(self, lane: Lane, wait: timedelta) -> Then:
        if wait <= SHORT:
            await asyncio.sleep(wait.total_seconds())
            return Then.again
        await self._look_later(lane, wait)
        return Then.later

    async def _look_later(self, lane: Lane, wait: timedelta) -> None:
        """One job for the whole channel, however many find that they have to wait."""
        now = asyncio.get_running_loop().time()
        at = now + wait.total_seconds()
        if lane.wake_at is not None and now < lane.wake_at <= at + TOLERANCE_S:
            return
        before, lane.wake_at = lane.wake_at, at
        try:
            await self._dispatch.wake(lane.channel, wait)
        except BaseException:
            lane.wake_at = before
            raise


def _leave(lane: Lane, task: asyncio.Task[None]) -> None:
    """Keep a delivery whose job is gone until it has ended."""

    def over(task: asyncio.Task[None]) -> None:
        lane.left.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("an outcome is lost", channel=lane.channel.value, reason=str(error))

    lane.left.add(task)
    task.add_done_callback(over)


async def _send(adapter: ChannelAdapter, message: Message) -> None:
    if message.recipient == NOBODY:
        raise DeliveryFailed("no-recipient", NO_RECIPIENT, retry=False, about_channel=False)
    await adapter.send(message)
