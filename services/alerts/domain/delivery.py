"""Delivery: one request's accepted alerts, as they were sent; and what can become of alerts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivery:
    idem: bytes
    """The idempotency key of everything accepted in it."""
    tenant: str
    sender: str
    """The principal's name."""
    body: bytes
    """As received: what is read again when it is drained is what was said."""


OUTCOMES = ("accepted", "rejected", "unreadable", "not-committed")
"""Of alerts that are received, for counting; `unreadable` counts requests."""
