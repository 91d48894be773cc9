"""Count how jobs end."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import get_args

from libs.jobs.jobs import JobEnd, Outcome
from libs.metrics import Metrics


def count_ends(metrics: Metrics, tasks: Collection[str]) -> Callable[[JobEnd], None]:
    """What to give `Jobs(observe=…)`.

    Args:
        tasks: names the label may take; others are counted as `other`.
    """
    total = metrics.counter(
        "kubernaut_job_ends_total",
        "Runs of jobs by how they ended.",
        {"task": tasks, "outcome": get_args(Outcome)},
    )
    duration = metrics.histogram(
        "kubernaut_job_duration_seconds", "Time one run of a job took.", {"task": tasks}
    )

    def observe(end: JobEnd) -> None:
        total.inc(task=end.task, outcome=end.outcome)
        if end.outcome not in ("rescued", "abandoned"):  # nobody knows how long those took
            duration.observe(end.seconds, task=end.task)

    return observe
