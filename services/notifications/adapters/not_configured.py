"""NotConfigured: stands where a channel has not been set up. Fulfils `domain.ports.ChannelAdapter`."""

from __future__ import annotations

from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Message


class NotConfigured:
    """Refuses every message and names the setting; the delivery can be sent again once it is set."""

    def __init__(self, setting: str) -> None:
        self._setting = setting

    async def send(self, message: Message) -> None:
        raise DeliveryFailed("not-configured", f"set {self._setting}", retry=False, about_channel=False)

    async def close(self) -> None:
        return None
