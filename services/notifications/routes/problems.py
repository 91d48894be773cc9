"""How this service's errors are told over HTTP."""

from __future__ import annotations

from datetime import timedelta

from libs.storage import StorageUnavailable
from libs.web.info import Problems, ProblemSpec
from services.notifications.domain.errors import (
    InvalidRequest,
    KeyReused,
    NoSuchNotification,
    NothingToResend,
)


def _pause(error: Exception) -> timedelta | None:
    return error.retry_after if isinstance(error, StorageUnavailable) else None


PROBLEMS: Problems = {
    InvalidRequest: ProblemSpec(422, "invalid-input", "Invalid input"),
    KeyReused: ProblemSpec(422, "idempotency-key-reused", "Idempotency-Key used before"),
    NoSuchNotification: ProblemSpec(404, "unknown-notification"),
    NothingToResend: ProblemSpec(409, "nothing-to-resend"),
    StorageUnavailable: ProblemSpec(
        503,
        "storage-unavailable",
        "Nothing is known to be recorded",
        retry_after=_pause,
        detail=lambda _: (
            "the database does not serve now; send the request again under the same Idempotency-Key"
        ),
    ),
}
