"""A recorded cluster as an evidence source. Fulfils `domain.ports.EvidenceSource`."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

from libs.logs import get_logger
from services.context_api.adapters.recording import UnreadableRecording, load_recording
from services.context_api.domain.errors import NoEvidence
from services.context_api.domain.ports import Connectivity, SourceState
from services.context_api.domain.snapshot import Snapshot

SOON = timedelta(seconds=2)
"""When to ask again while the recording is being read: the largest one takes about this long."""

_log = get_logger("evidence")


class RecordedCluster:
    """Reads the recording once, in a thread; the service answers meanwhile that it is not ready."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loading: asyncio.Task[Snapshot] | None = None

    def start(self) -> None:
        """Begin to read; returns at once."""
        self._loading = asyncio.create_task(self._load(), name="read the recording")

    async def stop(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)

    async def snapshot(self, deadline: timedelta) -> Snapshot:
        if self._loading is None:
            raise NoEvidence("the recording is not being read yet", retry_after=SOON)
        try:
            # Shielded: a caller who gives up must not end the reading for everybody.
            return await asyncio.wait_for(asyncio.shield(self._loading), deadline.total_seconds())
        except TimeoutError as error:
            raise NoEvidence(self.state.reason, retry_after=SOON) from error
        except UnreadableRecording as error:
            raise NoEvidence(str(error)) from error

    async def probe(self, deadline: timedelta) -> None:
        await self.snapshot(deadline)

    @property
    def state(self) -> SourceState:
        if self._loading is None or not self._loading.done():
            return SourceState(Connectivity.unavailable, f"{self._path} is being read")
        if self._loading.cancelled():
            return SourceState(Connectivity.unavailable, "the service is stopping")
        error = self._loading.exception()
        if error is not None:
            return SourceState(Connectivity.unhealthy, f"{error}. Mend it and start the service again")
        snapshot = self._loading.result()
        words = f"{self._path}, as of {snapshot.captured_at.isoformat()}"
        return SourceState(Connectivity.healthy, words, serves=True, identity=snapshot.id, fixed=True)

    async def _load(self) -> Snapshot:
        began = time.monotonic()
        try:
            snapshot = await asyncio.to_thread(load_recording, self._path)
        except UnreadableRecording as error:
            _log.error("the recording cannot be read", path=str(self._path), reason=error.reason)
            raise
        _log.info(
            "recording read",
            path=str(self._path),
            objects=len(snapshot.objects),
            events=len(snapshot.events),
            logs=len(snapshot.logs),
            metrics=len(snapshot.metrics),
            not_read=len(snapshot.not_read),
            captured_at=snapshot.captured_at.isoformat(),
            took_s=round(time.monotonic() - began, 3),
        )
        return snapshot


class NoSource:
    """Stands where no evidence source is set: the service runs, and says what to set."""

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy

    async def snapshot(self, deadline: timedelta) -> Snapshot:
        raise NoEvidence(self._remedy)

    async def probe(self, deadline: timedelta) -> None:
        raise NoEvidence(self._remedy)

    @property
    def state(self) -> SourceState:
        return SourceState(Connectivity.unavailable, self._remedy)
