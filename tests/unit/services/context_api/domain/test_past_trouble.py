"""Recorded trouble that is over, and trouble that is not, or is another's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.domain.past_trouble import hushed, is_over, outlasted, passed
from services.context_api.domain.scene import Scene
from tests.support.kube import NOW, deployment, log, moment, pods_in, service, snapshot, thing
from tests.support.series import recorded, scene, series

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")

SHARE = 'sum(rate(sent_total{outcome="failed"}[2m])) / sum(rate(sent_total[2m]))'
P99 = "histogram_quantile(0.99, rate(http_request_duration_seconds_bucket[5m]))"
FAILED = [0.0] * 20 + [0.9] * 10 + [0.001] * 20


def found(metric, target=("Deployment", "shop", "api")) -> list[str]:
    known = scene(
        deployment("api"), service("api", ready=2), deployment("web"), metrics=[metric], onset=moment(28)
    )
    about = known.graph.find(*target)
    return [p.words for p in passed(known, about, moment(28) - timedelta(hours=1))]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (recorded(SHARE, FAILED, namespace="shop", service="api"), "90.0% of all failed"),
        (recorded(SHARE, FAILED, namespace="shop"), "90.0% of all failed"),
        (recorded(P99, [0.2] * 20 + [3.0] * 10 + [0.21] * 20, namespace="shop", service="api"), "3 s were taken"),
        (recorded("rabbitmq_queue_messages_ready", [3.0] * 20 + [9000.0] * 10 + [2.0] * 20, namespace="shop", queue="q"), "9000 messages waited"),
    ],
    ids=["failures of the Service", "failures in its namespace", "response times", "a backlog"],
)  # fmt: skip
def test_trouble_that_came_back_is_over(metric, words: str):
    assert found(metric) == [words]


UP, ERRORS = "peer_session_up", "sum by (namespace) (rule_evaluation_failures_total)"
AWAY = [1.0] * 20 + [0.0] * 7 + [1.0] * 23
COUNTED = [4.0] * 20 + [7.0] * 2 + [10.0] * 28


def up(values: list[float], name: str = UP):
    return recorded(name, values, __name__=name, namespace="shop")


@pytest.mark.parametrize(
    ("metric", "words"),
    [(up(AWAY), "it was down"), (recorded(ERRORS, COUNTED, namespace="shop"), "3 failures from one sample to the next")],
    ids=["a session that was down", "failures that are counted no more"],
)  # fmt: skip
def test_what_was_down_and_what_failed_for_a_while_is_over(metric, words: str):
    assert found(metric) == [words]


@pytest.mark.parametrize(
    "metric",
    [
        up([1.0] * 20 + [0.0] * 30),
        up([0.0] * 20 + [1.0] * 7 + [0.0] * 23),
        up([0.0, 1.0]),
        up(AWAY, "queue_workers"),
        up([2.0] * 20 + [0.0] * 7 + [2.0] * 23),
        recorded("orders_total unless on(namespace) order_errors_total", COUNTED, __name__="orders_total", namespace="shop"),
        recorded(ERRORS, [4.0] * 20 + [float(n) for n in range(5, 35)], namespace="shop"),
        recorded(ERRORS, [float(n) for n in range(27)] + [27.0] * 23, namespace="shop"),
        recorded(f"rate({ERRORS}[5m])", COUNTED, namespace="shop"),
        recorded("sum by (namespace) (orders_total)", COUNTED, namespace="shop"),
        recorded(ERRORS, [9.0] * 20 + [3.0] * 30, namespace="shop"),
    ],
    ids=[
        "still down", "down as a rule", "hardly recorded", "a number that is no state", "more than up or down", "counts another thing, by its name", "still counted",
        "counted as a rule", "a rate", "no failures", "a counter that began anew",
    ],
)  # fmt: skip
def test_no_state_and_no_counter_of_failures_that_came_to_rest_is_over(metric):
    assert found(metric) == []


def test_a_volume_that_was_full_until_it_was_grown_is_over():
    claim = thing("PersistentVolumeClaim", "data", status={"phase": "Bound", "capacity": {"storage": "60"}})
    free = recorded(
        "kubelet_volume_stats_available_bytes", [20.0] * 20 + [1.0] * 10 + [21.0] * 20,
        namespace="shop", persistentvolumeclaim="data",
    )  # fmt: skip
    known = scene([claim], metrics=[free], onset=moment(28))
    about = known.graph.get("PersistentVolumeClaim", "shop", "data")

    assert [p.words for p in passed(known, about, moment(88))] == ["98.3% of its room was used"]


@pytest.mark.parametrize(
    "metric",
    [
        recorded(SHARE, [0.0] * 20 + [0.9] * 30, namespace="shop", service="api"),
        recorded(SHARE, [0.0] * 20 + [0.9] * 28 + [0.0] * 2, namespace="shop", service="api"),
        recorded(SHARE, [0.001] * 50, namespace="shop", service="api"),
        recorded(SHARE, FAILED, namespace="shop", deployment="web"),
        recorded(SHARE, FAILED, namespace="elsewhere"),
        recorded(SHARE, FAILED),
        recorded(SHARE, [0.9] * 20 + [0.0] * 100, namespace="shop", service="api"),
        recorded("rate(http_requests_total[5m])", [3.0] * 20 + [900.0] * 10 + [2.0] * 20, namespace="shop"),
        recorded(SHARE, [0.0] * 40 + [0.9] * 3 + [0.0] * 7, namespace="shop", service="api"),
    ],
    ids=[
        "goes on", "a moment's rest", "none", "another workload", "another namespace", "nowhere", "before the record",
        "requests are no trouble", "began after the alert",
    ],
)  # fmt: skip
def test_what_is_not_over_or_not_its_own_is_left_out(metric):
    assert found(metric) == []


def test_without_an_object_nothing_is_its_own():
    known = scene(metrics=[recorded(SHARE, FAILED, namespace="shop")], onset=NOW)

    assert list(passed(known, None, NOW - timedelta(hours=1))) == []


LONG = "histogram_quantile(0.99, rate(http_request_duration_seconds_bucket[1h]))"


def lines(*said: tuple[float, str]) -> str:
    """Log lines, each with how many minutes ago it was written."""
    return "\n".join(f"{moment(ago):%Y-%m-%dT%H:%M:%S}Z {words}" for ago, words in said)


ERRED = [(ago, "ERROR query timed out") for ago in (38, 36, 34)]
WELL = [(ago, "INFO GET / 200") for ago in (9, 8, 6, 4, 3, 2, 1)]


@pytest.mark.parametrize(
    ("query", "said", "over"),
    [
        (LONG, [*ERRED, *WELL], True),
        (P99, [*ERRED, *WELL], False),
        (LONG, [*ERRED, *WELL, (1, "ERROR query timed out")], False),
        (LONG, WELL, False),
        (LONG, ERRED, False),
    ],
    ids=["over", "a short window", "goes on", "never erred", "fell silent"],
)
def test_an_hours_quantile_is_out_of_date_where_the_errors_have_ended_and_work_goes_on(
    query, said, over: bool
):
    objects = deployment("api", replicas=1)
    known = Scene(snapshot(objects, logs=[log(pods_in([objects])[0], lines(*said))]))
    slow = series(query, [0.2] * 20 + [3.0] * 40, namespace="shop", deployment="api")

    about = known.graph.find("Deployment", "shop", "api")
    assert about
    assert outlasted(known, slow, about) is over


def test_a_share_many_times_the_usual_one_was_trouble_though_it_broke_no_common_objective():
    assert found(recorded(SHARE, [0.0004] * 20 + [0.03] * 10 + [0.0004] * 20, namespace="shop", service="api")) == [
        "3.0% of all failed"
    ]  # fmt: skip


def test_what_a_route_measures_is_about_the_workload_that_its_requests_end_at():
    backend = {"service": {"name": "api", "port": {"number": 80}}}
    route = thing("Ingress", "api", api="networking.k8s.io/v1", spec={"rules": [{"http": {"paths": [{"path": "/", "backend": backend}]}}]})  # fmt: skip
    metric = recorded(SHARE, FAILED, namespace="shop", ingress="api")

    def about(name: str) -> list[str]:
        known = scene(
            deployment("api"), service("api", ready=2), deployment("web"), route, metrics=[metric], onset=moment(28)
        )  # fmt: skip
        target = known.graph.find("Deployment", "shop", name)
        return [p.words for p in passed(known, target, moment(28) - timedelta(hours=1))]

    assert about("api") == ["90.0% of all failed"]
    assert about("web") == []


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([0.2] * 50, True),
        ([0.2] * 30 + [3.0] * 20, False),
    ],
    ids=["as fast as before", "slow now"],
)
def test_trouble_is_over_when_nothing_else_that_is_measured_of_it_is_worse(
    second: list[float], expected: bool
):
    of_api = {"namespace": "shop", "service": "api"}
    metrics = [recorded(SHARE, FAILED, **of_api), recorded(P99, second, **of_api)]
    known = scene(deployment("api"), service("api", ready=2), metrics=metrics, onset=moment(28))
    about = known.graph.find("Deployment", "shop", "api")

    assert is_over(known, about, moment(28) - timedelta(hours=1)) is expected


def spoken(*said: tuple[float, str], since: float = 90, target=("Deployment", "shop", "api")):
    """The spell of complaints in a log of the only pod of `api`."""
    objects = deployment("api", replicas=1)
    known = Scene(snapshot(objects, service("api", ready=1), thing("Namespace", "shop", None), logs=[log(pods_in(objects)[0], lines(*said))]))  # fmt: skip
    about = known.graph.find(*target)
    assert about
    return hushed(known, about, moment(since))


SPELL = [(ago, "ERROR query timed out") for ago in (40, 38, 36, 34, 32, 30)]
BEFORE = [(ago, "INFO GET / 200") for ago in (85, 80, 70, 60, 50)]


@pytest.mark.parametrize(
    "target",
    [("Deployment", "shop", "api"), ("Service", "shop", "api"), ("Namespace", None, "shop")],
    ids=["the workload", "its Service", "its namespace"],
)
def test_one_spell_of_complaints_that_ended_while_work_went_on_is_over(target):
    spell = spoken(*BEFORE, *SPELL, *WELL, target=target)

    assert spell
    assert (spell.top.name, spell.began, spell.ended, spell.count) == ("api", moment(40), moment(30), 6)


@pytest.mark.parametrize(
    ("said", "since"),
    [
        ([*BEFORE, *SPELL, *WELL, (1, "ERROR query timed out")], 90),
        ([*BEFORE, *SPELL, *WELL], 35),
        ([(200, "ERROR query timed out"), *BEFORE, *SPELL, *WELL], 90),
        ([*BEFORE, *((ago, "ERROR query timed out") for ago in (85, 70, 60, 45, 30, 20)), *WELL], 90),
        ([*BEFORE, *SPELL], 90),
        ([*BEFORE, *SPELL[:4], *WELL], 90),
        ([*BEFORE, *WELL], 90),
    ],
    ids=[
        "goes on", "began before", "one before", "spread over an hour", "the log ends with it", "a few", "never complained",
    ],
)  # fmt: skip
def test_complaints_that_go_on_or_were_there_before_are_no_spell(said, since: float):
    assert spoken(*said, since=since) is None


def test_lines_without_a_time_make_no_spell():
    objects = deployment("api", replicas=1)
    text = "ERROR query timed out\n" * 9 + "INFO GET / 200\n"
    known = Scene(snapshot(objects, logs=[log(pods_in(objects)[0], text)]))
    about = known.graph.find("Deployment", "shop", "api")

    assert about
    assert hushed(known, about, moment(90)) is None


def test_what_is_as_high_at_this_hour_of_each_day_was_no_trouble():
    day = [5.0] * 88 + [9000.0] * 4 + [5.0] * 4
    each = recorded(
        "rabbitmq_queue_messages_ready", [*day * 3, *[5.0] * 2], 900.0, namespace="shop", queue="q"
    )
    once = recorded(
        "rabbitmq_queue_messages_ready", [*[5.0] * 192, *day, *[5.0] * 2], 900.0, namespace="shop", queue="q"
    )

    def known(metric) -> list[str]:
        one = scene(deployment("api"), metrics=[metric], onset=moment(120))
        about = one.graph.get("Deployment", "shop", "api")
        return [p.words for p in passed(one, about, moment(180))]

    assert known(each) == []
    assert known(once) == ["9000 messages waited"]
