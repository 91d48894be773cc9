"""What a worker has for questions to foreign systems: its toolbox, and where people's decisions are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from libs.redaction import Redactor
from libs.storage import Database
from services.holmesgpt_api.adapters.abroad import Abroad, Observe
from services.holmesgpt_api.adapters.approvals import PostgresApprovals
from services.holmesgpt_api.adapters.pins import PostgresPins
from services.holmesgpt_api.adapters.toolbox import Toolbox
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.toolsets import Toolsets
from services.holmesgpt_api.toolset_settings import ToolsetSettings


class Agency:
    """Run `run` beside the worker; `go` for each run. Fulfils `holmes.GoAbroad`."""

    def __init__(
        self,
        settings: ToolsetSettings,
        database: Database,
        toolsets: Callable[[], Toolsets],
        observe: Observe,
    ) -> None:
        """`toolsets`: those configured now."""
        self._toolsets, self._observe, self._patience = toolsets, observe, settings.approval_timeout
        self._approvals = PostgresApprovals(database)
        self._toolbox = Toolbox(
            PostgresPins(database),
            lambda: toolsets().custom,
            at_once=settings.toolset_concurrency,
            every=settings.toolset_look_interval.total_seconds(),
        )

    async def run(self, stop: asyncio.Event) -> None:
        async with self._approvals:
            try:
                await self._toolbox.run(stop)
            finally:
                await self._toolbox.close()

    async def go(self, run: Claimed, redactor: Redactor, room: int, ends: float) -> Abroad:
        """Who answers this run's questions. A replay concludes from what was seen: it asks nobody."""
        wanted = [] if run.frozen else self._toolsets().beside(run.request.toolsets, tenant=run.tenant)
        return Abroad(
            run,
            await self._toolbox.offered(wanted),
            self._toolbox,
            self._approvals,
            redactor,
            room=room,
            ends=ends,
            patience=self._patience,
            observe=self._observe,
        )
