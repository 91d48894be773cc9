"""The cluster's DNS forwards to a resolver that is not there; names outside fail in three namespaces."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, service

BEFORE = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . 10.9.0.53 {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""
AFTER = BEFORE.replace("forward . 10.9.0.53", "forward . 10.9.0.35")

INCIDENT = Incident(
    title="Digits of the upstream resolver swapped: names outside the cluster resolve nowhere",
    half=Half.tuned,
    story="The Corefile's forward address is edited; CoreDNS reloads it and stays ready, as names of the cluster still "
    "resolve. Whoever calls a partner's API fails.",
    sources=["https://coredns.io/plugins/forward/", "https://coredns.io/plugins/reload/"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="treasury", deployment="rates"),
    causes=["ConfigMap/kube-system/coredns"],
    says=[["10.9.0.53"], ["10.9.0.35"]],
    innocent=["Deployment/treasury/rates", "Deployment/cards/authorizer", "Deployment/kube-system/coredns"],
    second=["Deployment/labs/trainer"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
)

DNS_PORTS = [
    {"containerPort": 53, "name": "dns", "protocol": "UDP"},
    {"containerPort": 53, "name": "dns-tcp"},
    {"containerPort": 9153, "name": "metrics"},
]
DNS_SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
    "spec": {
        "selector": {"k8s-app": "kube-dns"},
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}],
    },
}
VOLUME = {
    "name": "config-volume",
    "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]},
}
MANIFESTS = [
    config_map("kube-system/coredns", {"Corefile": BEFORE}),
    deployment(
        "kube-system/coredns", "coredns/coredns:v1.11.3", ports=DNS_PORTS, labels={"k8s-app": "kube-dns"},
        args=["-conf", "/etc/coredns/Corefile"], volumeMounts=[{"name": "config-volume", "mountPath": "/etc/coredns"}],
        pod={"volumes": [VOLUME]},
    ),
    DNS_SERVICE,
    deployment("treasury/rates", "treasury/rates:3.3.0", port=8080, ready="/ready", env={"FEED": "https://feed.rates.example.net"}),
    service("treasury/rates", 8080),
    deployment("cards/authorizer", "cards/authorizer:21.4.0", port=8080, ready="/ready", env={"SCHEME_API": "https://api.scheme.example.org/v1"}),
    service("cards/authorizer", 8080),
    deployment("notify/sms", "notify/sms:1.1.9", replicas=1, env={"CARRIER": "https://gw.carrier.example.net"}),
    deployment("notify/templates", "notify/templates:2.0.0", replicas=1, port=8080),
    deployment("labs/trainer", "labs/trainer:0.7.0", replicas=1),
]  # fmt: skip

DNS_LOG = """
[INFO] Reloading
[INFO] plugin/reload: Running configuration SHA512 = 1f1c77ae
[INFO] Reloading complete
[ERROR] plugin/errors: 2 feed.rates.example.net. A: read udp 10.244.0.3:41331->10.9.0.35:53: i/o timeout
[ERROR] plugin/errors: 2 api.scheme.example.org. AAAA: read udp 10.244.0.3:52114->10.9.0.35:53: i/o timeout
[ERROR] plugin/errors: 2 gw.carrier.example.net. A: read udp 10.244.0.3:38870->10.9.0.35:53: i/o timeout
"""
RATES_LOG = """
ERROR rates.feed pull failed: <urlopen error [Errno -3] Temporary failure in name resolution> url=https://feed.rates.example.net/spot
WARNING rates.ready no quote younger than 60 s
ERROR rates.feed pull failed: <urlopen error [Errno -3] Temporary failure in name resolution> url=https://feed.rates.example.net/spot
"""
CARDS_LOG = """
{"level":"error","time":1796202000,"msg":"scheme unreachable","err":"Post \\"https://api.scheme.example.org/v1/auth\\": dial tcp: lookup api.scheme.example.org on 10.96.0.10:53: server misbehaving"}
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=33)
    stage.kubectl("set", "resources", "deployment/trainer", "-n", "labs", "--requests=cpu=48")
    stage.wait(minutes=6)
    stage.edit("configmaps/kube-system/coredns", lambda body: body["data"].update(Corefile=AFTER))
    stage.wait(minutes=2)
    stage.unready("treasury/rates", "HTTP probe failed with statuscode: 503", count=2, failures=44)
    stage.unready("cards/authorizer", "HTTP probe failed with statuscode: 503", count=2, failures=41)
    stage.wait(minutes=21)
    stage.log("kube-system/coredns", DNS_LOG, at=stage.ago(minutes=21))
    stage.log("treasury/rates", RATES_LOG)
    stage.log("cards/authorizer", CARDS_LOG)
    stage.log("notify/sms", "sms-gateway: send failed: getaddrinfo EAI_AGAIN gw.carrier.example.net")
    stage.fire(minutes_ago=6)
