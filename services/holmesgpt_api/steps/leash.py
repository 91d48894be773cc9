"""Stop runs that have no say any more: cancelled, ended, or taken over by another worker.

One query per pause for all runs of this process. What a run holds is given back as it is cancelled: its place, and
the engine's child, which is killed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.ports import Ledger
from services.holmesgpt_api.domain.record import Claimed

_log = logging.getLogger(__name__)

PAUSE = timedelta(milliseconds=400)
"""Between two looks. Who cancels a run wants it stopped within about a second, its child's end included."""


class LostSay(Exception):
    """The run has no say any more, and was stopped."""

    def __init__(self) -> None:
        super().__init__("it was cancelled, has ended or was taken over: this run is stopped")


OnLeash = Callable[[Claimed], AbstractAsyncContextManager[None]]
"""The block runs while the run has its say. Raises LostSay in its place when that is lost."""


def unwatched(run: Claimed) -> AbstractAsyncContextManager[None]:
    """Lets the run go on; it still cannot write anything."""
    return nullcontext()


class Leash:
    """Use it with `async with`."""

    def __init__(self, ledger: Ledger, *, pause: timedelta = PAUSE) -> None:
        self._ledger, self._pause = ledger, pause.total_seconds()
        self._runs: dict[tuple[str, int], asyncio.Timeout] = {}
        self._somebody = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Leash:
        self._task = asyncio.create_task(self._look(), name="leash")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    @asynccontextmanager
    async def on(self, run: Claimed) -> AsyncIterator[None]:
        """Fulfils `OnLeash`."""
        key = (run.id, run.fence)
        # A timeout that is never due until it is told to be: cancels this block alone, as timeouts do.
        timeout = asyncio.timeout(None)
        try:
            async with timeout:
                self._runs[key] = timeout
                self._somebody.set()
                try:
                    yield
                finally:
                    self._drop(key)
        except TimeoutError:
            if timeout.expired():
                raise LostSay from None
            raise

    def _drop(self, key: tuple[str, int]) -> None:
        self._runs.pop(key, None)
        if not self._runs:
            self._somebody.clear()

    async def _look(self) -> None:
        while True:
            await self._somebody.wait()
            # Of two runs of one investigation in this process the earlier one has lost its say: it sorts first, so
            # that the later one's number is the one that is looked up.
            latest = dict(sorted(self._runs))
            try:
                lost = await self._ledger.lost(latest)
            except StorageUnavailable as error:
                _log.info("no look at who has lost their say: %s", error)
            except Exception:
                _log.exception("a look at who has lost their say failed")
            else:
                # Only of what was asked about: while it was, a later run of the same may have begun, and has the say.
                self._stop(
                    {
                        (id_, fence)
                        for id_, fence in self._runs
                        if fence < latest.get(id_, 0) or (id_ in lost and fence == latest[id_])
                    }
                )
            await asyncio.sleep(self._pause)

    def _stop(self, runs: set[tuple[str, int]]) -> None:
        for key in runs:
            # Once: a run that is being stopped takes its time to clean up.
            self._runs.pop(key).reschedule(asyncio.get_running_loop().time())
        if not self._runs:
            self._somebody.clear()
