"""How this service's errors are told over HTTP."""

from __future__ import annotations

from datetime import timedelta

from libs.web.info import Problems, ProblemSpec
from services.context_api.domain.errors import (
    BadCursor,
    BadSelector,
    Busy,
    CannotKeep,
    IncidentTooLarge,
    NamesNoObject,
    NoArchive,
    NoEvidence,
    NoLog,
    NotReadable,
    TooLate,
    UnknownAlert,
    UnknownCluster,
    UnknownEvidence,
    UnknownObject,
)


def _pause(error: Exception) -> timedelta | None:
    return (
        error.retry_after if isinstance(error, NoEvidence | Busy | TooLate | CannotKeep | NoArchive) else None
    )


PROBLEMS: Problems = {
    NoEvidence: ProblemSpec(503, "no-evidence", "No evidence", retry_after=_pause),
    Busy: ProblemSpec(503, "busy", "Too many questions", retry_after=_pause),
    TooLate: ProblemSpec(503, "not-in-time", "Not answered in time", retry_after=_pause),
    NoArchive: ProblemSpec(503, "no-archive", "No archive", retry_after=_pause),
    UnknownAlert: ProblemSpec(404, "unknown-alert", "Unknown alert"),
    UnknownObject: ProblemSpec(404, "unknown-object", "Unknown object"),
    UnknownCluster: ProblemSpec(404, "unknown-cluster", "Unknown cluster"),
    UnknownEvidence: ProblemSpec(404, "unknown-evidence", "Unknown evidence"),
    NoLog: ProblemSpec(404, "no-log", "No log"),
    NotReadable: ProblemSpec(403, "namespace-not-readable", "Namespace not readable"),
    CannotKeep: ProblemSpec(503, "cannot-keep", "The recording cannot be made now", retry_after=_pause),
    IncidentTooLarge: ProblemSpec(422, "too-large", "More than is sent in one answer"),
    NamesNoObject: ProblemSpec(422, "names-no-object", "The alert names no object"),
    BadSelector: ProblemSpec(422, "invalid-input", "Invalid input"),
    BadCursor: ProblemSpec(422, "invalid-input", "Invalid input"),
}
