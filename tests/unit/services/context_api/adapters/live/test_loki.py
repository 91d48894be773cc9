from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.loki import Labels, Loki, logs_of, nanoseconds, selector
from services.context_api.domain.kept_logs import KeptLog
from services.context_api.domain.logs import shape_of, time_of
from services.context_api.domain.promql import Match, Selector, parse
from tests.support.kube import NOW

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")

LIMITS = LiveLimits()
LOG = KeptLog("shop", "api-0", "app", False, NOW - timedelta(hours=1), NOW)
NS = nanoseconds(NOW)


def answer(*streams: tuple[dict[str, str], list[list[Any]]]) -> bytes:
    result = [{"stream": labels, "values": values} for labels, values in streams]
    return json.dumps({"status": "success", "data": {"resultType": "streams", "result": result}}).encode()


def test_lines_of_all_streams_come_in_the_order_they_were_written_in():
    body = answer(
        ({"stream": "stderr"}, [[str(NS + 3), "third"], [str(NS + 1), "first"]]),
        ({"stream": "stdout"}, [[str(NS + 2), "second", {"trace_id": "x"}]]),
    )

    (log,) = logs_of(body, LOG, Labels(), LIMITS)

    assert [line.split(" ", 1)[1] for line in log.text.splitlines()] == ["first", "second", "third"]
    assert (log.container, log.previous, log.truncated, log.origin) == ("app", False, False, "loki")


def test_a_lines_time_stands_in_front_to_the_nanosecond_and_changes_nothing_of_its_shape():
    (log,) = logs_of(answer(({}, [[str(NS + 123_456_789), "no route to db"]])), LOG, Labels(), LIMITS)
    (line,) = log.text.splitlines()

    assert line == "2026-11-18T09:30:00.123456789Z no route to db"
    assert time_of(line) == NOW.replace(microsecond=123456)
    assert shape_of(line) == shape_of("no route to db")


@pytest.mark.parametrize("line", ["2026-11-18T09:29:59Z started", "2026-11-18 09:29:59,123 INFO x"])
def test_a_line_that_says_its_time_keeps_it(line: str):
    (log,) = logs_of(answer(({}, [[str(NS), line]])), LOG, Labels(), LIMITS)

    assert log.text == f"{line}\n"


def test_what_the_runtime_wrote_in_front_is_no_part_of_the_line():
    raw = "2026-11-18T09:29:59.123456789Z stderr F panic: no database"

    (log,) = logs_of(answer(({}, [[str(NS), raw]])), LOG, Labels(), LIMITS)

    assert log.text == "2026-11-18T09:30:00.000000000Z panic: no database\n"


def test_of_a_pod_whose_containers_nobody_knows_each_has_its_own_log():
    gone = replace(LOG, container="")
    body = answer(
        ({"container": "b"}, [[str(NS), "x"]]), ({"container": "a"}, [[str(NS), "y"]]), ({}, [[str(NS), "z"]])
    )

    assert [log.container for log in logs_of(body, gone, Labels(), LIMITS)] == ["a", "b", "unknown"]


def test_as_many_lines_as_were_asked_for_are_perhaps_not_all():
    body = answer(({}, [[str(NS + n), "x"] for n in range(3)]))

    assert [log.truncated for log in logs_of(body, LOG, Labels(), replace(LIMITS, log_lines=3))] == [True]


def test_of_more_bytes_than_the_limit_the_end_is_kept_from_a_whole_line_on():
    body = answer(({}, [[str(NS + n), f"line {n}"] for n in range(100)]))

    (log,) = logs_of(body, LOG, Labels(), replace(LIMITS, log_tail_bytes=200))

    assert len(log.text) <= 200
    assert log.truncated
    assert log.text.startswith("2026-")
    assert log.text.endswith("line 99\n")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>gateway</html>",
        b"[]",
        b'{"status":"success","data":{"resultType":"matrix","result":[]}}',
        b'{"status":"success","data":{"resultType":"streams","result":7}}',
        b'{"status":"error"}',
        answer(({}, [["soon", "x"]])),
        answer(({}, [[NS, "x"]])),
        answer(({}, [[str(NS)]])),
        answer(({}, [["9" * 40, "x"]])),
    ],
)
def test_another_answer_is_a_failure(body: bytes):
    with pytest.raises(ApiFailure) as failed:
        logs_of(body, LOG, Labels(), LIMITS)

    assert failed.value.why is Why.broken


def test_nothing_found_is_no_log_and_no_failure():
    assert logs_of(answer(), LOG, Labels(), LIMITS) == []


def test_the_selector_is_made_of_the_agents_labels_and_the_operators_matchers():
    otel = Labels("k8s_namespace_name", "k8s_pod_name", "k8s_container_name")

    assert selector(LOG, otel, [Match("cluster", "=", "eu-1")]) == (
        '{k8s_namespace_name="shop",k8s_pod_name="api-0",k8s_container_name="app",cluster="eu-1"}'
    )
    assert selector(replace(LOG, container=""), Labels(), []) == '{namespace="shop",pod="api-0"}'


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(['"', "\\", '"} |= "', "`", "\n", "{", "x", "é", "\x00"]), max_size=6).map(
        "".join
    )
)
def test_no_name_gets_out_of_its_quotes(name: str):
    written = selector(replace(LOG, pod=name), Labels(), [])

    # Both languages have the same selectors.
    assert parse(written) == Selector(
        "", (Match("namespace", "=", "shop"), Match("pod", "=", name), Match("container", "=", "app"))
    )


def test_times_are_told_in_nanoseconds_since_1970():
    assert nanoseconds(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005_000


def test_its_name_holds_no_password():
    assert Loki("https://me:s3cret@loki.example/p?token=x").name == "https://loki.example/p"
