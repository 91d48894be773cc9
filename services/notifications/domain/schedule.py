"""Decide when a delivery that failed is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

LONGEST_ASKED = timedelta(hours=1)
"""A channel that asks for a longer pause is asked again after this; nobody means a year."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Pauses double from `first` up to `longest`; after `attempts` tries it is given up.

    Attributes:
        jitter: share by which a pause may be longer, so that what failed together does not return together.
    """

    attempts: int = 5
    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(seconds=480)
    jitter: float = 0.1

    def pause_after(
        self, tried: int, *, asked: timedelta | None = None, luck: float = 0.0
    ) -> timedelta | None:
        """How long to wait after this many tries (1 or more); None: give up.

        Args:
            asked: the pause the channel asks for; never undercut.
            luck: from 0 to 1; decides the share of the jitter.
        """
        if tried >= self.attempts:
            return None
        # Doubled in seconds and bounded: a timedelta overflows at 2 ** 47 s, a float at 2 ** 1024.
        doubled = self.first.total_seconds() * 2.0 ** min(tried - 1, 100)
        own = timedelta(seconds=min(doubled, self.longest.total_seconds())) * (1 + self.jitter * luck)
        return max(own, min(asked, LONGEST_ASKED)) if asked else own
