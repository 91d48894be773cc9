"""The same news has the same key; different news has another."""

from datetime import UTC, datetime, timedelta

import pytest

from services.alerts.domain.identity import episode_id, idempotency_key
from services.alerts.domain.webhook import ReadAlert

pytestmark = pytest.mark.requirement("INT-BR-WH-008")

START = datetime(2026, 11, 21, 5, tzinfo=UTC)


def said(fingerprint="f1", status="firing", starts_at=START, ends_at=None, **others):
    return ReadAlert(
        status=status,
        labels=others.get("labels", {"a": "b"}),
        annotations=others.get("annotations", {}),
        starts_at=starts_at,
        ends_at=ends_at,
        generator_url="",
        fingerprint=fingerprint,
    )


def key(*alerts, tenant="t", receiver="r", group="g"):
    return idempotency_key(tenant, receiver, group, alerts)


def test_the_key_has_32_bytes_and_does_not_depend_on_the_order_of_alerts():
    assert len(key(said("f1"), said("f2"))) == 32
    assert key(said("f1"), said("f2")) == key(said("f2"), said("f1"))


def test_a_repeat_with_other_annotations_has_the_same_key():
    assert key(said(annotations={"value": "80%"})) == key(said(annotations={"value": "90%"}))


def test_a_moving_end_of_a_firing_alert_does_not_count():
    assert key(said(ends_at=START)) == key(said(ends_at=START + timedelta(minutes=5)))


@pytest.mark.parametrize(
    "other",
    [
        key(said("f2")),
        key(said(status="resolved")),
        key(said(status="resolved", ends_at=START + timedelta(minutes=1))),
        key(said(starts_at=START + timedelta(microseconds=1))),
        key(said(), said("f2")),
        key(said(), tenant="t2"),
        key(said(), receiver="r2"),
        key(said(), group="g2"),
        key(said(), tenant="tr", receiver=""),
        key(),
    ],
)
def test_everything_that_is_news_changes_the_key(other):
    assert other != key(said())


def test_the_end_of_a_resolved_alert_counts():
    one, other = (said(status="resolved", ends_at=START + timedelta(minutes=n)) for n in (1, 2))

    assert key(one) != key(other)


def test_an_episode_has_one_id_per_tenant_alert_and_start():
    ids = {
        episode_id("t", "f", START),
        episode_id("t2", "f", START),
        episode_id("t", "f2", START),
        episode_id("t", "f", START + timedelta(microseconds=1)),
    }

    assert len(ids) == 4
    assert episode_id("t", "f", START) in ids
    assert all(len(one) == 32 for one in ids)
