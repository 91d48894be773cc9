"""How long things may take: a synchronous answer, one run, a whole investigation. Pure."""

from __future__ import annotations

from datetime import timedelta

ANSWER_MARGIN = timedelta(milliseconds=500)
"""Kept back of a caller's deadline for writing and carrying the answer."""


def sync_wait(longest: timedelta, caller_has: timedelta | None) -> timedelta:
    """How long a synchronous caller is kept waiting.

    Args:
        longest: `sync_answer_timeout`.
        caller_has: what its X-Request-Deadline leaves; None when it sent none.
    """
    if caller_has is None:
        return longest
    return max(min(longest, caller_has - ANSWER_MARGIN), timedelta(0))
