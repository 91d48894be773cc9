"""A database on a local disk lost its node to the cluster autoscaler; a page two services away fails, and a note blames a password."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

Body = dict[str, Any]

INCIDENT = Incident(
    title="The autoscaler removed node-d, on whose disk the tariff database lives, and the portal shows no offers",
    half=Half.tuned,
    story=(
        "The tariff database keeps its data on a local PersistentVolume of node-d, a node that was added for it weeks ago. Since its"
        " neighbours moved away, node-d was little used; twenty-five minutes ago the cluster autoscaler drained and deleted it."
        " The new pod of the database fits no node, as its volume is tied to node-d. Offers cannot reach it, and the portal in front"
        " answers with errors. This morning the database's password was renewed on both sides, and the rule's text still says that"
        " it is always that."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/storage/volumes/#local",
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#node-affinity",
        "https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-types-of-pods-can-prevent-ca-from-removing-a-node",
        "https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/framework/plugins/volumebinding/volume_binding.go",
    ],
    labels={
        "alertname": "HttpErrorBudgetBurn",
        "namespace": "web",
        "service": "portal",
        "severity": "critical",
        "window": "5m",
    },
    annotations={
        "summary": "portal answers more than 5 % of its requests with 5xx.",
        "description": "Nearly always it is the tariffs password again: if Secret tariffs-login was renewed today, put the old one back and restart offers.",
    },
    causes=["PersistentVolume/_cluster/tariffs-local-0", "PersistentVolumeClaim/pricing/data-tariffs-0", "Node/_cluster/node-d"],
    says=[["node-d"], ["node affinity", "nodeAffinity", "local", "tied to", "pinned", "bound to"]],
    innocent=[
        "Deployment/web/portal", "Service/web/portal", "Deployment/booking/offers", "Secret/booking/tariffs-login", "Secret/pricing/tariffs-login",
        "Deployment/kube-system/cluster-autoscaler",
    ],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
    authored=["cluster-autoscaler"],
)  # fmt: skip

AUTOSCALER_STATUS = """\
time: {at}
autoscalerStatus: Running
clusterWide:
  health:
    status: Healthy
    nodeCounts:
      registered:
        total: 3
        ready: 3
        notStarted: 0
  scaleUp:
    status: NoActivity
  scaleDown:
    status: NoCandidates
"""


def play(stage: Stage) -> None:
    stage.add_node("node-d", labels={"disks": "local-nvme"})
    stage.apply([
        *system(),
        deployment("kube-system/cluster-autoscaler", container("cluster-autoscaler", "autoscaling/cluster-autoscaler:v1.36.0", memory=("300Mi", "600Mi"),
                                                               args=["--scale-down-utilization-threshold=0.5", "--skip-nodes-with-local-storage=false", "--expander=least-waste"]), replicas=1),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local-nvme"}, "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"},
        {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "tariffs-local-0"},
            "spec": {
                "capacity": {"storage": "80Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "local-nvme",
                "local": {"path": "/mnt/disks/0"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-d"]}]}]}},
            },
        },
        secret("pricing/tariffs-login", {"password": ""}), secret("booking/tariffs-login", {"password": ""}),
        stateful_set("pricing/tariffs", container("mysql", "mysql:8.4.3", port=3306, memory=("1Gi", "2Gi"), mounts={"data": "/var/lib/mysql"},
                                                  env={"MYSQL_ROOT_PASSWORD": from_secret("tariffs-login", "password")}), claims={"data": ("local-nvme", "80Gi")}),
        service("pricing/tariffs", 3306, headless=True),
        deployment("pricing/editor", container("editor", "pricing/editor:2.2.0", port=8080, ready="/"), replicas=1),
        service("pricing/editor", 80, 8080),
        config_map("booking/offers", {"application.yaml": "spring:\n  datasource:\n    url: jdbc:mysql://tariffs.pricing.svc.cluster.local:3306/tariffs\nserver:\n  port: 8080\n"}),
        deployment("booking/offers", container("offers", "booking/offers:19.4.0", port=8080, alive="/actuator/health/liveness", memory=("512Mi", "1Gi"), mounts={"config": "/config"},
                                               env={"SPRING_DATASOURCE_PASSWORD": from_secret("tariffs-login", "password")}), replicas=3,
                   pod={"volumes": [{"name": "config", "configMap": {"name": "offers"}}]}),
        service("booking/offers", 80, 8080),
        deployment("booking/seats", container("seats", "booking/seats:5.1.1", port=8080, ready="/actuator/health/readiness")),
        service("booking/seats", 80, 8080),
        deployment("web/portal", container("portal", "web/portal:2026.11.2", port=3000, ready="/ping", env={"OFFERS_API": "http://offers.booking.svc.cluster.local", "SEATS_API": "http://seats.booking.svc.cluster.local"}), replicas=3),
        service("web/portal", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=24, hours=1, minutes=11)
    _renew_password(stage)
    stage.wait(hours=3, minutes=20)
    stage.kubectl(
        "set", "image", "deployment/portal", "portal=registry.example.com/web/portal:2026.11.3", "-n", "web"
    )
    stage.calm()
    stage.wait(minutes=14)
    _scale_down(stage)
    gone = stage.ago(minutes=9)
    stage.wait(minutes=16)
    stage.heartbeat()
    for pod in stage.pods("booking/offers-"):
        stage.log(f"booking/{pod['metadata']['name']}", printed(gone, [
            "<%Y-%m-%dT%H:%M:%S.%3>Z ERROR 1 --- [nio-8080-exec-<1-9>] c.z.h.p.HikariPool : HikariPool-1 - Connection is not available, request timed out after 30000ms (total=0, active=0, idle=0, waiting=<10-40>)",
            "<%Y-%m-%dT%H:%M:%S.%3>Z  WARN 1 --- [nio-8080-exec-<1-9>] o.h.e.j.s.SqlExceptionHelper : SQL Error: 0, SQLState: 08S01: Communications link failure: java.net.UnknownHostException: tariffs.pricing.svc.cluster.local: Name or service not known",
            "<%Y-%m-%dT%H:%M:%S.%3>Z ERROR 1 --- [nio-8080-exec-<1-9>] b.o.OfferController : GET /v3/offers failed: Could not open JPA EntityManager for transaction",
        ] * 8, every_s=60))  # fmt: skip
    chatter(
        stage,
        "web/portal-",
        [
            '{"level":"error","msg":"offers api answered","status":500,"path":"/v3/offers","ms":<29980-30120>}',
            '{"level":"info","msg":"rendered","path":"/seats","ms":<20-80>}',
        ],
    )
    chatter(
        stage,
        "booking/seats-",
        [
            "<%Y-%m-%dT%H:%M:%S.%3>Z  INFO 1 --- [nio-8080-exec-<1-9>] b.s.SeatController : <1-40> seats free on flight <100-999>"
        ],
    )
    stage.log("kube-system/cluster-autoscaler", printed(gone, [
        "I<%m%d %H:%M:%S>.000000       1 eligibility.go:162] Node node-d - cpu requested is 2.50% of allocatable",
        "I<%m%d %H:%M:%S>.000000       1 actuator.go:219] Scale-down: removing node node-d, utilization: {0.025 0.0625 0 cpu 0.025}, pods to reschedule: tariffs-0",
        "I<%m%d %H:%M:%S>.000000       1 drain.go:148] All pods removed from node-d",
        *["I<%m%d %H:%M:%S>.000000       1 klogx.go:87] Pod pricing/tariffs-0 can't be scheduled on any node group, predicate checking error: node(s) didn't match PersistentVolume's node affinity"] * 6,
    ], every_s=60))  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "web", "service": "portal"}, [*about(0.001, 40, noise=0.4), *slope(0.05, 0.31, 4), *about(0.33, 21)]),
        ({"namespace": "booking", "service": "seats"}, about(0.001, 65, noise=0.4)),
    ])  # fmt: skip
    stage.metric("tariffs-ready", 'kube_statefulset_status_replicas_ready{namespace="pricing"}', [
        ({"namespace": "pricing", "statefulset": "tariffs"}, whole([1.0] * 39 + [0.0] * 26)),
    ])  # fmt: skip
    stage.fire(minutes_ago=19)


def _renew_password(stage: Stage) -> None:
    """On both sides, and everybody restarted: nothing is wrong with it."""

    def renewed(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})["renewed-at"] = stage.now.strftime("%Y-%m-%d %H:%M")

    for namespace in ("pricing", "booking"):
        stage.edit(f"secrets/{namespace}/tariffs-login", renewed, manager="password-rotation")
    stage.restart("deployments/booking/offers")
    stage.calm()


def _scale_down(stage: Stage) -> None:
    """As the cluster autoscaler does it: taint, evict, delete the node."""
    node = stage.get("nodes/_cluster/node-d")
    stage.kubectl("taint", "node", "node-d", "ToBeDeletedByClusterAutoscaler=1764000000:NoSchedule")
    stage.event(
        node,
        "ScaleDown",
        "marked the node as toBeDeleted/unschedulable",
        kind="Normal",
        component="cluster-autoscaler",
    )
    old = stage.get("pods/pricing/tariffs-0")
    stage.event(
        old, "ScaleDown", "deleting pod for node scale down", kind="Normal", component="cluster-autoscaler"
    )
    stage.evict("pricing/tariffs")
    stage.calm(unfinished=["pricing/tariffs"])
    stuck = _looked_at(stage)
    stage.kubectl("delete", "node", "node-d", "--wait=false")
    stage.kubelets.pop("node-d")
    stage.event(
        node, "ScaleDown", "node removed by cluster autoscaler", kind="Normal", component="cluster-autoscaler"
    )
    for pod in stage.cluster.get("pods", "-A")["items"]:
        if pod["spec"].get("nodeName") == "node-d":
            # What the pod collector does a minute after a node is gone.
            meta = pod["metadata"]
            stage.kubectl(
                "delete", "pod", meta["name"], "-n", meta["namespace"], "--force", "--grace-period=0"
            )
    stage.calm(unfinished=["pricing/tariffs"])
    stage.wait(minutes=9)
    # Somebody hopes that a new pod helps.
    stage.delete("pods/pricing/tariffs-0")
    stage.cluster.until(
        "a new pod", lambda: any(p["metadata"]["uid"] != stuck for p in stage.pods("pricing/tariffs"))
    )
    _looked_at(stage)
    stage.event(
        stage.get("pods/pricing/tariffs-0"), "NotTriggerScaleUp",
        "pod didn't trigger scale-up: 1 node(s) didn't match PersistentVolume's node affinity", kind="Normal", component="cluster-autoscaler", count=9,
    )  # fmt: skip
    stage.apply(
        [
            config_map(
                "kube-system/cluster-autoscaler-status",
                {
                    "status": AUTOSCALER_STATUS.format(
                        at=stage.now.strftime("%Y-%m-%d %H:%M:%S.000000000 +0000 UTC")
                    )
                },
            )
        ]
    )
    stage.calm(unfinished=["pricing/tariffs"])


def _looked_at(stage: Stage) -> str:
    """The database's pod is there and the scheduler has refused it; returns its uid."""

    def refused() -> list[Body]:
        return [
            p
            for p in stage.pods("pricing/tariffs")
            if not p["spec"].get("nodeName") and p["status"].get("conditions")
        ]

    stage.cluster.until("the scheduler looked", lambda: bool(refused()))
    return str(refused()[0]["metadata"]["uid"])
