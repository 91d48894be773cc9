"""An autoscaler took most of a service's pods away when the counters closed, as each evening; a rule calls it a loss."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="ReplicasLost of receipts, which the downscaler brought from eight to two pods when the counters closed, as each evening",
    half=Half.tuned,
    story=(
        "The downscaler keeps receipts by the counters' hours: eight pods from eight to eight, two in the night. The rule compares the number of available replicas with that of an hour ago"
        " and fires below a half. Requests are few and answered. Prices were edited at five, as each Friday."
    ),
    sources=[
        "https://codeberg.org/hjacobs/kube-downscaler",
        "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/",
        "https://prometheus.io/docs/prometheus/latest/querying/basics/#offset-modifier",
    ],
    labels={
        "alertname": "ReplicasLost",
        "severity": "critical",
        "namespace": "tills",
        "deployment": "receipts",
        "job": "kube-state-metrics",
    },
    annotations={"summary": "receipts has lost more than half of its replicas within an hour."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["kube-downscaler"],
)


UPTIME = "Mon-Sun 08:00-20:00 Etc/UTC"


def play(stage: Stage) -> None:
    kept = deployment("tills/receipts", container("receipts", "tills/receipts:6.6.1", port=8080, ready="/ready", alive="/alive", env={"STORE": "slips.tills.svc:5432"}), replicas=8)  # fmt: skip
    kept["metadata"]["annotations"] = {"downscaler/uptime": UPTIME, "downscaler/downtime-replicas": "2"}
    stage.apply([
        *system(),
        kept,
        service("tills/receipts", 80, 8080),
        deployment("kube-system/kube-downscaler", container("downscaler", "hjacobs/kube-downscaler:23.2.0", args=["--interval=60"]), replicas=1),
        stateful_set("tills/slips", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("tills/slips", 5432, headless=True),
        config_map("tills/price-list", {"prices.csv": "apple,0.40\npear,0.55\n"}),
        deployment("tills/prices", container("prices", "tills/prices:2.2.2", port=8080, ready="/ready", mounts={"list": "/prices"}), pod={"volumes": [{"name": "list", "configMap": {"name": "price-list"}}]}), service("tills/prices", 80, 8080),
        deployment("web/till", container("till", "web/till:20.0.5", port=3000, ready="/up", env={"RECEIPTS_URL": "http://receipts.tills.svc", "PRICES_URL": "http://prices.tills.svc"}), replicas=3), service("web/till", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=10, hours=7, minutes=49)
    stage.edit("configmaps/tills/price-list", lambda body: body["data"].update({"prices.csv": "apple,0.45\npear,0.55\n"}))  # fmt: skip
    stage.wait(hours=3)
    stage.edit("deployments/tills/receipts", _for_the_night, manager="kube-downscaler")
    stage.calm()
    closed = stage.now
    stage.wait(minutes=22)
    stage.heartbeat()
    stage.log("kube-system/kube-downscaler", printed(closed, [
        f"<%Y-%m-%d %H:%M:%S,%3> INFO: Scaling down Deployment tills/receipts from 8 to 2 replicas (uptime: {UPTIME}, downtime: never)",
        *["<%Y-%m-%d %H:%M:%S,%3> DEBUG: Deployment tills/receipts has 2 replicas (original: 8, uptime: False)"] * 20,
    ], every_s=61))  # fmt: skip
    chatter(stage, "tills/receipts", ["INFO receipts: POST /receipts 201 <6-20>ms"], count=8)
    chatter(
        stage, "tills/slips", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4
    )
    chatter(stage, "tills/prices", ["INFO prices: GET /prices 200 <2-6>ms", "WARN prices: price of quince is unknown, article is left out"], count=8)  # fmt: skip
    chatter(stage, "web/till", ["GET /sales 200 <8-30>ms"], count=8)
    _metrics(stage)
    stage.fire(minutes_ago=15)


def _for_the_night(body: Body) -> None:
    body["metadata"]["annotations"]["downscaler/original-replicas"] = "8"
    body["spec"]["replicas"] = 2


def _metrics(stage: Stage) -> None:
    """Every ten minutes for five days."""
    count, step = 5 * 144, 600
    here: Body = {"namespace": "tills"}
    # The last value is 22 minutes after eight in the evening.
    open_ = [3 <= (count - 1 - n) % 144 <= 74 for n in range(count)]
    stage.metric("available", 'kube_deployment_status_replicas_available{namespace="tills"}', [
        ({**here, "deployment": "receipts"}, [8.0 if one else 2.0 for one in open_]),
        ({**here, "deployment": "prices"}, [2.0] * count),
    ], step_s=step)  # fmt: skip
    busy = about(46, count, noise=0.1)
    stage.metric("requests", 'sum by (namespace, service) (rate(http_requests_total{namespace="tills"}[5m]))', [
        ({**here, "service": "receipts"}, [b if one else 1.5 for one, b in zip(open_, busy, strict=True)]),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{namespace="tills",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{namespace="tills"}[5m]))', [
        ({**here, "service": "receipts"}, about(0.0003, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
    stage.metric("p99", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{namespace="tills"}[5m])))', [
        ({**here, "service": "receipts"}, about(0.021, count, noise=0.1)),
    ], step_s=step)  # fmt: skip
