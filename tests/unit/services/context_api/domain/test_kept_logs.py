from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.domain.kept_logs import LOOK_BACK, MARGIN, MOST_GONE, gone_pods, kept_logs
from services.context_api.domain.wanted_logs import LogReason, WantedLog
from tests.support import kube
from tests.support.kube import NOW, moment

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")


def wanted(*, previous: bool = False, pod: str = "api-0") -> WantedLog:
    return WantedLog("shop", pod, "app", previous, "n1", LogReason.ends)


def pods(*statuses: kube.Doc):
    return list(kube.snapshot(kube.pod("api-0", statuses=list(statuses))).objects)


def test_the_instance_before_the_restart_is_asked_for_by_the_time_it_lived():
    last = kube.ended(minutes=10, lived=20)

    (log,) = kept_logs([wanted(previous=True)], pods(kube.running(restarts=1, minutes=9, last=last)), NOW)

    assert (log.since, log.until) == (moment(30) - MARGIN, moment(10) + MARGIN)
    assert (log.previous, str(log)) == (True, "previous log of shop/api-0/app")


def test_the_instance_that_runs_is_asked_for_since_its_start_and_not_further_back_than_is_of_interest():
    (young,) = kept_logs([wanted()], pods(kube.running(minutes=9)), NOW)
    (old,) = kept_logs([wanted()], pods(kube.running(minutes=600)), NOW)

    assert (young.since, young.until) == (moment(9) - MARGIN, NOW)
    assert (old.since, old.until) == (NOW - LOOK_BACK, NOW)


def test_of_a_pod_nobody_knows_any_more_the_last_hour_is_asked_for():
    (log,) = kept_logs([wanted(pod="gone-1")], pods(kube.running()), NOW)

    assert (log.since, log.until) == (NOW - LOOK_BACK, NOW)


def test_a_stretch_never_ends_before_it_begins():
    status = kube.running(restarts=1, last={"startedAt": kube.ago(1), "finishedAt": kube.ago(50)})

    (log,) = kept_logs([wanted(previous=True)], pods(status), NOW)

    assert log.since < log.until <= NOW


def event(pod: str, minutes: float, kind: str = "Normal", namespace: str = "shop") -> kube.Doc:
    return kube.thing(
        "Event",
        f"{pod}.{minutes}",
        namespace,
        involvedObject={"kind": "Pod", "namespace": namespace, "name": pod},
        type=kind,
        reason="Killing",
        lastTimestamp=kube.ago(minutes),
    )


def test_pods_that_events_speak_of_and_that_are_no_more_are_asked_for_warnings_first():
    events = kube.snapshot(
        event("api-1", 5),
        event("api-2", 9, "Warning"),
        event("api-3", 2),
        event("api-0", 1),
        event("old-1", 70),
    ).events

    found = gone_pods(events, {("shop", "api-0")}, NOW)

    assert [log.pod for log in found] == ["api-2", "api-3", "api-1"]
    assert all(
        log.container == "" and log.until <= NOW and log.until - log.since <= 2 * LOOK_BACK for log in found
    )
    assert str(found[0]) == "log of shop/api-2"


def test_no_more_are_asked_for_than_the_limit():
    events = kube.snapshot([event(f"p-{n}", 1 + n / 10) for n in range(3 * MOST_GONE)]).events

    assert len(gone_pods(events, set(), NOW)) == MOST_GONE


def test_events_of_the_future_and_of_other_kinds_name_no_pod():
    other = event("n", 1)
    other["involvedObject"]["kind"] = "Node"
    late = event("p", 0)
    late["lastTimestamp"] = f"{NOW + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"

    assert gone_pods(kube.snapshot(other, late).events, set(), NOW) == []
