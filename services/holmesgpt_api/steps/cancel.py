"""Cancel an investigation: end it for whoever runs it, wherever that is."""

from __future__ import annotations

from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.investigations import InvestigationStatus
from services.holmesgpt_api.domain.errors import AlreadyEnded, NotYours
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.steps.take import Desk


async def cancel(desk: Desk, investigation_id: str, caller: Principal) -> tuple[Record, bool]:
    """The record, cancelled; and whether it was this call that cancelled it.

    Raises:
        UnknownInvestigation: or not one this caller may see.
        NotYours: neither is the caller who asked for it, nor an administrator.
        AlreadyEnded: otherwise than by being cancelled.
        StorageUnavailable
    """
    record = await desk.look(investigation_id, caller)
    if record.asker != caller.name and not caller.may(Permission.admin_system):
        raise NotYours
    ended = await desk.ledger.cancel(investigation_id, tenant=caller.tenant, by=caller.name)
    if ended is not None:
        return ended, True
    record = await desk.look(investigation_id, caller)
    if record.status is not InvestigationStatus.cancelled:
        raise AlreadyEnded(record.id, record.status.value)
    return record, False
