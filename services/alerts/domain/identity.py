"""Name things so that the same thing always gets the same name.

Every identifier here is computed from what it names, so a repeat, a retry and a second replica agree
without asking each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from services.alerts.domain.webhook import ReadAlert

_encode = msgspec.json.Encoder().encode


def idempotency_key(tenant: str, receiver: str, group_key: str, alerts: Iterable[ReadAlert]) -> bytes:
    """The same for a retry, a second Alertmanager and a repeat of the same news; 32 bytes.

    `endsAt` counts for resolved alerts only: senders that set it on firing ones move it every time.
    """
    said = sorted(
        (
            alert.fingerprint,
            alert.status,
            alert.starts_at.isoformat(),
            alert.ends_at.isoformat() if alert.ends_at and alert.status == "resolved" else "",
        )
        for alert in alerts
    )
    return hashlib.sha256(_encode((tenant, receiver, group_key, said))).digest()


def episode_id(tenant: str, fingerprint: str, starts_at: datetime) -> str:
    """One firing of one alert of one tenant; 32 hex digits."""
    return hashlib.sha256(_encode((tenant, fingerprint, starts_at))).hexdigest()[:32]
