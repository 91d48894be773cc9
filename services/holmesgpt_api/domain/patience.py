"""How long things may take: a synchronous answer, one run, a whole investigation. Pure but for the clock, which is given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

ANSWER_MARGIN = timedelta(milliseconds=500)
"""Kept back of a caller's deadline for writing and carrying the answer."""

LAST_LOOK = timedelta(seconds=1)
"""Kept back of a wait for reading how things stand when it is over. A look takes milliseconds; a second lets it stand
behind a burst of others. Of short waits it is a quarter."""

Clock = Callable[[], float]
"""Seconds; only differences count."""

NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class Deadline:
    """By when a caller must have its answer. Taken once, when the request comes in: whatever is done for the answer,
    one thing after the other, takes from the same time.
    """

    ends: float
    """As `now` counts: who waited has left."""
    told_by: float
    """What is told must be known by then; the same, or earlier where the answer must still be carried in that time."""
    now: Clock = time.monotonic

    @property
    def left(self) -> timedelta:
        """For what an answer cannot do without: that the request is recorded."""
        return self._until(self.ends)

    @property
    def to_tell(self) -> timedelta:
        """For what is told, looks at the database included."""
        return self._until(self.told_by)

    @property
    def to_wait(self) -> timedelta:
        """For what others do; then there is time for one more look."""
        whole = self.to_tell
        return whole - min(LAST_LOOK, whole / 4)

    def _until(self, moment: float) -> timedelta:
        return timedelta(seconds=max(moment - self.now(), 0.0))


def answer_by(
    longest: timedelta,
    caller_has: timedelta | None,
    *,
    spent: timedelta = NOTHING,
    now: Clock = time.monotonic,
) -> Deadline:
    """When a synchronous answer must be there.

    Args:
        longest: `sync_answer_timeout`, of the whole call.
        caller_has: what its X-Request-Deadline leaves now; None when it sent none.
        spent: since the request came in.
    """
    ours = longest - spent
    ends = ours if caller_has is None else min(ours, caller_has)
    told_by = ours if caller_has is None else min(ours, caller_has - ANSWER_MARGIN)
    at = now()
    return Deadline(at + ends.total_seconds(), at + told_by.total_seconds(), now)
