"""Short ways to write what people apply: workloads with probes, requests and ports, and the system's own.

Every `place` is NAMESPACE/NAME. What a story is about is better written out in it; these are for its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Body = dict[str, Any]

DNS_ADDRESS = "10.96.0.10"
"""kubeadm's choice for the tenth address of the Service range."""

COREFILE = """\
.:53 {
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
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""


def container(
    name: str,
    image: str,
    *,
    port: int = 0,
    env: Mapping[str, str | Body] | None = None,
    ready: str = "",
    alive: str = "",
    memory: tuple[str, str] = ("128Mi", "256Mi"),
    cpu: str = "100m",
    mounts: Mapping[str, str] | None = None,
    **more: Any,
) -> Body:
    """One container.

    Args:
        image: without the registry.
        env: a text is the value, an object is where it comes from.
        ready, alive: paths of HTTP probes at `port`.
        memory: request and limit.
        mounts: volume -> path.
    """
    made: Body = {
        "name": name,
        "image": f"registry.example.com/{image}",
        "resources": {"requests": {"cpu": cpu, "memory": memory[0]}, "limits": {"memory": memory[1]}},
    }
    if port:
        made["ports"] = [{"containerPort": port}]
    if env:
        made["env"] = [
            {"name": key, "value": value} if isinstance(value, str) else {"name": key, "valueFrom": value}
            for key, value in env.items()
        ]
    for probe, path in (("readinessProbe", ready), ("livenessProbe", alive)):
        if path:
            made[probe] = {
                "httpGet": {"path": path, "port": port},
                "periodSeconds": 10,
                "failureThreshold": 3,
            }
    if mounts:
        made["volumeMounts"] = [{"name": key, "mountPath": path} for key, path in mounts.items()]
    return {**made, **more}


def _workload(kind: str, place: str, containers: Sequence[Body], spec: Body, pod: Body, labels: Mapping[str, str]) -> Body:  # fmt: skip
    namespace, name = place.split("/")
    mine = {"app": name, **labels}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": mine},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": mine}, "spec": {**pod, "containers": list(containers)}},
            **spec,
        },
    }


def deployment(
    place: str,
    *containers: Body,
    replicas: int = 2,
    labels: Mapping[str, str] | None = None,
    pod: Body | None = None,
    **spec: Any,
) -> Body:
    return _workload("Deployment", place, containers, {"replicas": replicas, **spec}, pod or {}, labels or {})


def daemon_set(
    place: str,
    *containers: Body,
    labels: Mapping[str, str] | None = None,
    pod: Body | None = None,
    **spec: Any,
) -> Body:
    return _workload("DaemonSet", place, containers, spec, pod or {}, labels or {})


def stateful_set(
    place: str,
    *containers: Body,
    replicas: int = 1,
    labels: Mapping[str, str] | None = None,
    pod: Body | None = None,
    claims: Mapping[str, tuple[str, str]] | None = None,
    **spec: Any,
) -> Body:
    """Args:
    claims: name -> (StorageClass, size); mount it by that name.
    """
    more: Body = {"replicas": replicas, "serviceName": place.split("/")[1], **spec}
    if claims:
        more["volumeClaimTemplates"] = [
            {
                "metadata": {"name": name},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": storage_class,
                    "resources": {"requests": {"storage": size}},
                },
            }
            for name, (storage_class, size) in claims.items()
        ]
    return _workload("StatefulSet", place, containers, more, pod or {}, labels or {})


def service(
    place: str,
    port: int,
    target: int | str = 0,
    *,
    selector: Mapping[str, str] | None = None,
    headless: bool = False,
) -> Body:
    namespace, name = place.split("/")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "selector": dict(selector or {"app": name}),
            "ports": [{"name": "main", "port": port, "targetPort": target or port}],
            **({"clusterIP": "None"} if headless else {}),
        },
    }


def config_map(place: str, data: Mapping[str, str]) -> Body:
    namespace, name = place.split("/")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": dict(data),
    }


def secret(place: str, data: Mapping[str, str]) -> Body:
    namespace, name = place.split("/")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "stringData": dict(data),
    }


def from_secret(name: str, key: str) -> Body:
    return {"secretKeyRef": {"name": name, "key": key}}


def system(corefile: str = COREFILE) -> Sequence[Body]:
    """CoreDNS and kube-proxy, as kubeadm installs them in outline."""
    dns = container(
        "coredns", "k8s/coredns:v1.14.2", memory=("70Mi", "170Mi"), mounts={"config-volume": "/etc/coredns"},
        args=["-conf", "/etc/coredns/Corefile"],
        ports=[{"name": "dns", "containerPort": 53, "protocol": "UDP"}, {"name": "dns-tcp", "containerPort": 53}, {"name": "metrics", "containerPort": 9153}],
        livenessProbe={"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 60, "timeoutSeconds": 5, "failureThreshold": 5},
        readinessProbe={"httpGet": {"path": "/ready", "port": 8181}},
    )  # fmt: skip
    volume = {"name": "config-volume", "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]}}  # fmt: skip
    servers = deployment(
        "kube-system/coredns", dns, labels={"k8s-app": "kube-dns"},
        pod={"dnsPolicy": "Default", "priorityClassName": "system-cluster-critical", "volumes": [volume]},
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
    )  # fmt: skip
    address = service("kube-system/kube-dns", 53, selector={"k8s-app": "kube-dns"})
    address["spec"] |= {
        "clusterIP": DNS_ADDRESS,
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
        ],
    }
    proxy = daemon_set(
        "kube-system/kube-proxy",
        container("kube-proxy", "k8s/kube-proxy:v1.36.3"),
        pod={
            "hostNetwork": True,
            "priorityClassName": "system-node-critical",
            "tolerations": [{"operator": "Exists"}],
        },
    )
    return [config_map("kube-system/coredns", {"Corefile": corefile}), servers, address, proxy]
