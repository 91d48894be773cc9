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
    KeyReused,
    NamesNoObject,
    NoArchive,
    NoEvidence,
    NoLog,
    NoRecord,
    NotReadable,
    Outdated,
    RecordAway,
    TooLate,
    TooMuchFeedback,
    UnknownAlert,
    UnknownCluster,
    UnknownEvidence,
    UnknownObject,
    UnknownVersion,
)

_PAUSING = NoEvidence | Busy | TooLate | CannotKeep | NoArchive | RecordAway | TooMuchFeedback


def _pause(error: Exception) -> timedelta | None:
    return error.retry_after if isinstance(error, _PAUSING) else None


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
    NoRecord: ProblemSpec(503, "no-record", "Nothing is kept"),
    RecordAway: ProblemSpec(503, "record-away", "Nothing is known to be recorded", retry_after=_pause),
    TooMuchFeedback: ProblemSpec(429, "too-much-feedback", "Too much feedback", retry_after=_pause),
    KeyReused: ProblemSpec(422, "idempotency-key-reused", "Idempotency-Key used before"),
    UnknownVersion: ProblemSpec(422, "unknown-version", "No such version"),
    Outdated: ProblemSpec(409, "outdated", "Another version is in force"),
    BadSelector: ProblemSpec(422, "invalid-input", "Invalid input"),
    BadCursor: ProblemSpec(422, "invalid-input", "Invalid input"),
}
