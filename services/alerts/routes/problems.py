"""HTTP's view of this service's errors, for FastAPI's routes and for the fast ones."""

from __future__ import annotations

import math

from libs.contracts.problem import FieldError
from libs.storage import StorageUnavailable
from libs.web import FastResponse, Problems, ProblemSpec
from libs.web.problems import MAX_ERRORS, MEDIA_TYPE, render
from services.alerts.domain.errors import (
    AlertsError,
    AllRefused,
    BadCursor,
    Malformed,
    NotCommitted,
    UnknownEpisode,
    UnknownIncident,
    Unreadable,
)

_BUSY = "nothing was acknowledged; send it again"
_NO_EPISODE = "there is no such alert, or none you may see; GET /api/v1/alerts lists those you may"
_NO_INCIDENT = "there is no such incident, or none you may see"

PROBLEMS: Problems = {
    Malformed: ProblemSpec(400, "malformed-json", title="Malformed JSON"),
    Unreadable: ProblemSpec(422, "invalid-input", title="Invalid input"),
    AllRefused: ProblemSpec(422, "invalid-input", title="Invalid input"),
    NotCommitted: ProblemSpec(
        503,
        "not-committed",
        retry_after=lambda error: error.retry_after if isinstance(error, NotCommitted) else None,
        detail=lambda error: f"{error}: {_BUSY}",
    ),
    UnknownEpisode: ProblemSpec(404, "unknown-alert", detail=lambda _: _NO_EPISODE),
    UnknownIncident: ProblemSpec(404, "unknown-incident", detail=lambda _: _NO_INCIDENT),
    BadCursor: ProblemSpec(
        422,
        "invalid-input",
        title="Invalid input",
        detail=lambda _: "query.cursor: not a cursor of ours; pass `next_cursor` of the page before, or none",
    ),
    StorageUnavailable: ProblemSpec(
        503,
        "storage-unavailable",
        retry_after=lambda error: error.retry_after if isinstance(error, StorageUnavailable) else None,
        detail=lambda _: "the database cannot serve this now; ask again",
    ),
}


def answer(error: AlertsError, path: str) -> FastResponse:
    """The problem document of an error on a fast route."""
    spec = PROBLEMS[type(error)]
    detail = spec.detail(error) if spec.detail else str(error)
    body = render(
        spec.status, spec.code, title=spec.title, detail=detail, instance=path, errors=fields(error)
    )
    return FastResponse(spec.status, body, MEDIA_TYPE.encode(), retry_after(error))


def fields(error: AlertsError) -> list[FieldError]:
    """Which inputs were wrong, and what would be right."""
    match error:
        case Unreadable():
            return [FieldError(field=error.field, reason=error.reason)]
        case AllRefused():
            return [FieldError(field=field, reason=reason) for field, reason in error.refusals[:MAX_ERRORS]]
        case _:
            return []


def retry_after(error: AlertsError) -> tuple[tuple[bytes, bytes], ...]:
    if not isinstance(error, NotCommitted):
        return ()
    return ((b"retry-after", str(max(1, math.ceil(error.retry_after.total_seconds()))).encode()),)
