"""A public register of addresses answered 503 for seven minutes; enrolments went on without, and were checked afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="CircuitBreakerOpen of the address register: it answered 503 for seven minutes, the breaker has been closed for a quarter of an hour, and the rule looks back over thirty minutes",
    half=Half.tuned,
    story=(
        "From two minutes past two the register outside failed. The breaker of enrol opened, enrolments were taken with their addresses unchecked, as is meant, and went to the list of addresses to be looked up."
        " At ten past the trial calls were answered and the breaker closed; at a quarter past the list was worked off. The rule takes the maximum of thirty minutes. Courses were edited at one o'clock;"
        " timetable was released yesterday; sheets warns of a font as ever."
    ),
    sources=[
        "https://resilience4j.readme.io/docs/circuitbreaker",
        "https://resilience4j.readme.io/docs/micrometer",
        "https://learn.microsoft.com/en-us/azure/architecture/patterns/circuit-breaker",
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#aggregation_over_time",
    ],
    labels={
        "alertname": "CircuitBreakerOpen",
        "severity": "critical",
        "namespace": "college",
        "application": "enrol",
        "name": "address-register",
        "state": "open",
    },
    annotations={
        "summary": "Circuit breaker address-register of enrol is open.",
        "description": "Calls to the address register are refused. Restart enrol when this does not end by itself.",
    },
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)

RULES = """\
groups:
- name: breakers
  rules:
  - alert: CircuitBreakerOpen
    expr: max by (namespace, application, name, state) (max_over_time(resilience4j_circuitbreaker_state{state="open"}[30m])) == 1
    labels:
      severity: critical
"""

SETTINGS = """\
resilience4j.circuitbreaker.instances.address-register:
  failureRateThreshold: 50
  slidingWindowSize: 4
  waitDurationInOpenState: 2m
  automaticTransitionFromOpenToHalfOpenEnabled: true
  permittedNumberOfCallsInHalfOpenState: 3
address-check:
  when-unavailable: accept-and-check-later
"""


def play(stage: Stage) -> None:
    settings = {"volumes": [{"name": "settings", "configMap": {"name": "enrol-settings"}}]}
    stage.apply([
        *system(),
        config_map("alerting/breaker-rules", {"breakers.yaml": RULES}),
        config_map("college/enrol-settings", {"application.yaml": SETTINGS}),
        deployment("college/enrol", container("enrol", "college/enrol:10.4.2", port=8080, ready="/actuator/health/readiness", alive="/actuator/health/liveness", memory=("512Mi", "1Gi"), mounts={"settings": "/config"}, env={"REGISTER_URL": "https://register.addresses.example.org", "DB_HOST": "students.college.svc"}), replicas=3, pod=settings), service("college/enrol", 80, 8080),
        deployment("college/address-check", container("address-check", "college/address-check:2.0.1", port=8080, ready="/ready", env={"REGISTER_URL": "https://register.addresses.example.org", "DB_HOST": "students.college.svc"}), replicas=1), service("college/address-check", 80, 8080),
        stateful_set("college/students", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("college/students", 5432, headless=True),
        deployment("college/timetable", container("timetable", "college/timetable:7.7.0", port=8080, ready="/ready")), service("college/timetable", 80, 8080),
        deployment("college/sheets", container("sheets", "college/sheets:1.2.0", port=8080, ready="/ready"), replicas=1), service("college/sheets", 80, 8080),
        config_map("college/courses", {"courses.csv": "latin,24\nstatics,60\n"}),
        deployment("web/campus", container("campus", "web/campus:19.0.2", port=3000, ready="/up", env={"ENROL_URL": "http://enrol.college.svc", "TIMETABLE_URL": "http://timetable.college.svc"})), service("web/campus", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 23, 8, 15, tzinfo=UTC))
    stage.recovered(f"college/{stage.pods('college/enrol')[2]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=1700000)  # fmt: skip
    stage.clock.until(datetime(2026, 11, 29, 16, 40, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/timetable", "timetable=registry.example.com/college/timetable:7.8.0", "-n", "college")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 30, 13, 4, tzinfo=UTC))
    stage.edit("configmaps/college/courses", lambda body: body["data"].update({"courses.csv": "latin,28\nstatics,60\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 30, 14, 25, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=22)


def _logs(stage: Stage) -> None:
    two = datetime(2026, 11, 30, 14, 2, tzinfo=UTC)
    front = "<%Y-%m-%dT%H:%M:%S.%3>Z  {} 1 --- [enrol] [nio-8080-exec-<1-9>] "
    info, warn = front.format("INFO"), front.format("WARN")
    well = (
        info
        + "e.college.enrol.EnrolmentController       : POST /enrolments 201 in <90-190> ms, address checked"
    )
    without = (
        info
        + "e.college.enrol.EnrolmentController       : POST /enrolments 201 in <20-60> ms, address to be checked later"
    )
    bad = (
        warn
        + "e.college.enrol.AddressRegister           : 503 Service Unavailable from GET https://register.addresses.example.org/v3/match"
    )
    closed_door = (
        warn
        + "e.college.enrol.AddressRegister           : CircuitBreaker 'address-register' is OPEN and does not permit further calls"
    )
    turned = (
        info
        + "i.g.r.c.i.CircuitBreakerStateMachine      : Event STATE_TRANSITION published: CircuitBreaker 'address-register' changed state from {} to {}"
    )
    for n, pod in enumerate(stage.pods("college/enrol")):
        shift = timedelta(seconds=3 * n)
        stage.log(f"college/{pod['metadata']['name']}", "\n".join([
            printed(two - timedelta(minutes=16) + shift, [well] * 32, every_s=29),
            printed(two + shift, [bad, without] * 2, every_s=12),
            printed(two + timedelta(seconds=50) + shift, [turned.format("CLOSED", "OPEN"), *[closed_door, without] * 5], every_s=11),
            printed(two + timedelta(seconds=170) + shift, [turned.format("OPEN", "HALF_OPEN"), *[bad, without] * 3, turned.format("HALF_OPEN", "OPEN"), *[closed_door, without] * 3], every_s=7),
            printed(two + timedelta(seconds=339) + shift, [turned.format("OPEN", "HALF_OPEN"), *[bad, without] * 3, turned.format("HALF_OPEN", "OPEN"), closed_door, without], every_s=6),
            printed(two + timedelta(seconds=501) + shift, [turned.format("OPEN", "HALF_OPEN"), well, well, well, turned.format("HALF_OPEN", "CLOSED")], every_s=4),
            printed(two + timedelta(seconds=530) + shift, [well] * 25, every_s=32),
        ]))  # fmt: skip
    stage.log("college/address-check", "\n".join([
        printed(two - timedelta(minutes=10), ["INFO  address-check: nothing to look up"] * 10, every_s=60),
        printed(two + timedelta(seconds=30), [f"WARN  address-check: register answers 503, {waiting} addresses wait, again in 60s" for waiting in (4, 10, 17, 24, 31, 39, 46)], every_s=61),
        printed(two + timedelta(minutes=9), ["INFO  address-check: <9-14> addresses looked up, all found"] * 5, every_s=58),
        printed(two + timedelta(minutes=14, seconds=10), ["INFO  address-check: nothing to look up"] * 8, every_s=60),
    ]))  # fmt: skip
    chatter(stage, "college/students", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=8, minutes=40)  # fmt: skip
    chatter(stage, "college/timetable", ["INFO  timetable: GET /weeks/<1-52> 200 <6-20>ms", "INFO  timetable: room <100-400> is taken twice, told to its owner"], minutes=40)  # fmt: skip
    chatter(stage, "college/sheets", ["WARN  sheets: font Garamond not found, Times taken", "INFO  sheets: sheet <1000-9999> made"], count=12, minutes=40)  # fmt: skip
    chatter(stage, "web/campus", ["POST /enrol 201 <120-260>ms", "GET /weeks 200 <20-50>ms"], minutes=40)


def _metrics(stage: Stage) -> None:
    """Once a minute for three hours; the last value is at 14:25, and the register failed from 14:02 until past 14:08."""
    count = 180
    ago = [count - 1 - n for n in range(count)]
    here: Body = {"namespace": "college", "application": "enrol", "name": "address-register"}
    opened = [15 <= a <= 22 and a not in (20, 17) for a in ago]
    stage.metric("breaker", 'max by (namespace, application, name, state) (resilience4j_circuitbreaker_state{application="enrol"})', [
        ({**here, "state": "open"}, [float(one) for one in opened]),
        ({**here, "state": "half_open"}, [float(a in (20, 17)) for a in ago]),
        ({**here, "state": "closed"}, [float(not 15 <= a <= 22) for a in ago]),
    ])  # fmt: skip
    stage.metric("breaker-30m", 'max by (namespace, application, name, state) (max_over_time(resilience4j_circuitbreaker_state{application="enrol",state="open"}[30m]))', [
        ({**here, "state": "open"}, [float(a <= 22) for a in ago]),
    ])  # fmt: skip
    calls = about(0.103, count, noise=0.15)
    stage.metric("calls", 'sum by (namespace, application, name, kind) (rate(resilience4j_circuitbreaker_calls_seconds_count{application="enrol"}[1m]))', [
        ({**here, "kind": "successful"}, [0.0 if 15 <= a <= 22 else c for a, c in zip(ago, calls, strict=True)]),
        ({**here, "kind": "failed"}, [c if a == 22 else 0.05 if a in (20, 17) else 0.0 for a, c in zip(ago, calls, strict=True)]),
    ])  # fmt: skip
    waits = {22: 9.0, 21: 14.0, 20: 21.0, 19: 28.0, 18: 37.0, 17: 44.0, 16: 53.0, 15: 56.0, 14: 50.0, 13: 38.0, 12: 25.0, 11: 12.0, 10: 2.0}  # fmt: skip
    stage.metric("addresses-waiting", 'max by (namespace, service) (addresses_to_check{namespace="college"})', [
        ({"namespace": "college", "service": "address-check"}, [waits.get(a, 0.0) for a in ago]),
    ])  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[1m])) / sum by (namespace, service) (rate(http_requests_total[1m]))', [
        ({"namespace": "college", "service": "enrol"}, about(0.0002, count, noise=0.9)),
        ({"namespace": "web", "service": "campus"}, about(0.0003, count, noise=0.9)),
    ])  # fmt: skip
    stage.metric("enrolments", 'sum by (namespace, service) (increase(enrolments_total[5m]))', [
        ({"namespace": "college", "service": "enrol"}, whole(about(31, count, noise=0.12))),
    ])  # fmt: skip
