"""Which Prometheus queries are asked on a live cluster: those whose answers the analyzers can read.

Pure. Each query asks only for what is near a limit or has happened, so that a healthy cluster of any size
answers with little. Readers: `analyzers.saturation`, `analyzers.volume_full`, and every finding's evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

LOOK_BACK = timedelta(minutes=45)
STEP = timedelta(seconds=30)
"""Of range queries: 91 points a series; half of what Prometheus usually scrapes."""

NEAR = 0.9
"""Share of a limit from which a series is asked for; the analyzers judge from 0.95."""

THROTTLED = 0.25
"""As `analyzers.saturation` judges, and Kubernetes' own alert."""


@dataclass(frozen=True, slots=True)
class MetricQuestion:
    """`name` is fit for a file's."""

    name: str
    query: str
    kind: str
    """`instant` or `range`."""


def metric_questions(namespaces: Sequence[str] = ()) -> Sequence[MetricQuestion]:
    """The questions, about all namespaces or these. Names of namespaces are DNS labels: no sign steers a query."""
    own = f'namespace=~"{"|".join(namespaces)}"' if namespaces else 'namespace!=""'
    real = f'{own},container!="",container!="POD"'
    by = "sum by (namespace, pod, container)"
    memory, memory_limit = "container_memory_working_set_bytes", "container_spec_memory_limit_bytes"
    cpu = f"{by} (rate(container_cpu_usage_seconds_total{{{real}}}[5m]))"
    cores = f"{by} (container_spec_cpu_quota{{{real}}} / container_spec_cpu_period{{{real}}})"
    throttled = f"{by} (increase(container_cpu_cfs_throttled_periods_total{{{real}}}[5m]))"
    periods = f"{by} (increase(container_cpu_cfs_periods_total{{{real}}}[5m]))"
    restarts = f"kube_pod_container_status_restarts_total{{{own}}}"
    pools = "|".join(("active", "used", "in_use", "current", "busy", "open", "max", "limit", "size"))
    return (
        MetricQuestion(
            "volumes-used",
            f"kubelet_volume_stats_used_bytes{{{own}}} / kubelet_volume_stats_capacity_bytes{{{own}}} > 0.5",
            "range",
        ),
        MetricQuestion("cpu-throttled", f"{throttled} / {periods} >= {THROTTLED}", "instant"),
        MetricQuestion(
            "memory-near-limit",
            f"{memory}{{{real}}} and ({memory}{{{real}}} / ({memory_limit}{{{real}}} > 0) >= {NEAR})",
            "instant",
        ),
        MetricQuestion("cpu-near-limit", f"{cpu} and ({cpu} / ({cores} > 0) >= {NEAR})", "instant"),
        MetricQuestion("restarts", f"{restarts} and (increase({restarts}[1h]) > 0)", "range"),
        MetricQuestion(
            "pools", f'{{__name__=~".+_(connections?|pool)_.*({pools})",{own},pod!=""}}', "instant"
        ),
    )
