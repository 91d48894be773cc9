"""An exercise of the weekly kind made one service answer late for eight minutes; the rule's half an hour has it still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="GateSlow after the exercise of Tuesday at ten: Chaos Mesh delayed the weather's answers for eight minutes, and the quantile of half an hour remembers it",
    half=Half.tuned,
    story=(
        "Each Tuesday at ten a Schedule of Chaos Mesh delays what goes out of weather by 700 ms, for eight minutes. gate asks weather for each plan and was slow for as long, but answered everything. The"
        " delay was taken back at eight past ten, as last week; since then gate is as fast as before. The rule looks at the 99th percentile of half an hour. Taxiways were edited at nine, crews was released"
        " yesterday, and the experiment of last week is kept as the Schedule keeps two."
    ),
    sources=[
        "https://chaos-mesh.org/docs/define-scheduling-rules/",
        "https://chaos-mesh.org/docs/inspect-chaos-experiments/",
        "https://chaos-mesh.org/docs/simulate-network-chaos-on-kubernetes/",
        "https://prometheus.io/docs/practices/histograms/",
    ],
    labels={"alertname": "GateSlow", "severity": "critical", "namespace": "airfield", "service": "gate", "team": "ground"},
    annotations={"summary": "The slowest hundredth of gate's requests took more than 600 ms within half an hour."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["chaos-mesh status", "chaos-mesh objects", "chaos-mesh events"],
)  # fmt: skip

GROUP = "chaos-mesh.org"

RULES = """\
groups:
- name: airfield
  rules:
  - alert: GateSlow
    expr: histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{service="gate"}[30m]))) > 0.6
    for: 2m
    labels: {severity: critical, team: ground}
"""

DELAY: Body = {
    "action": "delay", "mode": "all", "duration": "8m", "direction": "to",
    "selector": {"namespaces": ["airfield"], "labelSelectors": {"app": "weather"}},
    "delay": {"latency": "700ms", "jitter": "50ms", "correlation": "25"},
}  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1alpha1", "Schedule", "schedules")
    stage.crd(GROUP, "v1alpha1", "NetworkChaos", "networkchaos")
    stage.apply([
        *system(),
        deployment("chaos-mesh/chaos-controller-manager", container("chaos-mesh", "chaos-mesh/chaos-mesh:v2.7.3", port=10080, memory=("256Mi", "512Mi")), replicas=1),
        config_map("alerting/airfield-rules", {"airfield.yaml": RULES}),
        deployment("airfield/gate", container("gate", "airfield/gate:14.6.0", port=8080, ready="/ready", alive="/alive", env={"WEATHER_URL": "http://weather.airfield.svc", "WEATHER_TIMEOUT": "2s", "CREWS_URL": "http://crews.airfield.svc", "DB_HOST": "plans.airfield.svc"}), replicas=3), service("airfield/gate", 80, 8080),
        deployment("airfield/weather", container("weather", "airfield/weather:6.0.5", port=8080, ready="/ready")), service("airfield/weather", 80, 8080),
        deployment("airfield/crews", container("crews", "airfield/crews:9.1.0", port=8080, ready="/ready")), service("airfield/crews", 80, 8080),
        stateful_set("airfield/plans", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("airfield/plans", 5432, headless=True),
        config_map("airfield/taxiways", {"closed.yaml": "closed: [B4]\n"}),
        deployment("web/boards", container("boards", "web/boards:22.8.0", port=3000, ready="/up", env={"GATE_URL": "http://gate.airfield.svc"})), service("web/boards", 80, 3000),
        {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Schedule", "metadata": {"name": "weather-late", "namespace": "airfield"}, "spec": {
            "schedule": "0 10 * * 2", "historyLimit": 2, "concurrencyPolicy": "Forbid", "type": "NetworkChaos", "networkChaos": DELAY}},
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 17, 10, 0, 1, tzinfo=UTC))
    _exercise(stage, "weather-late-q8zrd")
    stage.clock.until(datetime(2026, 11, 23, 14, 7, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/crews", "crews=registry.example.com/airfield/crews:9.1.1", "-n", "airfield")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 24, 9, 3, tzinfo=UTC))
    stage.edit("configmaps/airfield/taxiways", lambda body: body["data"].update({"closed.yaml": "closed: [B4, C1]\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 24, 10, 0, 1, tzinfo=UTC))
    _exercise(stage, "weather-late-x2m7k")
    stage.clock.until(datetime(2026, 11, 24, 10, 25, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=21)


def _exercise(stage: Stage, name: str) -> None:
    """What Chaos Mesh does with one experiment of the Schedule, from its beginning to its end."""
    place = f"networkchaos/airfield/{name}"
    owner = stage.get("schedules/airfield/weather-late")
    stage.apply([{
        "apiVersion": f"{GROUP}/v1alpha1", "kind": "NetworkChaos",
        "metadata": {
            "name": name, "namespace": "airfield", "labels": {"managed-by": "weather-late"},
            "ownerReferences": [{"apiVersion": f"{GROUP}/v1alpha1", "kind": "Schedule", "name": "weather-late", "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": DELAY,
    }], manager="chaos-controller-manager")  # fmt: skip
    stage.status("schedules/airfield/weather-late", {"time": stage.stamp(), "active": [{"apiVersion": f"{GROUP}/v1alpha1", "kind": "NetworkChaos", "namespace": "airfield", "name": name}]}, manager="chaos-controller-manager")  # fmt: skip
    _told(stage, owner, "Spawned", f"Create new object: {name}")
    chaos = stage.get(place)
    pods = [f"airfield/{pod['metadata']['name']}" for pod in stage.pods("airfield/weather-")]
    _state(stage, place, pods, injected=True)
    _told(stage, chaos, "Started", "Experiment has started")
    for pod in pods:
        _told(stage, chaos, "Applied", f"Successfully apply chaos for {pod}")
    stage.wait(minutes=8)
    _state(stage, place, pods, injected=False)
    _told(stage, chaos, "TimeUp", "Time up according to the duration")
    for pod in pods:
        _told(stage, chaos, "Recovered", f"Successfully recover chaos for {pod}")
    stage.status("schedules/airfield/weather-late", {"active": []}, manager="chaos-controller-manager")


def _told(stage: Stage, about_: Body, reason: str, message: str) -> None:
    stage.event(about_, reason, message, kind="Normal", component="chaos-controller-manager")


def _state(stage: Stage, place: str, pods: list[str], *, injected: bool) -> None:
    def said(yes: bool) -> str:
        return "True" if yes else "False"

    stage.status(place, {
        "conditions": [
            {"type": "Selected", "status": "True"}, {"type": "AllInjected", "status": said(injected)},
            {"type": "AllRecovered", "status": said(not injected)}, {"type": "Paused", "status": "False"},
        ],
        "experiment": {"desiredPhase": "Run" if injected else "Stop", "containerRecords": [
            {"id": pod, "selectorKey": ".", "phase": "Injected" if injected else "Not Injected", "injectedCount": 1, "recoveredCount": int(not injected)} for pod in pods
        ]},
    }, manager="chaos-controller-manager")  # fmt: skip


def _logs(stage: Stage) -> None:
    ten = datetime(2026, 11, 24, 10, 0, 1, tzinfo=UTC)
    fast = "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  gate: POST /plans 201 <60-140>ms (weather <12-30>ms)"
    slow = "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  gate: POST /plans 201 <790-960>ms (weather <690-780>ms)"
    late = "<%Y-%m-%dT%H:%M:%S.%3>Z WARN  gate: weather took <690-780>ms, more than 500ms"
    other = "<%Y-%m-%dT%H:%M:%S.%3>Z WARN  gate: plan <10000-99999> names taxiway C1, which is closed"
    for n, pod in enumerate(stage.pods("airfield/gate")):
        stage.log(f"airfield/{pod['metadata']['name']}", "\n".join([
            printed(ten - timedelta(minutes=12) + timedelta(seconds=4 * n), [fast, fast, other, fast] * 5, every_s=34),
            printed(ten + timedelta(seconds=5 + 4 * n), [late, slow] * 7, every_s=32),
            printed(ten + timedelta(minutes=8, seconds=12 + 4 * n), [fast, fast, fast, other] * 7, every_s=34),
        ]))  # fmt: skip
    chatter(stage, "airfield/weather", ["INFO  weather: GET /at/EDXX 200 <10-24>ms", "INFO  weather: report of <10-23>:50 read", "WARN  weather: station 4 sent nothing, its last value is kept"], count=30, minutes=40)  # fmt: skip
    chatter(stage, "airfield/crews", ["INFO  crews: GET /crews/<100-999> 200 <5-15>ms"], minutes=40)
    chatter(stage, "airfield/plans", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=6, minutes=40)  # fmt: skip
    chatter(stage, "web/boards", ["GET /boards/1 200 <20-60>ms"], minutes=40)
    pods = [f"airfield/{pod['metadata']['name']}" for pod in stage.pods("airfield/weather-")]
    stage.log("chaos-mesh/chaos-controller-manager", "\n".join([
        printed(ten, [
            "<%Y-%m-%dT%H:%M:%S.%3>Z INFO schedule.scheduler-reconciler create new object {\"name\": \"weather-late-x2m7k\"}",
            *(f'<%Y-%m-%dT%H:%M:%S.%3>Z INFO records.networkchaos apply chaos {{"id": "{pod}"}}' for pod in pods),
        ]),
        printed(ten + timedelta(minutes=8, seconds=2), [
            '<%Y-%m-%dT%H:%M:%S.%3>Z INFO desiredphase.networkchaos time up according to the duration {"name": "weather-late-x2m7k"}',
            *(f'<%Y-%m-%dT%H:%M:%S.%3>Z INFO records.networkchaos recover chaos {{"id": "{pod}"}}' for pod in pods),
        ]),
    ]))  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every five minutes for eight days, with last week's exercise in them; and once a minute for an hour and a half."""
    here: Body = {"namespace": "airfield", "service": "gate"}
    count, step = 8 * 288, 300
    end = stage.now.replace(microsecond=0)
    times = [end - timedelta(seconds=step * (count - 1 - n)) for n in range(count)]
    since_ten = [at.hour * 60 + at.minute - 600 if at.weekday() == 1 else -1 for at in times]
    stage.metric("p99-30m", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{service="gate"}[30m])))', [
        (here, [slow if 1 <= m < 38 else fast for m, slow, fast in zip(since_ten, about(0.94, count, noise=0.02), about(0.19, count, noise=0.06), strict=True)]),
    ], step_s=step)  # fmt: skip
    minutes = 90
    # Two minutes until a rate over two minutes knows nothing more of what was.
    late = [15 < minutes - 1 - n <= 24 for n in range(minutes)]
    stage.metric("p99", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[2m])))', [
        (here, [slow if one else fast for one, slow, fast in zip(late, about(0.95, minutes, noise=0.02), about(0.18, minutes, noise=0.06), strict=True)]),
        ({"namespace": "airfield", "service": "crews"}, about(0.021, minutes, noise=0.1)),
    ])  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total[2m]))', [
        (here, about(0.0003, minutes, noise=0.9)),
        ({"namespace": "airfield", "service": "weather"}, about(0.0002, minutes, noise=0.9)),
    ])  # fmt: skip
    stage.metric("requests", "sum by (namespace, service) (rate(http_requests_total[2m]))", [(here, about(5.2, minutes, noise=0.1))])  # fmt: skip
