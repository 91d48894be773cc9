"""Triage in whichever cluster an investigation is about: each is handed to the engine of its own cluster's Context API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from services.holmesgpt_api.domain.clusters import Clusters, no_result, placed, told, why_unknown
from services.holmesgpt_api.domain.ports import Engine, ReportProgress
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.triage import NAME
from services.holmesgpt_api.domain.verdict import Verdict


class ByCluster:
    """Fulfils `ports.Engine`."""

    name = NAME

    def __init__(self, clusters: Clusters, engines: Mapping[str, Engine]) -> None:
        """`engines`: one for each of the clusters' addresses."""
        self._clusters, self._engines = clusters, engines

    async def run(self, run: Claimed, report_progress: ReportProgress) -> Verdict:
        route = self._clusters.route(run.request)
        if route.address is None:
            return told(no_result(NAME, why_unknown(self._clusters, route.cluster, run.reads)), route)
        there = replace(run, request=placed(run.request, route))
        return told(await self._engines[route.address].run(there, report_progress), route)
