"""What telling people needs from the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from libs.contracts.notifications import Channel, DeliveryState
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Message


class ChannelAdapter(Protocol):
    """One way to reach people."""

    async def send(self, message: Message) -> None:
        """Hand the message over; returning means that the channel took it. Ends within its own deadline.

        Raises:
            DeliveryFailed: it did not.
        """

    async def close(self) -> None:
        """Give connections back."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that is ours to make: committed as `sending`."""

    channel: Channel
    message: Message
    number: int


@dataclass(frozen=True, slots=True)
class NotBefore:
    """Something is due, and the channel is to be left alone for so long."""

    wait: timedelta


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt, for metrics. `after`: from being accepted to now, where an answer came."""

    channel: Channel
    state: DeliveryState
    reason: str
    after: timedelta | None


class Dispatcher(Protocol):
    """Hands out due deliveries and keeps what became of them. Every method may raise `StorageUnavailable`."""

    async def claim(self, channel: Channel, holder: int, *, interval: timedelta) -> Claim | NotBefore | None:
        """Take the most urgent delivery that is due, committed as `sending`; None: there is none.

        Args:
            holder: the job on whose behalf the channel will be called.
            interval: least time between two calls of this channel, over all processes.
        """

    async def arrived(self, claim: Claim) -> Outcome | None:
        """The channel took it. None: a later attempt has begun, and this one has no say any more."""

    async def failed(self, claim: Claim, failure: DeliveryFailed) -> Outcome | None:
        """The channel did not take it. None as above."""

    async def recover(self, channel: Channel, holder: int) -> Sequence[Outcome]:
        """Decide about deliveries whose call was cut short: by an earlier run of this job, or for good."""

    async def wake(self, channel: Channel, in_: timedelta) -> None:
        """Have a worker look at this channel after this time."""
