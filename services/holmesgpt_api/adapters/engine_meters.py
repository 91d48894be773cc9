"""What is measured of the engine's processes: how many, how large, why they were retired, and whether they leak."""

from __future__ import annotations

import time
from collections.abc import Callable

from libs.metrics import Metrics
from services.holmesgpt_api.adapters.memory import rss, used
from services.holmesgpt_api.adapters.zygote import Zygote
from services.holmesgpt_api.domain.residence import WHYS, Why

STATES = ("busy", "idle", "spare")
PARTS = ("zygote", "children")


class EngineMeters:
    def __init__(
        self,
        metrics: Metrics,
        *,
        share: Callable[[], float | None] = used,
        rss_of: Callable[[int], int] = rss,
    ) -> None:
        self._share, self._rss_of = share, rss_of
        self._rss = metrics.gauge(
            "holmesgpt_api_engine_rss_bytes",
            "Memory of the engine: the zygote's, and what its children have for themselves beside it.",
            {"part": PARTS},
        )
        self._children = metrics.gauge(
            "holmesgpt_api_engine_children",
            "The engine's children: at a run, waiting for another one of their caller, ready for anybody.",
            {"state": STATES},
        )
        self._retired = metrics.counter(
            "holmesgpt_api_engine_children_retired_total", "Children that ended, by reason.", {"reason": WHYS}
        )
        self._growth = metrics.gauge(
            "holmesgpt_api_engine_child_growth_bytes",
            "What a run adds to its child's own memory on the average, of the last children measured.",
        )
        self._used = metrics.gauge(
            "holmesgpt_api_engine_memory_used_ratio",
            "Share of the memory allowed (the container's, else the machine's) that is in use; -1: unknown.",
        )
        self._alert = metrics.gauge(
            "holmesgpt_api_engine_usage_alert",
            "1 while more children than usual outgrow HOLMESGPT_ENGINE_CHILD_MEMORY.",
        )
        for why in WHYS:  # from the start, so that a rate can be told of the first one
            self._retired.inc(0, reason=why)
        self._alert.set(0)

    def retired(self, why: Why) -> None:
        self._retired.inc(reason=why)

    def look(self, zygote: Zygote) -> bool:
        """Measure; whether an alert is due."""
        residents = zygote.residents
        self._rss.set(self._rss_of(zygote.pid) if zygote.pid else 0, part="zygote")
        self._rss.set(zygote.own, part="children")
        spares = residents.spares
        for state, number in zip(STATES, (zygote.running, len(residents) - spares, spares), strict=True):
            self._children.set(number, state=state)
        share = self._share()
        self._used.set(-1 if share is None else round(share, 4))
        self._growth.set(round(residents.growth.per_run))
        due = residents.growth.alert(time.monotonic())
        self._alert.set(int(due))
        return due
