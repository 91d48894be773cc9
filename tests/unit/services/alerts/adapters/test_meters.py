"""What happens is counted under names that cannot grow."""

from datetime import UTC, datetime

import pytest

from libs.jobs import JobEnd
from libs.metrics import Metrics
from services.alerts.adapters.meters import Meters
from services.alerts.domain.episodes import Change, Episode, Event, State

pytestmark = pytest.mark.requirement("INT-BR-AP-025@3.2")

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def text(record):
    metrics = Metrics("alerts")
    record(Meters(metrics))
    return metrics.exposition().decode()


def change(event):
    episode = Episode("t", "f", NOW, False, None, NOW, NOW, "r", {}, {}, "")
    return Change(episode, State.firing, event, "why", is_new=True)


def test_alerts_are_counted_by_outcome_from_the_start():
    said = text(lambda meters: meters.received("accepted", 3))

    assert 'alerts_received_total{outcome="accepted"} 3.0' in said
    assert 'alerts_received_total{outcome="not-committed"} 0.0' in said


def test_commits_are_measured_in_requests_and_seconds():
    said = text(lambda meters: meters.committed(32, 0.004))

    assert "alerts_commit_requests_sum 32.0" in said
    assert 'alerts_commit_seconds_bucket{le="0.005"} 1.0' in said


def test_changes_are_counted_by_event():
    said = text(
        lambda meters: meters.changed([change(Event.fired), change(Event.fired), change(Event.history)])
    )

    assert 'alerts_episode_changes_total{event="fired"} 2.0' in said
    assert 'alerts_episode_changes_total{event="history"} 1.0' in said


def test_the_inbox_the_expired_and_the_jobs_are_counted():
    def record(meters):
        meters.inbox(7, 1)
        meters.expired(2)
        meters.job(JobEnd("tell", "retried", 0.2))
        meters.job(JobEnd("never heard of", "succeeded", 0.2))

    said = text(record)

    assert "alerts_inbox_rows 7.0" in said
    assert "alerts_inbox_set_aside_rows 1.0" in said
    assert "alerts_episodes_expired_total 2.0" in said
    assert 'alerts_jobs_total{outcome="retried",task="tell"} 1.0' in said
    assert 'alerts_jobs_total{outcome="succeeded",task="other"} 1.0' in said
