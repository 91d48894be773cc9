"""`/api/v1/alerts` and `/api/v1/incidents`: what came in, what was decided about it, and why."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from libs.auth.guards import require_permission
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.alerts import (
    PRIORITY_WORDS,
    AlertEpisodeDetail,
    AlertPage,
    Environment,
    EpisodeState,
    IncidentSummary,
    Severity,
)
from libs.contracts.problem import Problem
from services.alerts.adapters.archive import Archive, Filters
from services.alerts.domain.paging import Cursor

router = APIRouter(prefix="/api/v1", tags=["alerts"])

Reader = Annotated[Principal, Depends(require_permission(Permission.view_alerts))]
Text = Annotated[str | None, Query(max_length=1024)]
Id = Annotated[str, Path(min_length=1, max_length=64)]

_LEVELS = {priority.value: priority.value for priority in PRIORITY_WORDS} | {
    word: priority.value for priority, word in PRIORITY_WORDS.items()
}
Level = Annotated[
    str | None,
    Query(pattern="^(P[0-3]|critical|high|medium|low)$", description="`P0` to `P3`, or their older words"),
]

_Responses = dict[int | str, dict[str, Any]]
_UNKNOWN: _Responses = {404: {"model": Problem, "description": "No such one, or none you may see"}}
_UNAVAILABLE: _Responses = {503: {"model": Problem, "description": "The database cannot serve this now"}}


async def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.ports.archive
    return archive


InArchive = Annotated[Archive, Depends(_archive)]


async def _filters(
    state: EpisodeState | None = None,
    severity: Severity | None = None,
    environment: Environment | None = None,
    priority: Level = None,
    alertname: Text = None,
    namespace: Text = None,
    fingerprint: Text = None,
    target: Annotated[
        str | None, Query(max_length=1024, description="`KIND/NAMESPACE/NAME` of the object or its owner")
    ] = None,
) -> Filters:
    return Filters(
        state=state,
        severity=severity,
        environment=environment,
        priority=_LEVELS[priority] if priority else None,
        alertname=alertname,
        namespace=namespace,
        fingerprint=fingerprint,
        target=target,
    )


@router.get("/alerts", responses=_UNAVAILABLE)
async def list_alerts(
    reader: Reader,
    archive: InArchive,
    filters: Annotated[Filters, Depends(_filters)],
    cursor: Annotated[
        str | None, Query(max_length=200, description="`next_cursor` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AlertPage:
    """Episodes you may see, newest first."""
    after = Cursor.read(cursor) if cursor else None
    return await archive.page(reader, filters, after=after, limit=limit)


@router.get("/alerts/{alert_id}", responses={**_UNKNOWN, **_UNAVAILABLE})
async def get_alert(alert_id: Id, reader: Reader, archive: InArchive) -> AlertEpisodeDetail:
    """One episode with its timeline, every decision about it, and its incident."""
    return await archive.episode(reader, alert_id)


@router.get("/incidents/{incident_id}", responses={**_UNKNOWN, **_UNAVAILABLE})
async def get_incident(incident_id: Id, reader: Reader, archive: InArchive) -> IncidentSummary:
    """One incident: what it is about, its cause as far as it is known, what was told."""
    return await archive.incident(reader, incident_id)
