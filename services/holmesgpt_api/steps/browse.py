"""List investigations, page by page."""

from __future__ import annotations

from libs.auth.principal import Principal
from libs.contracts.investigations import InvestigationPage
from services.holmesgpt_api.domain.answer import line
from services.holmesgpt_api.domain.ports import Ledger
from services.holmesgpt_api.domain.record import Position
from services.holmesgpt_api.steps.take import visible


async def browse(ledger: Ledger, caller: Principal, *, limit: int, cursor: str | None) -> InvestigationPage:
    """What the caller may see of the next `limit` records; one query, whatever is left out of it.

    Raises:
        BadCursor, StorageUnavailable
    """
    before = Position.read(cursor) if cursor is not None else None
    records = await ledger.page(caller.tenant, before=before, limit=limit)
    more = len(records) == limit
    last = Position(records[-1].created_at, records[-1].id).cursor() if more else None
    return InvestigationPage(
        items=[line(record) for record in records if visible(record, caller)], next_cursor=last
    )
