"""Take an investigation: record it, and wait for its end where the caller does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from libs.auth.principal import Principal
from libs.contracts.investigations import InvestigationRequest, InvestigationStatus
from services.holmesgpt_api.domain.clusters import ONE_FOR_ALL, Clusters
from services.holmesgpt_api.domain.commission import Commission, commission
from services.holmesgpt_api.domain.errors import Failed, UnknownInvestigation
from services.holmesgpt_api.domain.patience import NOTHING, Deadline, answer_by
from services.holmesgpt_api.domain.ports import Ledger
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.so_far import for_reader
from services.holmesgpt_api.domain.toolsets import Toolsets
from services.holmesgpt_api.domain.visibility import may_see
from services.holmesgpt_api.steps.in_time import in_time
from services.holmesgpt_api.steps.wait import Waiting


@dataclass(frozen=True, slots=True)
class Desk:
    """Where investigations are asked for."""

    ledger: Ledger
    waiting: Waiting
    sync_answer_timeout: timedelta
    toolsets: Callable[[], Toolsets] = Toolsets
    clusters: Clusters = ONE_FOR_ALL

    async def take(self, request: InvestigationRequest, caller: Principal, key: str | None) -> Record:
        """Record it; committed when this returns. The same key and request give the same investigation.

        Raises:
            NotReadable, UnknownToolset, KeyReused, TooManyInvestigations, StorageUnavailable
        """
        return (await self.ledger.open(self._commission(request, caller, key))).record

    def _commission(self, request: InvestigationRequest, caller: Principal, key: str | None) -> Commission:
        self.toolsets().check(request.toolsets, tenant=caller.tenant)
        place = self.clusters.route(request).place
        return commission(request, caller, key, shares=True, place=place)

    def answer_by(self, caller_has: timedelta | None, spent: timedelta = NOTHING) -> Deadline:
        """When a synchronous answer must be there; to be asked for before anything else is done for it."""
        return answer_by(self.sync_answer_timeout, caller_has, spent=spent)

    async def take_and_wait(
        self, request: InvestigationRequest, caller: Principal, key: str | None, until: Deadline
    ) -> Record:
        """Record it and wait; the record as it is when it has ended, or when the time is up.

        Raises:
            Failed: it ended without a verdict. Beside what `take` raises; `StorageUnavailable` also when it was not
                recorded in time.
        """
        asked = self._commission(request, caller, key)
        async with in_time(until.left):
            record = (await self.ledger.open(asked)).record
        if not record.ended:
            record = await self.waiting.for_end(record, until)
        if record.status is InvestigationStatus.failed and record.failure is not None:
            raise Failed(record.id, record.failure.code, record.failure.error)
        return for_reader(record, caller)

    async def look(self, investigation_id: str, caller: Principal) -> Record:
        """Raises UnknownInvestigation, StorageUnavailable."""
        record = await self.ledger.get(investigation_id, tenant=caller.tenant)
        if record is None or not visible(record, caller):
            raise UnknownInvestigation
        return for_reader(record, caller)


def visible(record: Record, caller: Principal) -> bool:
    return may_see(caller, tenant=record.tenant, asker=record.asker, seen=record.seen)
