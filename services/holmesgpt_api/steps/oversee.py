"""Keep up with all processes: take up reloads, tell how it goes here, and keep what the overview routes answer from.

One loop per process. A route never waits for it: it reads what was last seen, and that says how old it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.adapters.gatherings import Gatherings
from services.holmesgpt_api.adapters.steering import Current, Steering, changed, needs_restart
from services.holmesgpt_api.domain.model import CONCLUDED
from services.holmesgpt_api.domain.overview import Seen, Tally
from services.holmesgpt_api.domain.record import Asked
from services.holmesgpt_api.domain.roster import Roster

_log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks: a reload has been taken up everywhere before its operator has looked twice."""

CONCLUSIONS = 100
"""Runs that accuracy is told of."""

LOOKS = 300
"""Ten minutes of looks at the dependencies, for their availability."""

USELESS = frozenset({"model-garbage", "model-unsupported", "model-max-steps"})
"""Ends of runs whose model answered, to no use. Others say nothing about its answers' worth."""


class Conclusions:
    """Whether the last conclusions of models stood."""

    def __init__(self) -> None:
        self._last: deque[bool] = deque(maxlen=CONCLUSIONS)

    def asked(self, one: Asked) -> None:
        if one.outcome == CONCLUDED or one.outcome in USELESS:
            self._last.append(one.outcome == CONCLUDED)

    @property
    def stood(self) -> int:
        return sum(self._last)

    @property
    def fell(self) -> int:
        return len(self._last) - self.stood


class Overseer:
    """Run `run` beside what the process does."""

    def __init__(
        self,
        steering: Steering,
        gatherings: Gatherings,
        *,
        roster: Roster | None = None,
        conclusions: Conclusions | None = None,
        look: bool = False,
        fine: Callable[[], bool] = lambda: True,
        observe: Callable[[Seen], None] = lambda _: None,
    ) -> None:
        """Args:
        roster: of a worker with models; it is told of.
        look: keep what is seen of all processes, for answers.
        fine: whether all dependencies are, as last checked.
        """
        self.steering, self._gatherings = steering, gatherings
        self._roster, self._conclusions = roster, conclusions or Conclusions()
        self._look, self._fine, self._observe = look, fine, observe
        self._looks: deque[bool] = deque(maxlen=LOOKS)
        self.seen: Seen | None = None
        self.monitoring = True
        self._begun = False

    @property
    def current(self) -> Current:
        return self.steering.current

    @property
    def share_fine(self) -> float | None:
        return round(sum(self._looks) / len(self._looks), 4) if self._looks else None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then this process is not told of any more."""
        try:
            while not stop.is_set():
                await self.turn()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), EVERY)
        finally:
            with suppress(StorageUnavailable):
                await self._gatherings.leave()

    async def turn(self) -> None:
        try:
            word = await self._gatherings.word()
            if self._begun:
                await self.steering.follow(word.version, word.digest)
            else:
                self.steering.begin(word.version, word.digest)
                self._begun = True
            self.monitoring = word.monitoring
            current = self.current
            await self._gatherings.present(
                current.version, current.digest, self.steering.fault, self._tallies()
            )
            if self._look:
                self.seen = await self._gatherings.seen()
                self._observe(self.seen)
        except StorageUnavailable as error:
            _log.info("no look at the other processes: %s", error)
        except Exception:
            # What routes tell would stand still for ever, and reloads would reach nobody.
            _log.exception("a look at the other processes failed")
        self._looks.append(self._fine())

    def _tallies(self) -> Sequence[Tally]:
        if self._roster is None:
            return []
        stood, fell = self._conclusions.stood, self._conclusions.fell
        return [Tally.of(one, stood, fell) for one in self._roster.standings()]

    async def reload(self, by: str) -> tuple[Current, list[str], list[str]]:
        """Read everything again and have all processes take it up; what differs, and what of it needs a restart.

        Raises:
            BadConfiguration: it cannot be used; nothing has changed.
            StorageUnavailable: nobody could be told; nothing has changed.
        """
        old, new = self.current, await self.steering.look()
        version = await self._gatherings.announce(new.digest, by)
        self.steering.take(new, version)
        _log.warning("configuration %d was asked for by %s", version, by)
        return self.current, changed(old, new), needs_restart(old, new)

    async def monitor(self, wanted: bool, by: str) -> None:
        """Raises StorageUnavailable."""
        await self._gatherings.want(monitoring=wanted, by=by)
        self.monitoring = wanted
