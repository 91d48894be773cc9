"""New pods' interfaces are wider than the overlay beneath them: short answers pass and long ones never arrive."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

Body = dict[str, Any]

INCIDENT = Incident(
    title="calico-config sets the pods' MTU to 1500 on nodes of 1460 bytes; since the network's pods were restarted, long answers between nodes hang",
    half=Half.tuned,
    story=(
        "Nineteen days ago somebody raised veth_mtu from 1410 to 1500 'as on the other cluster'. Nothing happened until the"
        " network's daemon was patched last night and wrote the new setting to the nodes. Pods started since then have wide"
        " interfaces; whatever they send in full frames to another node is lost in the VXLAN of nodes with 1460 bytes. The"
        " catalogue was released this morning, so its long lists hang while probes and short answers are well."
    ),
    sources=[
        "https://docs.tigera.io/calico/latest/networking/configuring/mtu",
        "https://github.com/projectcalico/calico/blob/master/felix/dataplane/linux/int_dataplane.go",
        "https://cloud.google.com/vpc/docs/mtu",
        "https://github.com/prometheus/node_exporter/blob/master/collector/netstat_linux.go",
    ],
    labels={
        "alertname": "ErrorBudgetBurn", "namespace": "store", "service": "front", "severity": "critical", "slo": "front-latency",
        "long": "1h", "short": "5m",
    },
    annotations={"summary": "Too many requests of front take longer than 2 s."},
    causes=["ConfigMap/kube-system/calico-config", "DaemonSet/kube-system/calico-node"],
    says=[["MTU"], ["1500", "1460", "1410"]],
    innocent=[
        "Deployment/store/front", "Service/store/front", "Deployment/goods/catalogue", "Service/goods/catalogue",
        "StatefulSet/goods/catalogue-db", "Deployment/bills/invoices", "Deployment/goods/pictures",
    ],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)  # fmt: skip


def play(stage: Stage) -> None:
    apart = {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"tier": "api"}},
    }]}  # fmt: skip
    stage.apply([
        *system(),
        config_map("kube-system/calico-config", {
            "calico_backend": "vxlan", "typha_service_name": "none", "veth_mtu": "1410",
            "cni_network_config": '{"name":"k8s-pod-network","cniVersion":"0.3.1","plugins":[{"type":"calico","log_level":"info","datastore_type":"kubernetes",'
            '"nodename":"__KUBERNETES_NODE_NAME__","mtu":__CNI_MTU__,"ipam":{"type":"calico-ipam"},"policy":{"type":"k8s"}},{"type":"portmap","snat":true}]}',
        }),
        _calico(),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod={"tolerations": [{"operator": "Exists"}], "hostNetwork": True}),
        deployment("store/front", container("front", "store/front:44.1.0", port=8080, ready="/readyz", alive="/livez", env={
            "CATALOGUE": "http://catalogue.goods.svc.cluster.local:8080", "PICTURES": "http://pictures.goods.svc.cluster.local:8080",
        }), replicas=3, labels={"tier": "api"}, pod=apart),
        service("store/front", 80, 8080),
        deployment("goods/catalogue", container("catalogue", "goods/catalogue:7.19.0", port=8080, ready="/readyz", alive="/livez", env={"DB_HOST": "catalogue-db.goods.svc.cluster.local"}), replicas=3, labels={"tier": "api"}, pod=apart),
        service("goods/catalogue", 8080),
        stateful_set("goods/catalogue-db", container("postgres", "postgres:17.2", port=5432, memory=("1Gi", "2Gi"))),
        service("goods/catalogue-db", 5432, headless=True),
        deployment("goods/pictures", container("pictures", "goods/pictures:3.0.8", port=8080, ready="/ready")),
        service("goods/pictures", 8080),
        deployment("bills/invoices", container("invoices", "bills/invoices:11.2.0", port=8080, ready="/ready", env={"CATALOGUE": "http://catalogue.goods.svc.cluster.local:8080"})),
        service("bills/invoices", 80, 8080),
        config_map("store/front-texts", {"banner": "Autumn sale"}),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=40, hours=2)
    stage.edit("configmaps/kube-system/calico-config", lambda body: body["data"].update(veth_mtu="1500"))
    stage.wait(days=18, hours=14)
    stage.kubectl(
        "set", "image", "daemonset/calico-node", "calico-node=registry.example.com/calico/node:v3.30.4", "install-cni=registry.example.com/calico/cni:v3.30.4", "-n", "kube-system"
    )  # fmt: skip
    stage.calm()
    restarted = stage.now
    stage.wait(hours=9, minutes=20)
    stage.kubectl(
        "set",
        "image",
        "deployment/catalogue",
        "catalogue=registry.example.com/goods/catalogue:7.19.1",
        "-n",
        "goods",
    )
    stage.calm()
    stage.wait(minutes=20)
    stage.edit("configmaps/store/front-texts", lambda body: body["data"].update(banner="Winter sale"))
    stage.wait(minutes=14)
    stage.heartbeat()
    _logs(stage, restarted)
    _metrics(stage)
    stage.fire(minutes_ago=22)


def _calico() -> Body:
    def setting(name: str, key: str) -> Body:
        return {"name": name, "valueFrom": {"configMapKeyRef": {"name": "calico-config", "key": key}}}

    body = daemon_set(
        "kube-system/calico-node",
        container("calico-node", "calico/node:v3.30.2", env={"DATASTORE_TYPE": "kubernetes", "IP": "autodetect"}),
        pod={
            "hostNetwork": True, "priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}],
            "initContainers": [{
                "name": "install-cni", "image": "registry.example.com/calico/cni:v3.30.2", "command": ["/opt/cni/bin/install"],
                "env": [setting("CNI_NETWORK_CONFIG", "cni_network_config"), setting("CNI_MTU", "veth_mtu")],
            }],
        },
    )  # fmt: skip
    body["spec"]["template"]["spec"]["containers"][0]["env"] += [
        setting("CALICO_NETWORKING_BACKEND", "calico_backend"),
        *(setting(name, "veth_mtu") for name in ("FELIX_IPINIPMTU", "FELIX_VXLANMTU", "FELIX_WIREGUARDMTU")),
    ]
    return body


def _logs(stage: Stage, restarted: Any) -> None:
    for pod in stage.pods("kube-system/calico-node"):
        stage.log(f"kube-system/{pod['metadata']['name']}", printed(restarted, [
            "<%Y-%m-%d %H:%M:%S.%3> [INFO][57] felix/daemon.go 378: Successfully loaded configuration.",
            "<%Y-%m-%d %H:%M:%S.%3> [WARNING][57] felix/int_dataplane.go 1192: Configured MTU is larger than detected host interface MTU hostMTU=1460 mtu=1500",
            "<%Y-%m-%d %H:%M:%S.%3> [INFO][57] felix/int_dataplane.go 1194: Determined pod MTU mtu=1500",
            "<%Y-%m-%d %H:%M:%S.%3> [INFO][57] felix/int_dataplane.go 521: Creating internal dataplane driver.",
            *["<%Y-%m-%d %H:%M:%S.%3> [INFO][57] felix/summary.go 100: Summarising <9-14> dataplane reconciliation loops over 1m2.<1-9>s: avg=<3-9>ms longest=<9-30>ms ()"] * 12,
        ], every_s=62))  # fmt: skip
    slow = (
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR msg="list goods" url=http://catalogue.goods.svc.cluster.local:8080/v2/goods?shelf=<10-99>'
        ' err="context deadline exceeded (Client.Timeout or context cancellation while reading body)" took=10.0<10-60>s'
    )
    fine = 'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="one good" url=http://catalogue.goods.svc.cluster.local:8080/v2/goods/<1000-9999> status=200 took=<4-19>ms'
    chatter(stage, "store/front", [slow, fine, fine, slow], count=44, minutes=30)
    chatter(stage, "bills/invoices", [slow, fine, fine], count=20, minutes=30)
    sent = 'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="answered" path=/v2/goods/<1000-9999> bytes=<300-800> took=<2-9>ms'
    lost = 'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=WARN msg="answer not taken" path=/v2/goods bytes=<180000-420000> err="write tcp 10.244.<0-2>.<4-20>:8080->10.244.<0-2>.<4-9>:<30000-60000>: write: connection timed out"'
    for pod in stage.pods("goods/catalogue-"):
        if not pod["metadata"]["name"].startswith("catalogue-db"):
            stage.log(
                f"goods/{pod['metadata']['name']}",
                printed(stage.ago(minutes=33), [sent, lost, sent, sent] * 12, every_s=40),
            )
    chatter(
        stage,
        "goods/pictures",
        ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="picture" bytes=<20000-90000> took=<3-20>ms'],
    )
    chatter(stage, "goods/catalogue-db", ["<%Y-%m-%d %H:%M:%S.%3> UTC [31] LOG:  checkpoint starting: time"], count=5)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Two hours, a value a minute; the catalogue was rolled 34 minutes before the end."""
    nodes = {"node-a": "10.20.0.11:9100", "node-b": "10.20.0.12:9100", "node-c": "10.20.0.13:9100"}
    stage.metric("retransmitted", "rate(node_netstat_Tcp_RetransSegs[5m])", [
        ({"instance": address, "job": "node-exporter", "node": node}, [*about(0.4, 86, noise=0.3, of=node), *slope(2, 37, 6), *about(38, 28, noise=0.12, of=node)])
        for node, address in nodes.items()
    ])  # fmt: skip
    stage.metric("front_slow", 'sum by (namespace, service) (rate(http_request_duration_seconds_count{service="front"}[5m])) - sum by (namespace, service) (rate(http_request_duration_seconds_bucket{service="front",le="2"}[5m]))', [
        ({"namespace": "store", "service": "front"}, [*about(0.1, 86), *slope(1, 31, 6), *about(33, 28)]),
    ])  # fmt: skip
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))", [
        ({"namespace": "store", "service": "front"}, [*about(0.31, 86), *slope(1, 10, 6), *about(10, 28, noise=0.01)]),
        ({"namespace": "bills", "service": "invoices"}, [*about(0.22, 86), *slope(1, 10, 6), *about(10, 28, noise=0.01)]),
        ({"namespace": "goods", "service": "pictures"}, about(0.04, 120)),
    ])  # fmt: skip
    stage.metric("mtu", 'node_network_mtu_bytes{device="ens4"}', [
        ({"instance": address, "device": "ens4", "job": "node-exporter", "node": node}, [1460.0] * 120)
        for node, address in nodes.items()
    ])  # fmt: skip
