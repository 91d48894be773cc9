"""The alerts service as a process that kills itself at named points, each once: `python -m tests.support.dying_alerts`.

DEATHS is a file with one line per point already died at, so that the process started next gets further:

    api:committed          the inbox has committed, nobody has been answered
    <task>:before          the worker is about to commit what a task did (its calls to peers were made)
    <task>:after           it has committed, and nobody knows that the job is done

Without DEATHS it is the service as it is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from libs.jobs import current_job
from services.alerts.adapters.meters import Meters
from services.alerts.adapters.record import Record, Work
from services.alerts.main import main


def die_once(point: str) -> None:
    deaths = Path(os.environ["DEATHS"])
    died = deaths.read_text().split() if deaths.exists() else []
    if point not in died:
        deaths.write_text("\n".join([*died, point]))
        os.kill(os.getpid(), signal.SIGKILL)


def task() -> str | None:
    try:
        return current_job().task
    except LookupError:
        return None


def arm() -> None:
    begin, committed = Record.begin, Meters.committed

    @asynccontextmanager
    async def dying(self: Record) -> AsyncIterator[Work]:
        running = task()
        async with begin(self) as work:
            yield work
            if running is not None and wrote(work):
                die_once(f"{running}:before")
        if running is not None and wrote(work):
            die_once(f"{running}:after")

    def dying_committed(self: Meters, rows: int, seconds: float) -> None:
        committed(self, rows, seconds)
        die_once("api:committed")

    Record.begin = dying  # type: ignore[method-assign]
    Meters.committed = dying_committed  # type: ignore[method-assign]


def wrote(work: Work) -> bool:
    """Whether this transaction did something worth dying for."""
    return bool(work._notes or work._jobs)


if __name__ == "__main__":
    if "DEATHS" in os.environ:
        arm()
    main()
