"""Receive a webhook body: refuse what cannot be taken, commit the rest, say what became of each alert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from libs.auth import Principal
from services.alerts.domain import webhook
from services.alerts.domain.delivery import Delivery
from services.alerts.domain.errors import AllRefused, Malformed, NotCommitted, Unreadable
from services.alerts.domain.identity import idempotency_key
from services.alerts.domain.ports import Inbox
from services.alerts.domain.webhook import Reading

Count = Callable[[str, int], None]
"""Told an outcome (`accepted`, `rejected`, `unreadable`, `not-committed`) and how many alerts had it."""


@dataclass(frozen=True, slots=True)
class Receive:
    inbox: Inbox
    count: Count

    async def __call__(self, body: bytes, sender: Principal, *, needs_receiver: bool = True) -> Reading:
        """Everything `accepted` in the answer is durable.

        Raises:
            Malformed, Unreadable: nothing of it can be read; not to be sent again unchanged.
            AllRefused: nothing of it can be taken; not to be sent again unchanged.
            NotCommitted: to be sent again.
        """
        try:
            reading = webhook.read(body, now=datetime.now(UTC), needs_receiver=needs_receiver)
        except (Malformed, Unreadable):
            self.count("unreadable", 1)
            raise
        if len(reading.alerts) < len(reading.results):
            self.count("rejected", len(reading.results) - len(reading.alerts))
        if reading.alerts:
            await self._commit(body, reading, sender)
        elif reading.results:
            raise AllRefused(
                [
                    (f"body.alerts.{one.index}" + (f".{one.field}" if one.field else ""), one.error or "")
                    for one in reading.results
                ]
            )
        return reading

    async def _commit(self, body: bytes, reading: Reading, sender: Principal) -> None:
        idem = idempotency_key(sender.tenant, reading.receiver, reading.group_key, reading.alerts)
        try:
            await self.inbox.put(Delivery(idem, sender.tenant, sender.name, body))
        except NotCommitted:
            self.count("not-committed", len(reading.alerts))
            raise
        self.count("accepted", len(reading.alerts))
