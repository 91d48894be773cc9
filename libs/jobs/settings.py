"""What an operator can set about background work. A mixin: services with a worker inherit it."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.base import Duration


class JobsSettings(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    worker_concurrency: int = Field(default=4, ge=1, le=100)
    """Jobs one worker process runs at once. They wait for other services most of the time; more of them
    than database connections (`DATABASE_POOL_SIZE`) would only queue for those."""

    worker_heartbeat: Duration = timedelta(seconds=2)
    """How often a worker says that it lives. One small update; a third of `WORKER_STALLED_AFTER`."""

    worker_stalled_after: Duration = timedelta(seconds=6)
    """A worker silent for longer is taken for dead and its jobs are given to others. Three heartbeats, so
    that one late beat on a busy machine does not run a job twice."""

    worker_poll: Duration = timedelta(milliseconds=500)
    """How often the queue is looked at without having been notified. New jobs are notified at once; only
    those that fall due (retries, polls) wait for this. One indexed query of about 0.3 ms."""

    worker_graceful_stop: Duration = timedelta(seconds=10)
    """How long running jobs may finish after a stop; then they are cancelled and put back at once. Below
    the 25 s that a shutdown as a whole is given."""

    worker_keep_failed: Duration = timedelta(days=7)
    """How long a job that has failed for good stays readable before it is removed. A week, so that
    Monday's person on call still finds Friday's."""
