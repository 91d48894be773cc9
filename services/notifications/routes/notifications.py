"""`/api/v1/notifications`: have people told, ask what became of it, have it sent again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from libs.auth.errors import NotAllowed
from libs.auth.guards import require_permission
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.notifications import (
    Channel,
    Identifier,
    Notification,
    NotificationAttempts,
    NotificationPage,
    NotificationRequest,
    NotificationStatus,
)
from libs.contracts.problem import Problem
from services.notifications.adapters.archive import Archive, Filters
from services.notifications.adapters.outbox import Outbox
from services.notifications.domain.notice import Caller
from services.notifications.steps.take import Desk

PATH = "/api/v1/notifications"

router = APIRouter(prefix=PATH, tags=["notifications"])

Sender = Annotated[Principal, Depends(require_permission(Permission.send_notifications))]
Viewer = Annotated[Principal, Depends(require_permission(Permission.view_alerts))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The same key and request get the same answer, another request under it 422. Without a key "
        "each request is a notification of its own; what it tells about an incident or episode is still told "
        "to nobody twice.",
    ),
]
Id = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Responses = dict[int | str, dict[str, Any]]


def _problems(**said: str) -> Responses:
    return {int(code[1:]): {"model": Problem, "description": text} for code, text in said.items()}


_UNKNOWN = _problems(_404="No such notification")
_UNAVAILABLE = _problems(_503="The database does not serve now; ask again")


async def reader(principal: Viewer) -> Principal:
    """Who may read what people were told: those who may see every namespace.

    A message speaks of whatever its incident touched; whose right ends at some namespaces is not shown it,
    whatever else they may do.
    """
    if not principal.may_read(None):
        raise NotAllowed("namespaces `*`")
    return principal


Reader = Annotated[Principal, Depends(reader)]


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.ports.desk
    return desk


async def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.ports.archive
    return archive


async def _outbox(request: Request) -> Outbox:
    outbox: Outbox = request.app.state.ports.outbox
    return outbox


AtDesk = Annotated[Desk, Depends(_desk)]
InArchive = Annotated[Archive, Depends(_archive)]
InOutbox = Annotated[Outbox, Depends(_outbox)]


@router.post(
    "",
    status_code=202,
    response_model=Notification,
    responses=_problems(_422="Invalid input, or an Idempotency-Key used for another request") | _UNAVAILABLE,
)
async def send(request: NotificationRequest, caller: Sender, desk: AtDesk, key: Key = None) -> Response:
    """Have people told; answered once it is committed, one delivery per channel and recipient."""
    accepted = await desk.take(request, Caller(caller.tenant, caller.name, key))
    headers = {"Location": f"{PATH}/{accepted.id}"}
    return Response(accepted.answer, 202, headers, "application/json")


@router.get("", responses=_UNAVAILABLE)
async def list_notifications(
    caller: Reader,
    archive: InArchive,
    status: NotificationStatus | None = None,
    channel: Channel | None = None,
    incident_id: Annotated[Identifier | None, Query()] = None,
    episode_id: Annotated[Identifier | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> NotificationPage:
    """Notifications of the caller's tenant, newest first."""
    filters = Filters(status, channel, incident_id, episode_id)
    return await archive.page(caller.tenant, filters, cursor=cursor, limit=limit)


@router.get("/{notification_id}", responses=_UNKNOWN | _UNAVAILABLE)
async def get(notification_id: Id, caller: Reader, archive: InArchive) -> Notification:
    """One notification and how far each delivery is."""
    return await archive.get(notification_id, tenant=caller.tenant)


@router.get("/{notification_id}/attempts", responses=_UNKNOWN | _UNAVAILABLE)
async def attempts(notification_id: Id, caller: Reader, archive: InArchive) -> NotificationAttempts:
    """Every call made for it: when, with what outcome, and at whose wish."""
    return await archive.attempts(notification_id, tenant=caller.tenant)


@router.post(
    "/{notification_id}/retry",
    status_code=202,
    responses=_UNKNOWN | _problems(_409="No delivery of it has failed or is in doubt") | _UNAVAILABLE,
)
async def resend(notification_id: Id, caller: Sender, _may_read: Reader, outbox: InOutbox) -> Notification:
    """Have every delivery that has failed or is in doubt sent again, with the full number of tries."""
    return await outbox.resend(notification_id, tenant=caller.tenant, by=caller.name)
