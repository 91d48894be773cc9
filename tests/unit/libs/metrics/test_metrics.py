"""Labels stay closed, series stay bounded, and the scrape reads as Prometheus expects."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from libs.metrics import Metrics

pytestmark = pytest.mark.requirement("INF-BR-MET-003", "INF-BR-MET-004", "INF-BR-MET-011")


def samples(metrics: Metrics) -> dict[tuple[str, frozenset], float]:
    text = metrics.exposition().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, frozenset(labels.items())))


def test_a_bound_counter_counts_under_its_labels():
    metrics = Metrics("alerts")
    accepted = metrics.counter("taken_total", "Taken.", {"outcome": ("accepted", "refused")}).bind(
        outcome="accepted"
    )

    accepted(1)
    accepted(2)

    assert value(metrics, "taken_total", outcome="accepted") == 3


def test_a_value_nobody_declared_is_counted_as_other():
    metrics = Metrics("alerts")
    taken = metrics.counter("taken_total", "Taken.", {"outcome": ("accepted",)})

    taken.inc(outcome="'; drop table")
    taken.inc()

    assert value(metrics, "taken_total", outcome="other") == 2
    assert "drop table" not in metrics.exposition().decode()


def test_values_that_come_to_be_known_later_can_be_declared_then():
    metrics = Metrics("alerts")
    taken = metrics.counter("taken_total", "Taken.", {"model": ("a",)})

    taken.inc(model="b")
    taken.declare(model=["b"])
    taken.inc(model="b")

    assert value(metrics, "taken_total", model="other") == 1
    assert value(metrics, "taken_total", model="b") == 1


def test_a_million_values_make_no_more_series_than_declared():
    metrics = Metrics("alerts")
    taken = metrics.counter("taken_total", "Taken.", {"alertname": ("a", "b")})

    for number in range(10_000):
        taken.inc(alertname=str(number))

    assert sum(name == "taken_total" for name, _ in samples(metrics)) == 1


def test_series_above_the_cap_are_counted_as_other_and_the_refusal_shows():
    metrics = Metrics("alerts", max_series=2)
    taken = metrics.counter("taken_total", "Taken.", {"route": ("a", "b", "c", "d")})

    for route in "abcd":
        taken.inc(route=route)
        taken.inc(route=route)

    assert value(metrics, "taken_total", route="other") == 4
    assert sum(value for (name, _), value in samples(metrics).items() if name == "taken_total") == 8
    assert value(metrics, "kubernaut_metrics_series_refused") == 2


def test_a_histogram_counts_into_its_buckets():
    metrics = Metrics("alerts")
    took = metrics.histogram("took_seconds", "Took.", {"step": ("read",)}, buckets=(0.1, 1.0))

    took.bind(step="read")(0.5)
    took.observe(0.05, step="read")

    assert value(metrics, "took_seconds_bucket", step="read", le="0.1") == 1
    assert value(metrics, "took_seconds_bucket", step="read", le="1.0") == 2
    assert value(metrics, "took_seconds_sum", step="read") == pytest.approx(0.55)


def test_a_gauge_shows_its_last_value():
    metrics = Metrics("alerts")
    waiting = metrics.gauge("waiting_rows", "Waiting.")

    waiting.set(3)
    waiting.bind()(2)

    assert value(metrics, "waiting_rows") == 2


def test_the_same_name_is_the_same_metric():
    metrics = Metrics("alerts")

    metrics.counter("taken_total", "Taken.").inc()
    metrics.counter("taken_total", "Taken.").inc()

    assert value(metrics, "taken_total") == 2


def test_a_name_keeps_its_kind():
    metrics = Metrics("alerts")
    metrics.counter("taken_total", "Taken.")

    with pytest.raises(TypeError, match="taken_total is a counter already"):
        metrics.gauge("taken_total", "Taken.")


def test_two_services_in_one_process_do_not_share_a_registry():
    one, other = Metrics("one"), Metrics("other")

    one.counter("taken_total", "Taken.").inc()

    assert value(other, "taken_total") is None
    assert value(other, "kubernaut_service_info", service="other") == 1


def test_a_family_is_described_once_and_has_no_creation_times():
    metrics = Metrics("alerts")
    metrics.counter("taken_total", "Alerts taken.", {"outcome": ("a", "b")}).inc(outcome="a")

    text = metrics.exposition().decode()

    assert text.count("# HELP taken_total Alerts taken.") == 1
    assert text.count("# TYPE taken_total counter") == 1
    assert "_created" not in text
