"""Replay questions against kept answers whose evidence ages as a live cluster's does; no network, a clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from libs.cache import made_of
from libs.web.pages import Ask, Captured, Pages
from services.context_api.caches import freshness_of
from services.context_api.settings import Settings
from services.context_api.steps.freshness import SOURCES
from tests.support.clock import Clock
from tests.support.paging import JSON, SECRET, caller

SPREAD = (*["evidence"] * 5, *["kubernetes"] * 2, *SOURCES[2:])
"""Of what questions are about: five of eleven about causes, findings and facts."""

Outcomes = dict[str, Counter[str]]


class Cluster:
    """Is read anew when somebody asks and the last reading is too old, as `LiveCluster` does."""

    def __init__(self, clock: Clock, max_age: timedelta) -> None:
        self._clock, self._max_age = clock, max_age.total_seconds()
        self._read = float("-inf")
        self.answered = 0

    async def __call__(self) -> Captured:
        if self._clock() - self._read > self._max_age:
            self._read = self._clock()
        made_of(age=timedelta(seconds=self._clock() - self._read))
        self.answered += 1
        return Captured(200, JSON, b"{}")


async def replay(asked: Iterable[tuple[float, int]], settings: Settings) -> tuple[Outcomes, int]:
    """What became of the questions of each source, and how often an answer was made."""
    clock = Clock()
    began = clock.now
    cluster = Cluster(clock, settings.evidence_max_age)
    outcomes: Outcomes = {source: Counter() for source in SOURCES}
    pages = Pages(
        secret=SECRET,
        identity=lambda: "cluster",
        lifetimes=freshness_of(settings).lifetime,
        observe=lambda source, outcome: outcomes[source].update([outcome]),
        near_bytes=settings.cache_max_bytes // 2,
        clock=clock,
    )
    ask, everybody = Ask(cluster, cluster), caller()
    for when, number in asked:
        clock.now = began + when
        source = SPREAD[number % len(SPREAD)]
        key = pages.key(everybody, f"/{source}/{number}", b"")
        assert key is not None
        if pages.near(key, source) is None:
            await pages.get(key, source, ask, within=timedelta(seconds=1))
            await pages.idle()
    return outcomes, cluster.answered
