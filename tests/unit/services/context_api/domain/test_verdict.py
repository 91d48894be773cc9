"""Nothing wrong, healed, or not enough evidence: told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.contracts.causes import NoCause
from libs.contracts.target import Target
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import NotRead
from services.context_api.domain.verdict import not_looked_at, without_cause
from tests.support.kube import (
    ago,
    config_map,
    container,
    deployment,
    edit,
    ended,
    event,
    log,
    moment,
    pod,
    pods_in,
    running,
    service,
    snapshot,
    thing,
    waiting,
)
from tests.support.series import recorded, scene

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")

API = Target.parse("Deployment/shop/api")


def verdict(*objects, target: Target | None = API, onset=None, not_read=()) -> NoCause:
    scene = Scene(snapshot(*objects, not_read=not_read), onset=onset)
    about = scene.graph.find(target.kind, target.namespace, target.name) if target else None
    return without_cause(scene, target, about)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([], NoCause.insufficient),
        (config_map("c"), NoCause.insufficient),
        (deployment("api")[:1], NoCause.insufficient),
        (deployment("api"), NoCause.nothing_wrong),
        (deployment("api", replicas=0), NoCause.nothing_wrong),
        (
            deployment("api", statuses=[running(restarts=1, minutes=20, last=ended(1, minutes=20))]),
            NoCause.recovered,
        ),
        (
            deployment("api", statuses=[running(restarts=1, minutes=900, last=ended(1, minutes=900))]),
            NoCause.nothing_wrong,
        ),
    ],
    ids=[
        "nothing",
        "not the target",
        "no pods recorded",
        "healthy",
        "scaled down",
        "restarted lately",
        "restarted long ago",
    ],
)
def test_the_three_kinds_of_no(objects, expected: NoCause):
    assert verdict(objects) is expected


def test_a_recent_warning_about_the_target_or_its_pods_means_healed():
    objects = deployment("api")

    assert verdict(objects, event(pods_in(objects)[0], "Unhealthy", "x", last=30)) is NoCause.recovered
    assert verdict(objects, event(pods_in(objects)[0], "Unhealthy", "x", last=300)) is NoCause.nothing_wrong
    assert (
        verdict(objects, event(pods_in(objects)[0], "Pulled", "x", last=30, type_="Normal"))
        is NoCause.nothing_wrong
    )


def test_pods_replaced_since_the_alert_began_mean_healed():
    objects = deployment("api", pod_age=60)

    assert verdict(objects, onset=moment(300)) is NoCause.recovered
    assert verdict(objects, onset=moment(5)) is NoCause.nothing_wrong


def test_a_service_is_judged_by_the_pods_behind_it():
    objects = [
        deployment("api", statuses=[running(restarts=1, last=ended(1, minutes=20))]),
        service("api", ready=2),
    ]

    assert verdict(objects, target=Target.parse("Service/shop/api")) is NoCause.recovered


def test_a_broken_recording_without_a_target_is_not_called_healthy():
    assert verdict(deployment("api"), target=None, not_read=[NotRead("a", "b")]) is NoCause.insufficient
    assert verdict(deployment("api"), target=None) is NoCause.nothing_wrong


def test_what_was_missing_is_named():
    objects = deployment("api", edits=[edit(30, "spec/replicas")])
    whole = snapshot(
        objects,
        event(objects[0], "X", "y"),
        logs=[log(pods_in(objects)[0], "x")],
        not_read=[NotRead("f", "cut")],
    )
    about = Scene(whole).graph.get("Deployment", "shop", "api")

    assert not_looked_at(whole, API, about) == ["f: cut"]
    assert not_looked_at(snapshot(objects), API, about) == ["events: none recorded", "logs: none recorded"]
    assert not_looked_at(
        replace(whole, objects=snapshot(deployment("api")).objects, not_read=()), API, about
    ) == ["managedFields: none recorded, so who edited what cannot be told"]
    assert not_looked_at(snapshot(), API, None) == [
        "objects: the recording holds none",
        "Deployment/shop/api: not in the recording",
    ]


# -- what metrics say ----------------------------------------------------------------------------------

SHARE = 'sum(rate(sent_total{outcome="failed"}[2m])) / sum(rate(sent_total[2m]))'


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0] * 20 + [0.9] * 10 + [0.001] * 20, NoCause.recovered),
        ([0.001] * 50, NoCause.nothing_wrong),
    ],
    ids=["came back", "never left"],
)
def test_a_metric_that_came_back_means_that_it_is_over_though_the_pods_were_well_all_the_time(
    values, expected
):
    known = scene(deployment("api"), metrics=[recorded(SHARE, values, namespace="shop")], onset=moment(28))

    assert without_cause(known, API, known.graph.get("Deployment", "shop", "api")) is expected


def test_a_pod_made_since_the_alert_is_a_sign_of_trouble_of_its_own_workload_alone():
    objects = deployment("api", pod_age=5)

    assert verdict(*objects, onset=moment(20)) is NoCause.recovered
    assert verdict(*objects, target=None, onset=moment(20)) is NoCause.nothing_wrong


def started(seconds_to_ready: float, *, about: float):
    """A pod made half an hour ago, ready so long after, and a failed probe `about` minutes ago."""
    (workload, replica_set, pod) = deployment("api", replicas=1, pod_age=30)
    (ready,) = [c for c in pod["status"]["conditions"] if c["type"] == "Ready"]
    ready["lastTransitionTime"] = ago(30 - seconds_to_ready / 60)
    words = "Readiness probe failed: connection refused"
    return [workload, replica_set, pod, event(pod, "Unhealthy", words, first=about, last=about, count=1)]


def test_a_probe_that_failed_while_a_pod_started_as_pods_do_is_no_trouble_that_healed():
    assert verdict(*started(11, about=29.95)) is NoCause.nothing_wrong


@pytest.mark.parametrize(("seconds", "about"), [(11, 5), (600, 25)], ids=["later", "a slow start"])
def test_a_probe_that_failed_later_or_for_long_is_trouble_that_healed(seconds: float, about: float):
    assert verdict(*started(seconds, about=about)) is NoCause.recovered


@pytest.mark.parametrize(
    ("first", "last", "count", "expected"),
    [
        (50, 2, 12, NoCause.nothing_wrong),
        (50, 20, 12, NoCause.recovered),
        (50, 2, 2, NoCause.recovered),
        (2, 2, 9, NoCause.recovered),
    ],
    ids=["to this day", "until twenty minutes ago", "twice", "all at once"],
)
def test_a_warning_that_is_repeated_to_this_day_about_a_pod_that_is_well_is_not_over(
    first: float, last: float, count: int, expected: NoCause
):
    objects = deployment("api")
    words = "Nameserver limits were exceeded, some nameservers have been omitted"
    warning = event(pods_in(objects)[0], "DNSConfigForming", words, first=first, last=last, count=count)

    assert verdict(objects, warning) is expected


def test_where_nobody_names_an_object_trouble_measured_outside_is_no_sign_that_all_is_well():
    metric = recorded(
        "rate(ifInErrors[5m])", [0.0] * 30 + [4.0] * 20, job="snmp", instance="sw-2.net.example"
    )

    assert without_cause(scene(deployment("api"), metrics=[metric]), None, None) is NoCause.insufficient
    assert without_cause(scene(deployment("api"), metrics=[]), None, None) is NoCause.nothing_wrong


SPACE = thing("Namespace", "shop", None)
TRIED = pod(
    "load-1", phase="Failed", statuses=[{**waiting("app"), "state": {"terminated": ended(1, minutes=50)}}]
)
DONE = pod(
    "load-2",
    phase="Succeeded",
    statuses=[{**waiting("app"), "state": {"terminated": ended(0, "Completed", minutes=40)}}],
)


def test_an_alert_about_a_namespace_is_judged_by_its_pods():
    target = Target.parse("Namespace/_cluster/shop")

    assert verdict(SPACE, deployment("api"), TRIED, DONE, target=target) is NoCause.recovered
    assert verdict(SPACE, deployment("api"), DONE, target=target) is NoCause.nothing_wrong
    assert verdict(SPACE, deployment("api", "other"), target=target) is NoCause.nothing_wrong


def test_a_pod_of_a_namespace_made_since_the_alert_is_no_sign_as_some_pod_always_is():
    target = Target.parse("Namespace/_cluster/shop")

    assert (
        verdict(SPACE, deployment("api", pod_age=10), target=target, onset=moment(30))
        is NoCause.nothing_wrong
    )


def test_a_prober_that_no_longer_reaches_the_target_means_that_evidence_is_missing():
    known = deployment("api"), service("api", ready=2)
    labels = {"namespace": "shop", "service": "api", "probe": "Sydney"}
    lost = recorded("avg_over_time(probe_success[5m])", [1.0] * 30 + [0.1] * 20, **labels)
    well = recorded("avg_over_time(probe_success[5m])", [1.0] * 30 + [0.1] * 10 + [1.0] * 10, **labels)

    for metric, expected in ((lost, NoCause.insufficient), (well, NoCause.nothing_wrong)):
        seen = scene(*known, metrics=[metric])
        about = seen.graph.find("Service", "shop", "api")
        assert without_cause(seen, Target.parse("Service/shop/api"), about) is expected


# -- what is meant, and complaints that are over -------------------------------------------------------

WELL = [(ago_, "INFO GET / 200") for ago_ in (9, 8, 6, 4, 2, 1)]
SPELL = [(ago_, "ERROR query timed out") for ago_ in (40, 38, 36, 34, 32, 30)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([(50, "INFO GET / 200"), *SPELL, *WELL], NoCause.recovered),
        ([*SPELL, *WELL, (1, "ERROR query timed out")], NoCause.nothing_wrong),
        ([(300, "ERROR query timed out"), *SPELL, *WELL], NoCause.nothing_wrong),
        (WELL, NoCause.nothing_wrong),
    ],
    ids=["a spell that ended", "goes on", "one long before", "no complaint"],
)
def test_a_log_that_was_full_of_complaints_for_a_while_and_is_no_more_means_that_it_is_over(said, expected):
    objects = deployment("api", replicas=1)
    text = "\n".join(f"{moment(m):%Y-%m-%dT%H:%M:%S}Z {words}" for m, words in said)
    known = Scene(snapshot(objects, logs=[log(pods_in(objects)[0], text)]), onset=moment(35))

    assert without_cause(known, API, known.graph.get("Deployment", "shop", "api")) is expected


@pytest.mark.parametrize(
    ("minutes", "reason", "of", "expected"),
    [
        (40, "Evicted", "api", NoCause.recovered),
        (400, "Evicted", "api", NoCause.nothing_wrong),
        (40, "Shutdown", "api", NoCause.nothing_wrong),
        (40, "Evicted", "web", NoCause.nothing_wrong),
    ],
    ids=["of its own, lately", "long ago", "for another reason", "of another workload"],
)
def test_a_pod_of_the_target_that_was_evicted_of_late_is_a_sign(
    minutes: float, reason: str, of: str, expected: NoCause
):
    api, web = deployment("api"), deployment("web")
    revision = next(o for o in (api if of == "api" else web) if o["kind"] == "ReplicaSet")
    state = [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": ago(minutes)}]
    gone = pod("api-7c9d5b6f8-zzzzz", phase="Failed", statuses=[], owner=revision, conditions=state)
    gone["status"]["reason"] = reason

    assert verdict(api, web, gone) is expected


@pytest.mark.parametrize(
    ("last_line", "code", "expected"),
    [
        ("INFO maximum of 5000 messages reached, stopping", 0, NoCause.nothing_wrong),
        ("INFO message 4999 handled", 0, NoCause.recovered),
        ("INFO maximum of 5000 messages reached, stopping", 1, NoCause.recovered),
    ],
    ids=["by its own decision", "says nothing of it", "with an error's code"],
)
def test_an_end_by_its_own_decision_is_no_sign(last_line: str, code: int, expected: NoCause):
    status = running(minutes=20, restarts=4, last=ended(code, minutes=20, lived=50))
    objects = deployment("api", statuses=[status])
    logs = [log(p, last_line, previous=True) for p in pods_in(objects)]
    known = Scene(snapshot(objects, logs=logs))

    assert without_cause(known, API, known.graph.get("Deployment", "shop", "api")) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [("INFO lock is held by api-0", NoCause.nothing_wrong), ("INFO listening on :8080", NoCause.recovered)],
    ids=["waits for its turn", "does not"],
)
def test_warnings_about_a_pod_that_waits_for_its_turn_are_no_sign(line: str, expected: NoCause):
    objects = deployment("api")
    second = pods_in(objects)[1]
    second["status"]["containerStatuses"] = [running(ready=False)]
    second["status"]["conditions"] = [
        {"type": "Ready", "status": "False", "lastTransitionTime": ago(60 * 24)}
    ]
    whole = snapshot(
        objects, event(second, "Unhealthy", "Readiness probe failed", last=5), logs=[log(second, line)]
    )
    known = Scene(whole)

    assert without_cause(known, API, known.graph.get("Deployment", "shop", "api")) is expected


@pytest.mark.parametrize(
    ("minutes", "expected"), [(4, NoCause.nothing_wrong), (20, NoCause.recovered)], ids=["in time", "late"]
)
def test_warnings_about_a_pod_that_is_still_given_time_to_start_are_no_sign(
    minutes: float, expected: NoCause
):
    status = running(minutes=minutes, ready=False)
    status["started"] = False
    slow = container(startupProbe={"periodSeconds": 10, "failureThreshold": 60})
    objects = deployment(
        "api", replicas=1, containers=[slow], statuses=[status], pod_age=minutes, unready_since=minutes
    )
    told = event(pods_in(objects)[0], "Unhealthy", "Startup probe failed", first=minutes, last=1)

    assert verdict(objects, told) is expected


def test_a_pod_that_was_due_since_the_alert_began_replaces_none():
    objects = deployment("api", pod_age=5)
    scaler = thing(
        "HorizontalPodAutoscaler", "api", api="autoscaling/v2",
        spec={"maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "api"}},
    )  # fmt: skip
    grown, idle = (
        {**scaler, "status": {"lastScaleTime": ago(5)}},
        {**scaler, "status": {"lastScaleTime": ago(90)}},
    )
    cron = thing("CronJob", "report", api="batch/v1", spec={"jobTemplate": {}})
    job = thing("Job", "report-9", api="batch/v1", owner=cron, age=5, spec={}, status={"active": 1})
    report = Target.parse("CronJob/shop/report")

    assert verdict(*objects, grown, onset=moment(20)) is NoCause.nothing_wrong
    assert verdict(*objects, idle, onset=moment(20)) is NoCause.recovered
    assert verdict(cron, job, pod("report-9-x", owner=job, age=5), target=report, onset=moment(20)) is NoCause.nothing_wrong  # fmt: skip


@pytest.mark.parametrize(
    ("last", "expected"),
    [(2, NoCause.nothing_wrong), (20, NoCause.recovered)],
    ids=["to this day", "until twenty minutes ago"],
)
def test_a_warning_that_is_repeated_to_this_day_about_a_workload_is_advice(last: float, expected: NoCause):
    objects = deployment("api")
    advice = event(objects[0], "PolicyViolation", "label `team` is missing", first=50, last=last, count=12)

    assert verdict(objects, advice) is expected
