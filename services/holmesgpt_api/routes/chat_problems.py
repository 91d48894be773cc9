"""How chat's errors are told over HTTP, in a stream and on a WebSocket."""

from __future__ import annotations

from datetime import timedelta

from libs.web import Problems, ProblemSpec
from libs.web.problems import render
from services.holmesgpt_api.domain.chat.errors import (
    EvidenceAway,
    NothingKnown,
    OtherInvestigation,
    StillAnswering,
    TooManyQuestions,
    TooManySessions,
    TooManySockets,
    UnknownSession,
)
from services.holmesgpt_api.routes import problems

SOON = timedelta(seconds=2)


def _pause(error: Exception) -> timedelta | None:
    return (error.retry_after or SOON) if isinstance(error, EvidenceAway) else SOON


PROBLEMS: Problems = {
    UnknownSession: ProblemSpec(
        404,
        "unknown-session",
        detail=lambda _: (
            "no such session, or it has ended, or it is not yours; leave session_id out for a new one"
        ),
    ),
    StillAnswering: ProblemSpec(
        409,
        "still-answering",
        retry_after=_pause,
        detail=lambda _: "the question before is not answered yet; ask again then, or in another session",
    ),
    OtherInvestigation: ProblemSpec(
        409,
        "other-investigation",
        detail=lambda _: "the session is about another investigation; leave session_id out for a new one",
    ),
    TooManyQuestions: ProblemSpec(429, "too-many-questions", retry_after=_pause),
    TooManySockets: ProblemSpec(429, "too-many-sockets", retry_after=lambda _: timedelta(minutes=1)),
    TooManySessions: ProblemSpec(429, "too-many-sessions", retry_after=lambda _: timedelta(minutes=1)),
    NothingKnown: ProblemSpec(503, "no-model", "Nobody can answer this"),
    EvidenceAway: ProblemSpec(503, "context-unavailable", "Nothing to answer from", retry_after=_pause),
}


def document(error: Exception, instance: str | None = None) -> bytes:
    """The problem document of an error that comes when the status has been sent already."""
    known = {**problems.PROBLEMS, **PROBLEMS}
    spec = next(spec for type_, spec in known.items() if isinstance(error, type_))
    detail = spec.detail(error) if spec.detail else str(error)
    return render(spec.status, spec.code, title=spec.title, detail=detail, instance=instance)
