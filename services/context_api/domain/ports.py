"""What the domain needs from the world."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from services.context_api.domain.snapshot import Snapshot


class Connectivity(StrEnum):
    """How an evidence source stands with its cluster."""

    healthy = "healthy"
    unhealthy = "unhealthy"
    """It is set, and does not answer."""
    unavailable = "unavailable"
    """None is set, or it has not answered yet."""


@dataclass(frozen=True, slots=True)
class SourceState:
    connectivity: Connectivity
    reason: str = ""
    """What is wrong, and what to do about it."""
    serves: bool = False
    """Whether questions are answered now, from older evidence if need be."""
    identity: str = ""
    """What the evidence is of, the same in every process that answers from it; empty: nobody can say, and answers are
    not kept."""
    fixed: bool = False
    """It cannot change any more."""
    age: timedelta = timedelta(0)
    """Of what is answered from now. Of what cannot change, none: it is always as new as it gets."""


class EvidenceSource(Protocol):
    """Where snapshots come from: a recording, or a live cluster.

    Never holds the event loop: reading is done in threads or by waiting. The same snapshot object may be given
    to everybody, so nobody changes it.
    """

    async def snapshot(self, deadline: timedelta) -> Snapshot:
        """The newest snapshot, within `deadline`.

        Raises:
            NoEvidence: there is none; with the reason, and when it is worth asking again.
        """
        ...

    async def probe(self, deadline: timedelta) -> None:
        """See whether the source answers, cheaper than by a snapshot once one was made; `state` tells the outcome.

        Raises:
            NoEvidence: it does not, within `deadline`.
        """
        ...

    @property
    def state(self) -> SourceState:
        """As last seen; costs nothing."""
        ...
