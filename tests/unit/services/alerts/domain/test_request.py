"""The question put to the investigation service is within its contract, whatever the labels hold."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.contracts.alerts import Priority
from libs.contracts.target import Target
from services.alerts.domain.request import compose
from services.alerts.domain.telling import EpisodeView

pytestmark = pytest.mark.requirement("INT-BR-AP-016")

START = datetime(2026, 11, 21, 5, tzinfo=UTC)


def episode(number, priority=Priority.p2, alertname="DiskFull"):
    return EpisodeView(
        id=f"e{number}",
        alertname=alertname,
        severity="page",
        state="firing",
        starts_at=START + timedelta(minutes=number),
        summary="",
        priority=priority,
        decisions=(),
    )


def asked(*episodes, namespace: str | None = "shop"):
    return compose(
        incident_id="inc1",
        target=Target(kind="Pod", namespace="shop", name="a"),
        episodes=episodes,
        labels={"pod": "a"},
        annotations={"summary": "full"},
        namespace=namespace,
    )


def test_the_leading_alert_is_asked_about_from_the_first_onset():
    request = asked(episode(1), episode(2, Priority.p0, "PodCrashLooping"))

    assert (request.alert_name, request.priority) == ("PodCrashLooping", "P0")
    assert request.starts_at == START + timedelta(minutes=1)
    assert [alert["id"] for alert in request.context["alerts"]] == ["e1", "e2"]
    assert request.target is not None


def test_names_longer_than_the_contract_are_cut_or_left_out():
    request = asked(episode(1, alertname="x" * 5_000), namespace="n" * 300)

    assert len(request.alert_name) == 1024
    assert request.namespace is None
