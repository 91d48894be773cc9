"""List investigations, page by page."""

from __future__ import annotations

from libs.auth.principal import Principal
from libs.contracts.investigations import InvestigationPage
from services.holmesgpt_api.domain.answer import line
from services.holmesgpt_api.domain.filter import EVERYTHING, Filter
from services.holmesgpt_api.domain.ports import Ledger
from services.holmesgpt_api.domain.record import Position
from services.holmesgpt_api.steps.take import visible


async def browse(
    ledger: Ledger, caller: Principal, *, limit: int, cursor: str | None, only: Filter = EVERYTHING
) -> InvestigationPage:
    """What the caller may see of the next `limit` records; one query, whatever is left out of it.

    Raises:
        BadCursor, StorageUnavailable
    """
    before = Position.read(cursor, only.mark) if cursor is not None else None
    records = await ledger.page(caller.tenant, before=before, limit=limit, only=only)
    more = len(records) == limit
    last = Position(records[-1].created_at, records[-1].id).cursor(only.mark) if more else None
    return InvestigationPage(
        items=[line(record) for record in records if visible(record, caller)], next_cursor=last
    )
