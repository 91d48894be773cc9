"""What telling people needs from the world."""

from __future__ import annotations

from typing import Protocol

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
