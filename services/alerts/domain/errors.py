"""What can go wrong here, as facts. HTTP's view of them is `routes/problems.py`.

AlertsError
├── Malformed          the body is not JSON
├── Unreadable         it is, but not a webhook body; names the field
├── AllRefused         every alert of the batch was refused
├── NotCommitted       the inbox could not take it now
├── UnknownEpisode     no such episode for this caller
├── UnknownIncident    no such incident for this caller
└── BadCursor          a page's cursor that we did not write
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


class AlertsError(Exception):
    """The root of this service's errors."""


class Malformed(AlertsError):
    """The body is not JSON."""


class Unreadable(AlertsError):
    """The body is JSON, but not what Alertmanager sends."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class AllRefused(AlertsError):
    """Nothing of the batch could be taken, so nothing was stored."""

    def __init__(self, refusals: Sequence[tuple[str, str]]) -> None:
        super().__init__(f"all {len(refusals)} alerts were refused")
        self.refusals = refusals
        """Field and reason of each, in the sender's order."""


class NotCommitted(AlertsError):
    """Nothing was acknowledged: the inbox is full, or PostgreSQL did not commit in time. Send it again."""

    def __init__(self, reason: str, *, retry_after: timedelta) -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, retry_after


class UnknownEpisode(AlertsError):
    """No such episode, or not one this caller may see; the answer does not tell which."""


class UnknownIncident(AlertsError):
    """No such incident, or not one this caller may see."""


class BadCursor(AlertsError):
    """The cursor was not written by this service."""
