"""What can go wrong with a live cluster.

LiveError
├── NoAccess       the way to the cluster is not there or not usable: somebody has to change something
├── NotAnswering   the cluster, or all of it that matters, does not answer now
└── ApiFailure     one call: it is named in the snapshot, and the others go on
    └── HeldBack   it was not made: its source is left alone for a while
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum


class Why(StrEnum):
    """The kinds of failure callers tell apart."""

    unauthorized = "unauthorized"
    forbidden = "forbidden"
    missing = "missing"
    """404, 405, 406: this server does not have it, or not in this shape."""
    expired = "expired"
    """410: the list changed too much since its first page."""
    refused = "refused"
    """Another 4xx: the request itself is the problem."""
    overloaded = "overloaded"
    """429, or 503 with a time to come back."""
    broken = "broken"
    """5xx, or an answer that cannot be read."""
    slow = "slow"
    unreachable = "unreachable"
    large = "large"
    silent = "silent"
    """A watch that says nothing, not even that nothing happens."""
    garbled = "garbled"
    """A watch whose words cannot be read."""
    error_event = "error_event"
    """A watch that ends by saying that it failed, and not because its version is too old."""
    went_back = "went_back"
    """It speaks of an older state than the one it told before."""


class LiveError(Exception):
    """Base of what reading a live cluster raises."""


class NoAccess(LiveError):
    """No kubeconfig, an unusable one, or no service account; the text says what to set."""


class NotAnswering(LiveError):
    """There is no snapshot now. The text says what the cluster answered last."""


class ApiFailure(LiveError):
    """One call did not bring what it was for. The reason quotes no credential and no object's content."""

    def __init__(self, why: Why, reason: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.why = why
        self.reason = reason
        self.retry_after = retry_after


class HeldBack(ApiFailure):
    """A call was not made, because its source has failed again and again."""

    def __init__(self, retry_after: timedelta) -> None:
        seconds = max(1.0, retry_after.total_seconds())
        super().__init__(
            Why.overloaded,
            f"not asked for another {seconds:.0f} s, as it failed again and again",
            retry_after=retry_after,
        )
