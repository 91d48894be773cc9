"""What follows the death of a process: how it is worded, how long to wait, when to give up.

Pure; starting and watching are supervisor.py's.
"""

from __future__ import annotations

import signal

RESTART_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pause before the n-th restart in a row; the last one repeats."""

SETTLED_S = 30.0
"""A process that ran this long has recovered: its count of deaths in a row starts anew."""

START_TRIES = 3
"""How often a process may die before the stack was ready once. More is a fault that restarts do not mend."""


class Deaths:
    """How often one process died in a row, and what follows from it."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def pause_after(self, lived_s: float, *, ready: bool) -> float | None:
        """Seconds until the next start; None: give up.

        Args:
            lived_s: how long the process ran.
            ready: whether the whole stack has been ready once.
        """
        self._in_a_row = 0 if lived_s > SETTLED_S else self._in_a_row + 1
        if not ready and self._in_a_row >= START_TRIES:
            return None
        return RESTART_PAUSES_S[min(max(self._in_a_row, 1), len(RESTART_PAUSES_S)) - 1]


def wording(code: int) -> str:
    """A return code as `subprocess` gives it, in words; negative means a signal."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:  # real-time signals have numbers only
        return f"was ended by signal {-code}"
