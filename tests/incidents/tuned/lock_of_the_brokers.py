"""Of two brokers one holds the lock and the other waits for it with its port closed; a new rule calls that a pod not ready."""

from __future__ import annotations

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="PodNotReadyForLong of the second broker, which waits for the lock that the first one holds, as it has done since it was installed",
    half=Half.tuned,
    story=(
        "The brokers share a database and one lease in it. Who has the lease opens port 61616, the other one waits and keeps it closed, so that the Service never sends anybody there. This has been so"
        " for 26 days. A rule on pods that are not ready for an hour was rolled out 100 minutes ago and finds the one that waits. Orders go through without a queue. The venue's calendar was edited"
        " and fills was released today; its log tells of clients that closed without a word, as ever."
    ),
    sources=[
        "https://activemq.apache.org/components/classic/documentation/pluggable-storage-lockers",
        "https://activemq.apache.org/components/classic/documentation/jdbc-master-slave",
        "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/pod-metrics.md",
    ],
    labels=kube_prometheus("PodNotReadyForLong", namespace="exchange", pod="broker-1", condition="true"),
    annotations={"summary": "Pod exchange/broker-1 has not been ready for more than an hour."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["rules of Prometheus"],
)  # fmt: skip

SETTINGS = """\
<broker xmlns="http://activemq.apache.org/schema/core" brokerName="${HOSTNAME}" persistent="true">
  <persistenceAdapter>
    <jdbcPersistenceAdapter dataSource="#store-ds" lockKeepAlivePeriod="5000">
      <locker><lease-database-locker lockAcquireSleepInterval="10000"/></locker>
    </jdbcPersistenceAdapter>
  </persistenceAdapter>
  <transportConnectors><transportConnector name="openwire" uri="tcp://0.0.0.0:61616"/></transportConnectors>
</broker>
"""


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.hold("exchange/broker-1")
    stage.apply([
        *system(),
        config_map("exchange/broker-settings", {"activemq.xml": SETTINGS}),
        stateful_set(
            "exchange/broker", container("activemq", "activemq/classic:6.1.8", port=61616, cpu="300m", memory=("1Gi", "2Gi"), mounts={"settings": "/opt/activemq/conf"}, env={"STORE": "jdbc:postgresql://store.exchange.svc:5432/broker"},
                                         readinessProbe={"tcpSocket": {"port": 61616}, "periodSeconds": 10}),
            replicas=2, podManagementPolicy="Parallel", updateStrategy={"type": "OnDelete"}, pod={"volumes": [{"name": "settings", "configMap": {"name": "broker-settings"}}]},
        ), service("exchange/broker", 61616),
        stateful_set("exchange/store", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("exchange/store", 5432, headless=True),
        deployment("exchange/orders", container("orders", "exchange/orders:22.1.0", port=8080, ready="/ready", alive="/alive", env={"BROKER_URL": "failover:(tcp://broker.exchange.svc:61616)"}), replicas=3), service("exchange/orders", 80, 8080),
        deployment("exchange/fills", container("fills", "exchange/fills:9.0.1", port=8080, ready="/ready", env={"BROKER_URL": "failover:(tcp://broker.exchange.svc:61616)", "CALENDAR": "/etc/fills/venues.yaml"}, mounts={"venues": "/etc/fills"}), pod={"volumes": [{"name": "venues", "configMap": {"name": "venues"}}]}), service("exchange/fills", 80, 8080),
        config_map("exchange/venues", {"venues.yaml": "north: 09:00-17:30\nsouth: 08:00-16:30\n"}),
        deployment("dealers/blotter", container("blotter", "dealers/blotter:17.4.0", port=3000, ready="/up", env={"ORDERS_URL": "http://orders.exchange.svc", "FILLS_URL": "http://fills.exchange.svc"}), replicas=3), service("dealers/blotter", 80, 3000),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "nodes", "namespace": "alerting"},
         "spec": {"groups": [{"name": "nodes", "rules": [{"alert": "NodeDown", "expr": 'up{job="kubelet"} == 0', "for": "10m", "labels": {"severity": "critical"}}]}]}},
    ])  # fmt: skip
    stage.calm()
    stage.unready("exchange/broker-1")
    stage.wait(days=11, hours=3)
    stage.recovered(f"dealers/{stage.pods('dealers/blotter')[0]['metadata']['name']}", restarts=2, code=137, reason="OOMKilled", lived_s=400000)  # fmt: skip
    stage.wait(days=15, hours=1, minutes=20)
    stage.edit("configmaps/exchange/venues", lambda body: body["data"].update({"venues.yaml": "north: 09:00-17:30\nsouth: 08:00-13:00\n"}))  # fmt: skip
    stage.wait(minutes=14)
    stage.kubectl("set", "image", "deployment/fills", "fills=registry.example.com/exchange/fills:9.0.2", "-n", "exchange")  # fmt: skip
    stage.calm()
    stage.wait(minutes=31)
    stage.apply([
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "pods-by-readiness", "namespace": "alerting"},
         "spec": {"groups": [{"name": "pods", "rules": [
             {"alert": "PodNotReadyForLong", "expr": 'kube_pod_status_ready{condition="true"} == 0 unless on (namespace, pod) kube_pod_status_phase{phase="Succeeded"} == 1', "for": "1h", "labels": {"severity": "warning"},
              "annotations": {"summary": "Pod {{ $labels.namespace }}/{{ $labels.pod }} has not been ready for more than an hour."}}]}]}},
    ])  # fmt: skip
    stage.wait(minutes=100)
    pod = stage.pods("exchange/broker-1")[0]
    stage.told(pod, "Unhealthy", f"Readiness probe failed: dial tcp {pod['status'].get('podIP', '10.244.1.6')}:61616: connect: connection refused", kind="Warning", count=226311, container="activemq")  # fmt: skip
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=39)


def _logs(stage: Stage) -> None:
    stage.log("exchange/broker-1", printed(stage.ago(minutes=58), [
        " INFO | broker-1 Lease held by broker-0 till <%Y-%m-%dT%H:%M:%S.%3>Z | org.apache.activemq.store.jdbc.LeaseDatabaseLocker | main",
        " INFO | broker-1 failed to acquire lease.  Sleeping for 10000 milli(s) before trying again... | org.apache.activemq.store.jdbc.LeaseDatabaseLocker | main",
    ] * 40, every_s=43))  # fmt: skip
    stage.log("exchange/broker-0", printed(stage.ago(minutes=58), [
        " WARN | Transport Connection to: tcp://10.244.<0-2>.<4-19>:<30000-60000> failed: java.io.EOFException | org.apache.activemq.broker.TransportConnection.Transport | ActiveMQ Transport: tcp:///10.244.1.9:41230@61616",
        " INFO | broker-0 lease kept till <%Y-%m-%dT%H:%M:%S.%3>Z | org.apache.activemq.store.jdbc.LeaseDatabaseLocker | ActiveMQ JDBC PA Scheduled Task",
        " INFO | Stopped tcp://10.244.<0-2>.<4-19>:<30000-60000> due to peer's close | org.apache.activemq.broker.TransportConnection | ActiveMQ Task-<1-9>",
    ] * 16, every_s=70))  # fmt: skip
    chatter(stage, "exchange/store", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", "<%Y-%m-%d %H:%M:%S.%3> UTC [<300-900>] LOG:  could not receive data from client: Connection reset by peer"], count=10, minutes=55)  # fmt: skip
    chatter(stage, "exchange/orders", ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"order taken","id":<1000000-9999999>,"ms":<6-25>}'], count=30, minutes=55)  # fmt: skip
    chatter(stage, "exchange/fills", ["INFO  fills: filled <1000000-9999999> at venue north", "WARN  fills: venue south closed at 13:00, orders are kept for tomorrow"], minutes=55)  # fmt: skip
    chatter(stage, "dealers/blotter", ["GET /orders 200 <9-40>ms", "POST /orders 201 <20-60>ms"], minutes=55)


def _metrics(stage: Stage) -> None:
    """Every ten minutes for seven days."""
    count, step = 7 * 144, 600
    here: Body = {"namespace": "exchange"}
    stage.metric("ready", 'kube_pod_status_ready{namespace="exchange",condition="true",pod=~"broker-.+"}', [
        ({**here, "pod": "broker-0", "condition": "true"}, [1.0] * count),
        ({**here, "pod": "broker-1", "condition": "true"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("passed", 'sum by (namespace, destination) (rate(activemq_queue_dequeue_count{namespace="exchange"}[5m]))', [
        ({**here, "destination": "orders"}, about(38, count, noise=0.3)),
    ], step_s=step)  # fmt: skip
    stage.metric("queued", 'sum by (namespace, destination) (activemq_queue_queue_size{namespace="exchange"})', [
        ({**here, "destination": "orders"}, whole(about(3, count, noise=0.9))),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({**here, "service": "orders"}, about(0.0002, count, noise=0.9)),
        ({"namespace": "dealers", "service": "blotter"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
