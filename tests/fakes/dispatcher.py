"""Deliveries in memory, and a channel that answers as told: for tests of the step between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from libs.contracts.notifications import Channel, DeliveryState
from libs.storage import StorageUnavailable
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Message
from services.notifications.domain.ports import Claim, NotBefore, Outcome
from tests.support.messages import message


class FakeDispatcher:
    """Attributes:
    due: subjects still to be delivered, in order.
    ended: subject and how it ended.
    woken: waits after which somebody is to look again.
    pauses: given out before deliveries, from the front.
    outages: how many of the next records fail because the database is away.
    """

    def __init__(self, *due: str, recipient: str = "stdout") -> None:
        self.due = list(due)
        self.recipient = recipient
        self.ended: list[tuple[str, str]] = []
        self.woken: list[timedelta] = []
        self.recovered: list[int] = []
        self.pauses: list[timedelta] = []
        self.outages = 0

    async def claim(self, channel: Channel, holder: int, *, interval: timedelta) -> Claim | NotBefore | None:
        await asyncio.sleep(0)
        if self.due and self.pauses:
            return NotBefore(self.pauses.pop(0))
        if not self.due:
            return None
        return Claim(channel, message(subject=self.due.pop(0), recipient=self.recipient), 1)

    async def arrived(self, claim: Claim) -> Outcome | None:
        return self._end(claim, DeliveryState.sent, "delivered")

    async def failed(self, claim: Claim, failure: DeliveryFailed) -> Outcome | None:
        return self._end(claim, DeliveryState.retrying, failure.reason)

    def _end(self, claim: Claim, state: DeliveryState, reason: str) -> Outcome:
        if self.outages:
            self.outages -= 1
            raise StorageUnavailable("unreachable", "gone", retry_after=timedelta(0))
        self.ended.append((claim.message.subject, reason))
        return Outcome(claim.channel, state, reason, timedelta(seconds=1))

    async def recover(self, channel: Channel, holder: int) -> Sequence[Outcome]:
        self.recovered.append(holder)
        return []

    async def wake(self, channel: Channel, in_: timedelta) -> None:
        self.woken.append(in_)


class FakeChannel:
    """Calls `answer` with each message and counts how many are under way at once."""

    def __init__(self, answer: Callable[[Message], None] = lambda _: None) -> None:
        self.answer = answer
        self.sent: list[str] = []
        self.under_way = self.most = 0
        self.gate: asyncio.Event | None = None

    async def send(self, message: Message) -> None:
        self.sent.append(message.subject)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await (self.gate.wait() if self.gate else asyncio.sleep(0))
            self.answer(message)
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        return None
