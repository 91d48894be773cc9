"""Both event APIs in one shape, found by the object they speak of."""

from __future__ import annotations

import pytest

from services.context_api.domain.events import EventIndex, overtaken, read_event
from tests.support.kube import ago, event, kube, moment, node, pod, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


@pytest.mark.parametrize("api", ["v1", "events.k8s.io/v1"])
def test_both_apis_give_reason_message_count_and_times(api: str):
    read = read_event(kube(event(pod("web-0"), "BackOff", "back-off", first=15, last=2, count=9, api=api)))

    assert (read.reason, read.message, read.count, read.component) == ("BackOff", "back-off", 9, "kubelet")
    assert read.first
    assert read.last
    assert abs((read.first - moment(15)).total_seconds()) < 1
    assert abs((read.last - moment(2)).total_seconds()) < 1


def test_an_event_with_an_event_time_alone_still_has_times_and_counts_once():
    raw = event(pod("web-0"), "X", "m", api="events.k8s.io/v1")
    raw["series"] = None

    read = read_event(kube(raw))

    assert read.count == 1
    assert read.last == read.first


def test_deprecated_fields_and_creation_are_the_last_resort():
    raw = event(pod("web-0"), "X", "m", api="events.k8s.io/v1")
    for gone in ("series", "eventTime", "reportingController"):
        raw.pop(gone)
    raw.update(
        deprecatedFirstTimestamp=ago(9),
        deprecatedLastTimestamp=ago(3),
        deprecatedCount=4,
        deprecatedSource={"component": "sched"},
    )
    bare = event(pod("web-0"), "X", "m", first=7)
    for gone in ("firstTimestamp", "lastTimestamp", "count", "source"):
        bare.pop(gone)

    read, last = read_event(kube(raw)), read_event(kube(bare))

    assert (read.first, read.last, read.count, read.component) == (moment(9), moment(3), 4, "sched")
    assert (last.first, last.count) == (moment(7), 1)


def test_events_of_a_predecessor_with_the_same_name_are_left_out():
    now, before = pod("db-0", age=5), pod("db-0")
    before["metadata"]["uid"] = "another"
    old, new = event(before, "BackOff", "old", last=30), event(now, "BackOff", "new", last=1)

    index = EventIndex(snapshot(now, old, new))

    assert [e.message for e in index.of(kube(now))] == ["new"]


def test_a_nodes_events_are_found_in_whatever_namespace_they_lie():
    one = node("worker-1")
    told = event(one, "NodeNotReady", "m")
    told["involvedObject"]["uid"] = "worker-1"

    assert len(EventIndex(snapshot(one, told)).of(kube(one))) == 1


def test_events_come_oldest_first_and_name_their_container():
    one = pod("web-0")
    late, early = event(one, "B", "b", last=1, field="spec.containers{app}"), event(one, "A", "a", last=9)

    read = EventIndex(snapshot(one, late, early)).of(kube(one))

    assert [e.reason for e in read] == ["A", "B"]
    assert read[1].in_container("app")
    assert not read[1].in_container("ap")
    assert EventIndex(snapshot()).about_name("Pod", "shop", "gone") == []


@pytest.mark.parametrize(
    ("later", "minutes", "expected"),
    [("Pulling", 3, True), ("Started", 3, True), ("Pulling", 9, False), ("Scheduled", 3, False), ("FailedMount", 3, False)],
    ids=["pulls since", "runs since", "pulled before", "an earlier step", "fails again"],
)  # fmt: skip
def test_a_failed_step_is_overtaken_by_a_later_one(later: str, minutes: float, expected: bool):
    one = pod("web-0")
    failed = event(one, "FailedMount", "exit status 32", first=8, last=5)
    index = EventIndex(
        snapshot(one, failed, event(one, later, "x", first=minutes, last=minutes, type_="Normal"))
    )
    found = index.of(kube(one))

    assert overtaken(found, next(e for e in found if e.message == "exit status 32")) is expected
