"""Work that is done later, and survives every crash: rows in PostgreSQL, run by procrastinate.

What a job does is its service's business. Decided here: that a job appears if and only if the caller's
transaction commits, who runs it, and what becomes of it when its worker dies.
"""

from libs.jobs.errors import UnknownTask
from libs.jobs.jobs import JobEnd, Jobs, TaskFunction
from libs.jobs.metrics import count_ends
from libs.jobs.retry import Retry
from libs.jobs.run import JobRun, current_job
from libs.jobs.settings import JobsSettings

__all__ = [
    "JobEnd",
    "JobRun",
    "Jobs",
    "JobsSettings",
    "Retry",
    "TaskFunction",
    "UnknownTask",
    "count_ends",
    "current_job",
]
