"""Keep the evidence of one incident: as a recording that can be sent, read again and asked again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from libs.auth.principal import Principal
from libs.contracts.bundle import IncidentRequest
from services.context_api.domain.errors import Busy, IncidentTooLarge, TooLate
from services.context_api.domain.frozen import frozen
from services.context_api.domain.snapshot import Snapshot
from services.context_api.steps.ask import Desk
from services.context_api.steps.bundles import Asked, Bundles
from services.context_api.steps.views import View

LARGEST = 64 * 2**20
"""Bytes of one packed incident; all of them are in memory while they are sent."""

MOST_PACKING = 4
"""Incidents that are being packed or wait for it."""

Pack = Callable[[Snapshot, str, Mapping[str, str]], bytes]
"""Makes one file of a snapshot: the snapshot, the name of the folder in it, further facts. Called in a thread."""


LONGEST_NAME = 60
"""Characters of the object's name in the file's; file systems take 255 bytes in all."""


class Freezer:
    """Takes requests to keep an incident. One per process."""

    def __init__(self, desk: Desk, bundles: Bundles, pack: Pack) -> None:
        self._desk, self._bundles, self._pack = desk, bundles, pack
        self._one_at_a_time, self._packing = asyncio.Lock(), 0

    async def freeze(
        self, request: IncidentRequest, caller: Principal, left: timedelta | None
    ) -> tuple[str, bytes]:
        """A file name, and the recording as a tar archive packed with gzip.

        Raises:
            IncidentTooLarge: it would be more than is sent.
            CannotKeep: this machine has no room to pack it.
            Busy: too many are being packed; one is at a time, since each holds its bytes.
            NamesNoObject, NotReadable, UnknownCluster, NoEvidence, TooLate: as for every question.
        """
        limit = self._desk.within(left)
        seen, asked = await self._bundles.looked_up(request, caller, limit)
        if self._packing >= MOST_PACKING:
            raise Busy(self._packing)
        self._packing += 1
        turn = asyncio.create_task(self._in_turn(seen, asked), name=f"freeze {asked.target.name[:80]}")
        turn.add_done_callback(self._ended)
        try:
            # Shielded: a thread cannot be ended, so whoever gives up leaves it its place until it is done.
            return await asyncio.wait_for(asyncio.shield(turn), limit.total_seconds())
        except TimeoutError as error:
            raise TooLate(limit) from error

    async def _in_turn(self, seen: View, asked: Asked) -> tuple[str, bytes]:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._packed, seen, asked)

    def _ended(self, turn: asyncio.Task[tuple[str, bytes]]) -> None:
        self._packing -= 1
        if not turn.cancelled():
            turn.exception()  # fetched here as well: who waited may have given up

    def _packed(self, seen: View, asked: Asked) -> tuple[str, bytes]:
        kept = frozen(self._bundles.judged(seen, asked))
        name = _called(kept.captured_at, asked)
        facts = {"cluster": seen.snapshot.cluster, "incident": str(asked.target)}
        archive = self._pack(kept, name, facts)
        if len(archive) > LARGEST:
            raise IncidentTooLarge(len(archive), LARGEST)
        return f"{name}.tar.gz", archive


def _called(moment: datetime, asked: Asked) -> str:
    """A name that every file system takes."""
    name = re.sub(r"[^a-z0-9.-]", "-", asked.target.name.lower())[:LONGEST_NAME].rstrip(".-")
    return f"incident-{moment:%Y%m%dt%H%M%Sz}-{asked.target.kind.lower()}-{name}"
