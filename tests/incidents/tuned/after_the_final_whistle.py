"""People close a page whose requests wait for news; the mesh gives such requests no code, and a rule takes them for failures."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="MeshRequestsFail of livescore after a match: readers close the page, and their waiting polls end with code 0 and flag DC, as after each match",
    half=Half.tuned,
    story=(
        "A reader's page asks livescore for news and is answered when there is some, or after fifty seconds. When a match is over some ten thousand readers close the page while a poll waits;"
        " Envoy writes response code 0 and flag DC (the client went away) for each. The rule counts every code that begins with neither 1, 2 nor 3. It was so after each of the last matches,"
        " server errors stay where they are, and the share falls by itself within half an hour. A banner was edited at half-time, and livescore was released two days ago."
    ),
    sources=[
        "https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#response-flags",
        "https://istio.io/latest/docs/reference/config/metrics/",
        "https://datatracker.ietf.org/doc/html/rfc6202",
    ],
    labels={
        "alertname": "MeshRequestsFail", "severity": "critical", "reporter": "destination", "namespace": "arena",
        "destination_service_namespace": "arena", "destination_service_name": "livescore",
    },
    annotations={
        "summary": "More than 5 % of the requests to livescore fail.",
        "description": "In the mesh 9.7 % of the requests to livescore in arena were not answered with a code of 1xx, 2xx or 3xx.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)  # fmt: skip

RULE = """\
sum by (reporter, destination_service_namespace, destination_service_name) (rate(istio_requests_total{reporter="destination",response_code!~"[123].."}[5m]))
  / sum by (reporter, destination_service_namespace, destination_service_name) (rate(istio_requests_total{reporter="destination"}[5m])) > 0.05
"""

WHISTLES = (
    datetime(2026, 11, 14, 16, 21, tzinfo=UTC),
    datetime(2026, 11, 17, 20, 41, tzinfo=UTC),
    datetime(2026, 11, 21, 16, 24, tzinfo=UTC),
    datetime(2026, 11, 24, 20, 38, tzinfo=UTC),
)
NOW = datetime(2026, 11, 24, 20, 53, tzinfo=UTC)


def _proxy() -> Body:
    return container("istio-proxy", "istio/proxyv2:1.28.1", memory=("128Mi", "512Mi"), ports=[{"name": "http-envoy-prom", "containerPort": 15090}])  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.crd("networking.istio.io", "v1", "DestinationRule", "destinationrules")
    stage.apply([
        *system(),
        deployment("istio-system/istiod", container("discovery", "istio/pilot:1.28.1", port=15012, memory=("512Mi", "1Gi"), env={"PILOT_TRACE_SAMPLING": "1"}), replicas=1), service("istio-system/istiod", 15012),
        deployment("istio-system/arena-gateway", container("istio-proxy", "istio/proxyv2:1.28.1", port=8443, memory=("256Mi", "1Gi"))), service("istio-system/arena-gateway", 443, 8443),
        config_map("arena/page-texts", {"banner.txt": "Kick-off at 18:45", "poll-seconds": "50"}),
        deployment("arena/livescore", container("livescore", "arena/livescore:8.12.0", port=8080, ready="/ready", alive="/alive", memory=("256Mi", "512Mi"), env={"POLL_SECONDS": {"configMapKeyRef": {"name": "page-texts", "key": "poll-seconds"}}, "EVENTS": "redis://goals.arena.svc:6379"}), _proxy(), replicas=4), service("arena/livescore", 80, 8080),
        deployment("arena/tables", container("tables", "arena/tables:3.3.7", port=8080, ready="/ready"), _proxy()), service("arena/tables", 80, 8080),
        stateful_set("arena/goals", container("redis", "redis:8.2.1", port=6379, memory=("256Mi", "512Mi"))), service("arena/goals", 6379, headless=True),
        deployment("arena/reporter", container("reporter", "arena/reporter:1.9.4", port=8080, ready="/ready", env={"EVENTS": "redis://goals.arena.svc:6379", "FEED_URL": "https://feed.sports.example.net"}), replicas=1), service("arena/reporter", 80, 8080),
        deployment("members/passes", container("passes", "members/passes:5.0.2", port=8080, ready="/up")), service("members/passes", 80, 8080),
        {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "livescore", "namespace": "arena"}, "spec": {
            "host": "livescore.arena.svc.cluster.local",
            "trafficPolicy": {"connectionPool": {"http": {"http2MaxRequests": 20000}}, "outlierDetection": {"consecutive5xxErrors": 7, "interval": "30s", "baseEjectionTime": "60s"}},
        }},
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "mesh", "namespace": "istio-system"}, "spec": {"groups": [{"name": "mesh", "rules": [
            {"alert": "MeshRequestsFail", "expr": RULE, "for": "5m", "labels": {"severity": "critical"}, "annotations": {"summary": "More than 5 % of the requests to {{ $labels.destination_service_name }} fail."}},
        ]}]}},
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 15, 9, 40, tzinfo=UTC))
    stage.recovered(f"arena/{stage.pods('arena/tables')[0]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=900000)  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 22, 10, 5, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/livescore", "livescore=registry.example.com/arena/livescore:8.12.1", "-n", "arena")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 24, 19, 38, tzinfo=UTC))
    stage.edit("configmaps/arena/page-texts", lambda body: body["data"].update({"banner.txt": "Half-time: two goals so far"}))  # fmt: skip
    stage.clock.until(NOW)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=6)


def _logs(stage: Stage) -> None:
    line = '[<%Y-%m-%dT%H:%M:%S.%3>Z] "GET /live/4417?since=<88000-88400> HTTP/1.1" {end} "198.51.100.<2-250>" "Mozilla/5.0" "score.example.com" "{address}:8080" inbound|8080|| 127.0.0.6:<30000-60000>'
    for n, pod in enumerate(stage.pods("arena/livescore-")):
        address = pod["status"]["podIP"]
        answered = line.format(end="200 - via_upstream - \"-\" 0 <200-900> <900-49900> <900-49900>", address=address)  # fmt: skip
        ended = line.format(end='200 - via_upstream - "-" 0 2 50001 50001', address=address)
        left = line.format(end='0 DC downstream_remote_disconnect - "-" 0 0 <700-48000> -', address=address)
        whole = WHISTLES[-1] + timedelta(seconds=5 * n)
        name = f"arena/{pod['metadata']['name']}"
        stage.log(name, "\n".join([
            printed(whole - timedelta(minutes=20), [answered, answered, answered, ended, answered, answered, left, answered] * 5, every_s=29),
            printed(whole + timedelta(seconds=20), [answered, left, answered, answered, left, answered, ended, answered, answered, left, answered, answered, ended, answered] * 4, every_s=15),
        ]), container="istio-proxy")  # fmt: skip
        stage.log(name, printed(whole - timedelta(minutes=19), [
            *["<%H:%M:%S.%3> INFO  livescore: match 4417: <7800-9900> polls wait, answered in <2-9>ms after an event"] * 19,
            "<%H:%M:%S.%3> INFO  livescore: match 4417: event whistle, 9871 polls answered",
            *["<%H:%M:%S.%3> WARN  livescore: match 4417: reader went away, poll dropped (context canceled)", "<%H:%M:%S.%3> INFO  livescore: match 4417: <2100-6900> polls wait"] * 7,
        ], every_s=60), container="livescore")  # fmt: skip
    chatter(stage, "arena/tables-", ["INFO  tables: GET /tables/first 200 <3-9>ms", "WARN  tables: match 4417 not final yet, table is provisional"], count=20, minutes=50, container="tables")  # fmt: skip
    chatter(stage, "arena/tables-", ['[<%Y-%m-%dT%H:%M:%S.%3>Z] "GET /tables/first HTTP/1.1" 200 - via_upstream - "-" 0 4120 <3-9> <3-9> "198.51.100.<2-250>"'], count=20, minutes=50, container="istio-proxy")  # fmt: skip
    chatter(stage, "arena/reporter", ["INFO  reporter: event <88000-88400> of match 4417 written", "WARN  reporter: feed.sports.example.net sent event <88000-88400> twice, second one ignored"], count=16, minutes=50)  # fmt: skip
    chatter(stage, "arena/goals", ["1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving..."], count=6, minutes=50)  # fmt: skip
    chatter(stage, "istio-system/istiod", [
        "<%Y-%m-%dT%H:%M:%S.%3>000Z\tinfo\tads\tPush debounce stable[<300-900>] 1 for config EndpointSlice/arena/tables: 100.2ms since last change",
        "<%Y-%m-%dT%H:%M:%S.%3>000Z\tinfo\tads\tADS: \"10.244.1.<2-20>:<30000-60000>\" arena-gateway terminated with stream closed, new connection",
    ], count=8, minutes=55)  # fmt: skip
    chatter(stage, "istio-system/arena-gateway", ['[<%Y-%m-%dT%H:%M:%S.%3>Z] "GET /live/4417?since=<88000-88400> HTTP/2" 200 - via_upstream - "-" 0 <200-900> <900-49900> <900-49900> "198.51.100.<2-250>"', '[<%Y-%m-%dT%H:%M:%S.%3>Z] "GET /live/4417?since=<88000-88400> HTTP/2" 0 DC downstream_remote_disconnect - "-" 0 0 <700-48000> - "198.51.100.<2-250>"'], count=24, minutes=14)  # fmt: skip
    chatter(stage, "members/passes", ["GET /passes/<1000-9999> 200 <6-20>ms"], count=10, minutes=50)


def _since_whistle(at: datetime) -> float | None:
    """Minutes since the last whistle, negative within a match."""
    for whistle in WHISTLES:
        minutes = (at - whistle).total_seconds() / 60
        if -113 <= minutes < 60:
            return minutes
    return None


def _metrics(stage: Stage) -> None:
    """Every ten minutes for eleven days; four matches ended within them."""
    count, step = 11 * 144, 600
    end = stage.now.replace(microsecond=0)
    since = [_since_whistle(end - timedelta(seconds=step * (count - 1 - n))) for n in range(count)]
    asked = [14.0 if m is None else 210.0 if m < 0 else 14 + 196 * math.exp(-m / 14) for m in since]
    left = [0.003 if m is None else 0.007 if m < 0 else 0.003 + 0.21 * math.exp(-m / 18) for m in since]
    noise, other = about(1, count, noise=0.07, of="asked"), about(1, count, noise=0.12, of="left")
    asked = [a * n for a, n in zip(asked, noise, strict=True)]
    left = [share * n for share, n in zip(left, other, strict=True)]
    failed = about(0.0003, count, noise=0.8, of="5xx")
    to: Body = {"destination_service_namespace": "arena", "destination_service_name": "livescore"}
    whole = 'sum by (destination_service_namespace, destination_service_name) (rate(istio_requests_total{reporter="destination",destination_service_name="livescore"}[5m]))'
    part = 'sum by (destination_service_namespace, destination_service_name) (rate(istio_requests_total{reporter="destination",destination_service_name="livescore",response_code'
    stage.metric("not-answered", part + '!~"[123].."}[5m])) / ' + whole, [(to, [one + f for one, f in zip(left, failed, strict=True)])], step_s=step)  # fmt: skip
    stage.metric("server-errors", part + '=~"5.."}[5m])) / ' + whole, [(to, failed)], step_s=step)
    stage.metric("by-code", 'sum by (destination_service_name, response_code, response_flags) (rate(istio_requests_total{reporter="destination",destination_service_name="livescore"}[5m]))', [
        ({"destination_service_name": "livescore", "response_code": "200", "response_flags": "-"}, [a * (1 - one) for a, one in zip(asked, left, strict=True)]),
        ({"destination_service_name": "livescore", "response_code": "0", "response_flags": "DC"}, [a * one for a, one in zip(asked, left, strict=True)]),
        ({"destination_service_name": "livescore", "response_code": "503", "response_flags": "UF"}, [a * one for a, one in zip(asked, failed, strict=True)]),
    ], step_s=step)  # fmt: skip
    stage.metric("event-to-answer", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(livescore_event_answer_seconds_bucket{namespace="arena"}[5m])))', [
        ({"namespace": "arena", "service": "livescore"}, about(0.024, count, noise=0.2, of="answer")),
    ], step_s=step)  # fmt: skip
