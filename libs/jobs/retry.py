"""Decide whether and when a job that failed runs again. Pure; the clock is the queue's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

# A job that takes its worker down with it (out of memory) never fails, it is rescued; so rescues end too.
RESCUES = 5


@dataclass(frozen=True)
class Retry:
    """Waits grow by `factor` from `wait` up to `longest`, but where whoever failed a run says when to come back.

    Args:
        attempts: runs in all, 1 or more; None repeats for ever (for work that must not be given up).
    """

    attempts: int | None = 10
    wait: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    longest: timedelta = timedelta(minutes=5)

    def pause_after(self, failed: int, asked: timedelta | None = None) -> timedelta | None:
        """How long to wait when `failed` runs have failed (1 or more); None: give up.

        Args:
            asked: how long whoever failed the last run asks to be left alone; heeded up to `longest`. A breaker that
                opens again in four seconds is not worth a wait of ten; but where runs are counted, a short one would
                spend all of them on one outage, so there it only makes a wait longer.
        """
        if self.attempts is not None and failed >= self.attempts:
            return None
        # The exponent is bounded because 2.0 ** 1024 overflows, long after `longest` has been reached.
        seconds = self.wait.total_seconds() * self.factor ** min(failed - 1, 60)
        grown = timedelta(seconds=min(seconds, self.longest.total_seconds()))
        if asked is None:
            return grown
        return min(max(asked, self.wait if self.attempts is None else grown), self.longest)

    def worth_rescuing(self, runs: int) -> bool:
        """Whether a job whose worker died may run again when it has been started `runs` times already."""
        return self.attempts is None or runs < self.attempts + RESCUES
