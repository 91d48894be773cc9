"""Previews took the last addresses of the balancer's pool; the payment gateway's Service was made anew and gets none."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Two previews hold the pool's last addresses, so the re-created Service of the payment gateway has no address outside",
    half=Half.tuned,
    story=(
        "MetalLB's pool has four addresses. Two went to the front door and the payment gateway, two to previews of"
        " last week. Today the gateway's Service was deleted and made anew, to change its immutable name of the port's"
        " health check; meanwhile a third preview that had waited took the freed address. The gateway's pods are well and"
        " no caller outside reaches them."
    ),
    sources=[
        "https://metallb.io/configuration/",
        "https://metallb.io/concepts/",
        "https://github.com/metallb/metallb/blob/main/controller/service.go",
    ],
    labels={
        "alertname": "ProbeFailed", "job": "probe/pay/gateway", "namespace": "pay", "service": "gateway",
        "instance": "https://pay.example.com/healthz", "severity": "critical",
    },
    causes=["IPAddressPool/metallb-system/outside", "Service/pay/gateway", "Service/previews/pr-118", "Service/previews/pr-121", "Service/previews/pr-124"],
    says=[["address", "IP"], ["pool", "outside", "available"]],
    innocent=["Deployment/pay/gateway", "Deployment/pay/acquirer", "DaemonSet/metallb-system/speaker", "Deployment/metallb-system/controller"],
    authored=["metallb status"],
)  # fmt: skip

POOL = """
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: outside, namespace: metallb-system}
spec: {addresses: [198.51.100.20-198.51.100.23], autoAssign: true}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: outside, namespace: metallb-system}
spec: {ipAddressPools: [outside]}
"""


def _outside(place: str, port: int) -> Body:
    made = service(place, port, 8080)
    made["spec"]["type"] = "LoadBalancer"
    return made


def play(stage: Stage) -> None:
    stage.crd("metallb.io", "v1beta1", "IPAddressPool", "ipaddresspools")
    stage.crd("metallb.io", "v1beta1", "L2Advertisement", "l2advertisements")
    stage.apply(system())
    stage.apply(POOL)
    stage.apply([
        deployment("metallb-system/controller", container("controller", "metallb/controller:v0.15.2", port=7472), replicas=1),
        daemon_set("metallb-system/speaker", container("speaker", "metallb/speaker:v0.15.2", port=7472), pod={"hostNetwork": True}),
        deployment("edge/front", container("envoy", "envoy:v1.36.2", port=8080, ready="/ready")),
        _outside("edge/front", 443),
        deployment("pay/gateway", container("gateway", "pay/gateway:6.6.1", port=8080, ready="/healthz", env={"ACQUIRER": "http://acquirer.pay.svc.cluster.local:8080"}), replicas=3),
        _outside("pay/gateway", 443),
        deployment("pay/acquirer", container("acquirer", "pay/acquirer:3.1.8", port=8080, ready="/healthz"), replicas=2),
        service("pay/acquirer", 8080),
        stateful_set("pay/ledger", container("postgres", "postgres:17.2", port=5432, memory=("1Gi", "1Gi"))),
        service("pay/ledger", 5432, headless=True),
    ])  # fmt: skip
    stage.calm()
    _assigned(stage, "edge/front", "198.51.100.20")
    _assigned(stage, "pay/gateway", "198.51.100.21")
    stage.wait(days=44)
    for number, address in ((118, "198.51.100.22"), (121, "198.51.100.23"), (124, "")):
        place = f"previews/pr-{number}"
        stage.apply(
            [
                deployment(
                    place,
                    container(f"pr-{number}", f"shop/web:pr-{number}", port=8080, ready="/"),
                    replicas=1,
                ),
                _outside(place, 80),
            ]
        )
        if address:
            _assigned(stage, place, address)
        else:
            _refused(stage, place)
        stage.wait(hours=21)
    stage.calm()
    stage.wait(days=2, hours=5)
    stage.delete("services/pay/gateway")
    stage.wait(seconds=20)
    _assigned(stage, "previews/pr-124", "198.51.100.21")
    stage.wait(seconds=40)
    stage.apply([_outside("pay/gateway", 443)])
    _refused(stage, "pay/gateway")
    stage.wait(minutes=16)
    chatter(
        stage,
        "pay/gateway",
        [
            '{"t":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"info","msg":"GET /healthz","status":200,"agent":"kube-probe/1.36"}'
        ],
        count=30,
    )
    chatter(stage, "pay/acquirer", ['{"t":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"info","msg":"idle"}'], count=10)
    stage.log(
        "metallb-system/controller",
        '{"caller":"service.go:149","error":"no available IPs","event":"allocateFailed","level":"error","msg":"IP allocation failed"}',
        at=stage.ago(minutes=16),
    )
    stage.fire(minutes_ago=12)


def _assigned(stage: Stage, place: str, address: str) -> None:
    stage.status(
        f"services/{place}",
        {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}},
        manager="controller",
    )
    stage.edit(
        f"services/{place}",
        lambda body: (
            body["metadata"]
            .setdefault("annotations", {})
            .update({"metallb.io/ip-allocated-from-pool": "outside"})
        ),
        manager="controller",
    )
    stage.event(
        stage.get(f"services/{place}"),
        "IPAllocated",
        f'Assigned IP ["{address}"]',
        kind="Normal",
        component="metallb-controller",
    )


def _refused(stage: Stage, place: str) -> None:
    stage.event(
        stage.get(f"services/{place}"),
        "AllocationFailed",
        f'Failed to allocate IP for "{place}": no available IPs',
        component="metallb-controller",
    )
