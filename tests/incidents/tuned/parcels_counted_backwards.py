"""A rule takes the difference of a counter, which begins at zero again when its program is restarted."""

from __future__ import annotations

from tests.incidents.curves import Values, about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="ParcelIntakeFell asks delta() of a counter, and a rollout of seventeen minutes ago let it begin at zero",
    half=Half.tuned,
    story=(
        "Release 6.3.1 of the intake went out in the morning, as one does each week. Its pods keep their names, so their counters of accepted parcels"
        " go on as the same series and begin at zero. delta() does not know of resets and says that parcels were taken back. As many come in as"
        " before the release; nobody gets an error. The rule has to ask rate() or increase()."
    ),
    sources=[
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#delta",
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#rate",
        "https://www.robustperception.io/how-does-a-prometheus-counter-work/",
    ],
    labels={
        "alertname": "ParcelIntakeFell",
        "severity": "critical",
        "namespace": "parcels",
        "service": "intake",
    },
    annotations={"summary": "intake accepts fewer parcels than half an hour ago."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.crd("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
    stage.apply([
        *system(),
        config_map("parcels/intake-depots", {"depots.yaml": "depots: [north, south, harbour]\ncutoff: '18:30'\n"}),
        stateful_set("parcels/intake", container("intake", "parcels/intake:6.3.0", port=8080, ready="/ready", alive="/alive", memory=("256Mi", "512Mi"), mounts={"depots": "/etc/intake"},
                                                 env={"LEDGER": "ledger.parcels.svc.cluster.local:5432"}), replicas=3, pod={"volumes": [{"name": "depots", "configMap": {"name": "intake-depots"}}]}),
        service("parcels/intake", 80, 8080),
        stateful_set("parcels/ledger", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))),
        service("parcels/ledger", 5432, headless=True),
        deployment("parcels/tracking", container("tracking", "parcels/tracking:3.20.0", port=8080, ready="/ready", env={"INTAKE_URL": "http://intake.parcels.svc"})),
        service("parcels/tracking", 80, 8080),
        deployment("parcels/labels", container("labels", "parcels/labels:2.0.9", port=8080, ready="/ready"), replicas=1),
        deployment("web/counter", container("counter", "web/counter:18.4.0", port=3000, ready="/up", env={"INTAKE_URL": "http://intake.parcels.svc"}), replicas=3),
        service("web/counter", 80, 3000),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "intake", "namespace": "parcels"},
         "spec": {"selector": {"matchLabels": {"app": "intake"}}, "endpoints": [{"port": "main", "metricRelabelings": [{"action": "labeldrop", "regex": "instance|endpoint"}]}]}},
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "intake", "namespace": "parcels"},
         "spec": {"groups": [{"name": "intake", "rules": [
             {"alert": "ParcelIntakeFell", "expr": "sum by (namespace, service) (delta(parcels_accepted_total[30m])) < 0", "for": "5m", "labels": {"severity": "critical"},
              "annotations": {"summary": "{{ $labels.service }} accepts fewer parcels than half an hour ago."}},
             {"alert": "IntakeErrors", "expr": 'sum by (namespace, service) (rate(http_requests_total{service="intake",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{service="intake"}[5m])) > 0.02', "for": "5m", "labels": {"severity": "critical"}},
         ]}]}},
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=20, hours=23)
    stage.edit(
        "configmaps/parcels/intake-depots",
        lambda body: body["data"].update({"depots.yaml": "depots: [north, south, harbour, airport]\ncutoff: '18:30'\n"}),
    )  # fmt: skip
    stage.wait(minutes=21)
    began = stage.now
    stage.kubectl(
        "set",
        "image",
        "statefulset/intake",
        "intake=registry.example.com/parcels/intake:6.3.1",
        "-n",
        "parcels",
    )
    stage.calm()
    stage.wait(minutes=17)
    stage.heartbeat()
    took = (stage.now - began).total_seconds() / 60
    for pod in stage.pods("parcels/intake"):
        stage.log(f"parcels/{pod['metadata']['name']}", printed(stage.ago(minutes=16), [
            '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"intake 6.3.1 listens","addr":":8080","depots":4}',
            *['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"parcel accepted","depot":"north","ms":<4-15>}',
              '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"parcel accepted","depot":"harbour","ms":<4-15>}',
              '{"level":"warn","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"weight rounded up","grams":<1-9>}'] * 14,
        ], every_s=22))  # fmt: skip
    chatter(stage, "parcels/tracking", ["INFO tracking: GET /p/<10000-99999> 200 <5-20>ms"])
    chatter(stage, "parcels/labels", ["INFO labels: printed <1-4> labels"])
    chatter(stage, "parcels/ledger", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4)  # fmt: skip
    chatter(stage, "web/counter", ['{"level":30,"req":{"method":"POST","url":"/parcels"},"res":{"statusCode":201},"responseTime":<20-60>,"msg":"request completed"}'])  # fmt: skip
    _metrics(stage, round(took))
    stage.fire(minutes_ago=11)


def _metrics(stage: Stage, since: int) -> None:
    """Once a minute for two hours."""
    count = 120
    here = {"namespace": "parcels", "service": "intake"}
    stage.metric("accepted", "parcels_accepted_total", [
        ({"__name__": "parcels_accepted_total", **here, "pod": f"intake-{n}"}, _counter(814200 + 9000 * n, count - since + n % 2, since - n % 2))
        for n in range(3)
    ])  # fmt: skip
    stage.metric("accepted-rate", "sum by (namespace, service) (rate(parcels_accepted_total[5m]))", [
        (here, about(14.1, count, noise=0.06)),
    ])  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        (here, about(0.0004, count, noise=0.8)),
        ({"namespace": "web", "service": "counter"}, about(0.0005, count, noise=0.8)),
    ])  # fmt: skip
    stage.metric("delta", "sum by (namespace, service) (delta(parcels_accepted_total[30m]))", [
        (here, [*about(25400, count - since, noise=0.03), *about(-2400000, since, noise=0.01)]),
    ])  # fmt: skip


def _counter(begin: float, before: int, since: int) -> Values:
    """A counter that grows by about 282 a minute, and begins again."""
    return [*(begin + 282.0 * n for n in range(before)), *(282.0 * n for n in range(since))]
