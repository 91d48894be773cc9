"""What time it is on the API server, from the `Date` of its answers.

Evidence is judged by the server's clock, and between two answers it goes on. `Date` has whole seconds, so one answer
tells the time within a second, and many within the shortest way there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DRIFT = 0.0005
"""Seconds a second by which two clocks may part: quartz is off by a tenth of that."""


@dataclass(frozen=True, slots=True)
class ServerClock:
    """Seconds to add to our monotonic clock to be at or just after the server's time since 1970; None: not known."""

    ahead: float | None = None
    at: float = 0.0

    def told(self, date: datetime, sent: float, received: float) -> ServerClock:
        """The clock after an answer whose request went out at `sent`.

        The server wrote `date` after that and before `received`, up to a second after the full one.
        """
        earliest, latest = date.timestamp() - received, date.timestamp() + 1 - sent
        known = None if self.ahead is None else self.ahead + DRIFT * max(0.0, received - self.at)
        # Below what can be, the server's clock was set; above it, this answer knows better.
        if known is None or known < earliest or latest < known:
            return ServerClock(latest, received)
        return ServerClock(known, received)

    def now(self, monotonic: float) -> datetime | None:
        """Not before what the server has: nothing it told of happened later."""
        if self.ahead is None:
            return None
        seconds = self.ahead + DRIFT * max(0.0, monotonic - self.at) + monotonic
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
