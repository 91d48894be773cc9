"""How this service's errors are told over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from libs.storage import StorageUnavailable
from libs.web import Problems, ProblemSpec
from services.holmesgpt_api.adapters.config_file import BadConfiguration
from services.holmesgpt_api.domain.answer import PATH
from services.holmesgpt_api.domain.errors import (
    AlreadyEnded,
    BadCursor,
    Failed,
    KeyReused,
    NothingToReplay,
    NotReadable,
    NotYours,
    StillRunning,
    StreamsFull,
    TooManyInvestigations,
    TooManyStreams,
    UnknownHere,
    UnknownInvestigation,
)
from services.holmesgpt_api.domain.toolsets import UnknownToolset


def _pause(error: Exception) -> timedelta | None:
    return error.retry_after if isinstance(error, StorageUnavailable) else None


def _where(error: Exception) -> Mapping[str, str]:
    return {"Location": f"{PATH}/{error.investigation_id}"} if isinstance(error, Failed) else {}


SOME_END = timedelta(seconds=5)
"""Investigations, and with them their streams, end within minutes; of many some do every few seconds."""

PROBLEMS: Problems = {
    UnknownInvestigation: ProblemSpec(
        404, "unknown-investigation", detail=lambda _: "no such investigation, or not one you may see"
    ),
    NotReadable: ProblemSpec(
        403, "namespace-not-readable", detail=lambda error: f"this caller may not read {error}"
    ),
    KeyReused: ProblemSpec(422, "idempotency-key-reused", "Idempotency-Key used before"),
    NotYours: ProblemSpec(403, "not-yours"),
    AlreadyEnded: ProblemSpec(409, "investigation-ended"),
    StillRunning: ProblemSpec(409, "investigation-not-ended"),
    NothingToReplay: ProblemSpec(409, "nothing-to-replay"),
    UnknownHere: ProblemSpec(422, "unknown-here"),
    TooManyInvestigations: ProblemSpec(
        429, "too-many-investigations", "Too many at once", retry_after=lambda _: SOME_END
    ),
    TooManyStreams: ProblemSpec(
        429, "too-many-streams", "Too many event streams", retry_after=lambda _: SOME_END
    ),
    StreamsFull: ProblemSpec(503, "streams-full", "Too many event streams", retry_after=lambda _: SOME_END),
    UnknownToolset: ProblemSpec(422, "unknown-toolset", detail=lambda error: f"body.toolsets: {error}"),
    BadConfiguration: ProblemSpec(
        422,
        "configuration-refused",
        "Nothing was changed",
        detail=lambda error: f"{error}; the configuration of before stays",
    ),
    BadCursor: ProblemSpec(
        422, "bad-cursor", detail=lambda _: "query.cursor: take it from next_cursor of the page before"
    ),
    Failed: ProblemSpec(
        503,
        "investigation-failed",
        "No result",
        headers=_where,
        detail=lambda error: (
            f"{error.investigation_id} failed ({error.code}): {error.error}"
            if isinstance(error, Failed)
            else ""
        ),
    ),
    StorageUnavailable: ProblemSpec(
        503,
        "storage-unavailable",
        "Nothing was recorded",
        retry_after=_pause,
        detail=lambda _: "the database does not serve now; send the request again",
    ),
}
