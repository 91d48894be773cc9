"""A node of a new zone joins; no pool of addresses is meant for it, since the one for all was switched off weeks ago."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, system

INCIDENT = Incident(
    title="A node of zone c gets no addresses for its pods: the address pools are for zones a and b, and the one for all is disabled",
    half=Half.tuned,
    story=(
        "Three weeks ago addresses were split by zone: a pool each for a and b, and the pool for all nodes was disabled."
        " Today the autoscaler adds node-d, of zone c. Two of the map renderer's pods and the log shipper's are put"
        " there, and their sandboxes get no address. The renderer's own release of this morning is well."
    ),
    sources=[
        "https://docs.tigera.io/calico/latest/networking/ipam/assign-ip-addresses-topology",
        "https://docs.tigera.io/calico/latest/reference/resources/ippool",
        "https://github.com/projectcalico/calico/blob/master/libcalico-go/lib/ipam/ipam.go",
        "https://github.com/projectcalico/calico/issues/7440",
    ],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="maps", deployment="renderer"),
    causes=["IPPool/_cluster/zone-b", "IPPool/_cluster/zone-a", "IPPool/_cluster/default-ipv4-ippool", "Node/_cluster/node-d"],
    says=[["pool"], ["node-d"]],
    innocent=["Deployment/maps/renderer", "{pod:maps/renderer}", "DaemonSet/logging/shipper", "DaemonSet/calico-system/calico-node"],
    traits=frozenset({Trait.innocent}),
    authored=["calico pools", "cluster autoscaler"],
)  # fmt: skip

POOLS = """
apiVersion: crd.projectcalico.org/v1
kind: IPPool
metadata: {name: default-ipv4-ippool}
spec: {cidr: 10.244.0.0/16, blockSize: 26, ipipMode: Never, vxlanMode: CrossSubnet, natOutgoing: true, nodeSelector: all(), allowedUses: [Workload, Tunnel]}
"""
BY_ZONE = """
apiVersion: crd.projectcalico.org/v1
kind: IPPool
metadata: {name: zone-a}
spec: {cidr: 10.245.0.0/18, blockSize: 26, ipipMode: Never, vxlanMode: CrossSubnet, natOutgoing: true, nodeSelector: topology.kubernetes.io/zone == 'a', allowedUses: [Workload, Tunnel]}
---
apiVersion: crd.projectcalico.org/v1
kind: IPPool
metadata: {name: zone-b}
spec: {cidr: 10.245.64.0/18, blockSize: 26, ipipMode: Never, vxlanMode: CrossSubnet, natOutgoing: true, nodeSelector: topology.kubernetes.io/zone == 'b', allowedUses: [Workload, Tunnel]}
"""
SANDBOX = "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox"
ZONES = {"node-a": "a", "node-b": "b", "node-c": "b"}


def play(stage: Stage) -> None:
    stage.crd("crd.projectcalico.org", "v1", "IPPool", "ippools", namespaced=False)
    for node, zone in ZONES.items():
        stage.kubectl("label", "node", node, f"topology.kubernetes.io/zone={zone}")
    stage.apply(POOLS)
    stage.apply(system())
    everywhere = {"tolerations": [{"operator": "Exists"}]}
    stage.apply([
        daemon_set("calico-system/calico-node", container("calico-node", "calico/node:v3.31.2", cpu="150m", memory=("128Mi", "512Mi")), pod={"hostNetwork": True, "priorityClassName": "system-node-critical", **everywhere}),
        deployment("calico-system/calico-typha", container("calico-typha", "calico/typha:v3.31.2", cpu="50m"), replicas=1, pod={"hostNetwork": True, **everywhere}),
        daemon_set("logging/shipper", container("shipper", "logging/shipper:3.2.4", cpu="50m"), pod=everywhere),
        deployment("maps/renderer", container("renderer", "maps/renderer:12.0.1", port=8080, ready="/ready", cpu="1500m", memory=("1Gi", "2Gi")), replicas=6),
        service("maps/renderer", 8080),
        deployment("maps/gateway", container("gateway", "maps/gateway:4.4.0", port=8080, ready="/ready", env={"RENDERER": "http://renderer.maps.svc.cluster.local:8080"})),
        service("maps/gateway", 80, 8080),
        deployment("maps/styles", container("styles", "maps/styles:1.9.0", port=8080, ready="/ready"), replicas=1),
        service("maps/styles", 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=50)
    stage.apply(BY_ZONE)
    stage.edit(
        "ippools.crd.projectcalico.org/_cluster/default-ipv4-ippool",
        lambda body: body["spec"].update(disabled=True),
    )
    stage.wait(days=21, hours=2)
    stage.kubectl(
        "set",
        "image",
        "deployment/renderer",
        "renderer=registry.example.com/maps/renderer:12.1.0",
        "-n",
        "maps",
    )
    stage.calm()
    stage.wait(hours=3)
    stage.kubectl("scale", "deployment/renderer", "--replicas=8", "-n", "maps")
    stage.wait(minutes=3)
    stage.add_node("node-d", labels={"topology.kubernetes.io/zone": "c", "example.com/pool": "general-2"})
    there = [f"maps/{name}" for name in _on(stage, "maps/renderer")] + [
        f"logging/{name}" for name in _on(stage, "logging/shipper")
    ]
    stage.hold(*there)
    stage.calm(unfinished=["maps/renderer", "logging/shipper"])
    for n, place in enumerate(there):
        stage.stuck(place, "ContainerCreating", "", event=(
            "FailedCreatePodSandBox",
            f"{SANDBOX} \"{n}e41c07{n}d9b2f6a8035c1f0e7{n}\": plugin type=\"calico\" failed (add): no configured Calico pools for node node-d",
        ))  # fmt: skip
    stage.wait(minutes=17)
    _logs(stage)
    stage.fire(minutes_ago=2)


def _on(stage: Stage, place: str, node: str = "node-d") -> list[str]:
    def found() -> list[str]:
        return [p["metadata"]["name"] for p in stage.pods(place) if p["spec"].get("nodeName") == node]

    stage.cluster.until(f"{place} on {node}", lambda: bool(found()))
    return found()


def _logs(stage: Stage) -> None:
    for pod in stage.pods("calico-system/calico-node"):
        lines = [
            "<%Y-%m-%d %H:%M:%S.%3> [INFO][64] felix/summary.go 100: Summarising 11 dataplane reconciliation loops over 1m<1-4>s: avg=<4-9>ms longest=<11-30>ms ()"
        ] * 12
        place = f"calico-system/{pod['metadata']['name']}"
        stage.log(place, printed(stage.ago(minutes=14), lines, every_s=62))
    chatter(
        stage,
        "maps/gateway",
        [
            "[<%d/%b/%Y:%H:%M:%S> +0000] GET /tiles/12/<1000-4000>/<1000-4000>.png 200 <80-190>ms",
        ],
        count=24,
    )
    chatter(
        stage,
        "maps/styles",
        ["[<%d/%b/%Y:%H:%M:%S> +0000] GET /styles/day.json 200 <2-9>ms"],
        count=8,
    )
