"""Name an effect: one fact told to one recipient on one channel.

The name is made of the fact alone, so that whoever tells it again, in whichever process, makes the same
name, and the database refuses the second.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from libs.contracts.notifications import Channel


@dataclass(frozen=True, slots=True)
class Fact:
    """What happened to what.

    Attributes:
        subject: the incident's id, else the episode's.
        round: which time this transition happens to the subject, from 1.
    """

    tenant: str
    subject: str
    transition: str
    round: int


def fact_of(
    tenant: str,
    *,
    incident_id: str | None,
    episode_id: str | None,
    transition: str,
    round_: int,
    notification: str,
) -> Fact:
    """The fact a request tells.

    The incident comes before the episode, because an incident's messages name whichever of its episodes
    leads at the moment. A message about neither is a fact of its own: its idempotency key, or without one
    its id, stands for it.

    Args:
        notification: idempotency key of the request, or the notification's id.
    """
    if incident_id:
        return Fact(tenant, f"incident:{incident_id}", transition, round_)
    if episode_id:
        return Fact(tenant, f"episode:{episode_id}", transition, round_)
    return Fact(tenant, f"notification:{notification}", transition, round_)


def effect_id(fact: Fact, channel: Channel, recipient: str) -> str:
    """40 hexadecimal digits; the same for the same fact, channel and recipient, for ever."""
    # As a JSON list, so that no two different sequences of parts are written alike.
    parts = [fact.tenant, fact.subject, fact.transition, fact.round, channel.value, recipient]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
