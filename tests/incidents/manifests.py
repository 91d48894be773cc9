"""Workloads with one container, and alerts on them, in few words; for more containers and everything else see `workloads`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Body = dict[str, Any]


def deployment(place: str, image: str, *, replicas: int = 2, **container_and_more: Any) -> Body:
    """A Deployment NAMESPACE/NAME with one container of its name; see `_workload` for the rest."""
    return _workload("Deployment", place, image, replicas, **container_and_more)


def stateful_set(place: str, image: str, *, replicas: int = 1, **container_and_more: Any) -> Body:
    """A StatefulSet behind the Service of its name."""
    body = _workload("StatefulSet", place, image, replicas, **container_and_more)
    body["spec"]["serviceName"] = body["metadata"]["name"]
    return body


def _workload(
    kind: str,
    place: str,
    image: str,
    replicas: int,
    *,
    env: Mapping[str, str] | None = None,
    more_env: Sequence[Body] = (),
    port: int = 0,
    ready: str = "",
    pod: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
    **container: Any,
) -> Body:
    """A workload with one container.

    Args:
        more_env: entries that are no plain values. ready: path of its HTTP readiness probe.
        port: it listens on, named `http` unless `ports` are given.
        pod: more of the pod's spec. spec: more of the workload's.
        labels: of the pods; `app: NAME` by default. annotations: of the workload.
        container: more of the container's fields (`resources`, `envFrom`, `livenessProbe` …).
    """
    namespace, name = place.split("/")
    one: Body = {"name": name, "image": f"registry.example.com/{image}", **container}
    if env or more_env:
        one["env"] = [*({"name": key, "value": value} for key, value in (env or {}).items()), *more_env]
    if port:
        one.setdefault("ports", [{"containerPort": port, "name": "http"}])
    if ready:
        one["readinessProbe"] = {"httpGet": {"path": ready, "port": port}, "periodSeconds": 10}
    marks = dict(labels or {"app": name})
    meta: Body = {"name": name, "namespace": namespace, "labels": marks}
    if annotations:
        meta["annotations"] = dict(annotations)
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": meta,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": marks},
            "template": {"metadata": {"labels": marks}, "spec": {"containers": [one], **(pod or {})}},
            **(spec or {}),
        },
    }


def kube_prometheus(alertname: str, severity: str = "warning", **labels: str) -> Mapping[str, str]:
    """Labels of a kube-prometheus alert on a metric of kube-state-metrics."""
    return {
        "alertname": alertname,
        "container": "kube-rbac-proxy-main",
        "instance": "10.244.2.9:8443",
        "job": "kube-state-metrics",
        "severity": severity,
        **labels,
    }
