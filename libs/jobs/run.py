"""Let a running job know which run it is, without every task carrying a context argument."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class JobRun:
    id: int
    task: str
    run: int
    """1 for the first run. Rescues count, so a number may be skipped by the task's own reckoning."""
    last: bool
    """True when a failure of this run is final: the place to record that the work was given up."""


CURRENT: ContextVar[JobRun] = ContextVar("kubernaut_job_run")


def current_job() -> JobRun:
    """The run this code is part of. Raises `LookupError` outside of a job."""
    return CURRENT.get()
