from __future__ import annotations

import pytest

from libs.jobs import JobEnd, count_ends
from libs.metrics import Metrics

pytestmark = pytest.mark.requirement("INF-BR-REL-012")


def test_ends_are_counted_by_task_and_outcome():
    metrics = Metrics("alerts")
    observe = count_ends(metrics, ["drain"])

    observe(JobEnd("drain", "succeeded", 0.02))
    observe(JobEnd("drain", "retried", 0.5))
    observe(JobEnd("unheard of", "failed", 1.0))

    scrape = metrics.exposition().decode()
    assert 'kubernaut_job_ends_total{outcome="succeeded",task="drain"} 1.0' in scrape
    assert 'kubernaut_job_ends_total{outcome="retried",task="drain"} 1.0' in scrape
    assert 'kubernaut_job_ends_total{outcome="failed",task="other"} 1.0' in scrape
    assert 'kubernaut_job_duration_seconds_count{task="drain"} 2.0' in scrape


def test_a_rescue_says_nothing_about_how_long_the_run_took():
    metrics = Metrics("alerts")

    count_ends(metrics, ["drain"])(JobEnd("drain", "rescued", 0.0))

    assert 'kubernaut_job_duration_seconds_count{task="drain"}' not in metrics.exposition().decode()
