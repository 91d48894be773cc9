"""Makes recorded clusters of any size, healthy but for one Deployment whose image cannot be pulled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Body = dict[str, Any]

BROKEN = ("team-03", "web-1")
"""Namespace and Deployment that cannot pull their image."""

_BORN, _BROKE = "2026-01-01T08:00:00Z", "2026-01-01T09:55:00Z"
_PODS = 4


def write_cluster(root: Path, *, namespaces: int) -> int:
    """Write one YAML List per namespace, as `kubectl get -o yaml` would; returns the number of objects.

    24 objects a namespace, of which 4 are events, and 20 nodes: 41 namespaces are 1,004 objects.
    """
    count = 0
    for number in range(namespaces):
        name = f"team-{number:02}"
        items = list(namespace_objects(name, broken=BROKEN[1] if name == BROKEN[0] else None))
        count += len(items)
        document = {"apiVersion": "v1", "kind": "List", "items": items}
        (root / f"team-{number:02}.yaml").write_text(yaml.dump(document, Dumper=yaml.CSafeDumper))
    nodes = [
        _object("v1", "Node", None, f"node-{n}", status={"conditions": [_condition("Ready")]})
        for n in range(20)
    ]
    (root / "nodes.yaml").write_text(yaml.dump_all(nodes, Dumper=yaml.CSafeDumper))
    return count + len(nodes)


def namespace_objects(namespace: str, broken: str | None = None) -> Iterator[Body]:
    """24 objects of one namespace, 4 of them events; `broken` is the Deployment that cannot pull its image."""
    yield _object("v1", "Namespace", None, namespace, status={"phase": "Active"})
    yield _object("v1", "ServiceAccount", namespace, "default")
    for name in ("web-0", "web-1"):
        yield from workload(namespace, name, broken=name == broken)


def workload(namespace: str, name: str, *, broken: bool) -> Iterator[Body]:
    """A Deployment of four pods with all that belongs to it, 11 objects, of which 2 are events."""
    labels = {"app.kubernetes.io/name": name}
    ready = 0 if broken else _PODS
    spec = {
        "replicas": _PODS,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod_spec(name)},
    }
    yield _object("apps/v1", "Deployment", namespace, name, spec=spec, status={
        "replicas": _PODS, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": _PODS, "observedGeneration": 1,
        "conditions": [_condition("Available", ok=not broken), _condition("Progressing")]})  # fmt: skip
    replica_set = f"{name}-7c9d8b6f5"
    yield _object("apps/v1", "ReplicaSet", namespace, replica_set, spec=spec, owner=("apps/v1", "Deployment", name),
                  status={"replicas": _PODS, "readyReplicas": ready})  # fmt: skip
    yield _object(
        "v1",
        "Service",
        namespace,
        name,
        spec={"selector": labels, "ports": [{"port": 80, "targetPort": 8080}], "clusterIP": "10.96.0.7"},
    )
    yield _object(
        "v1",
        "ConfigMap",
        namespace,
        f"{name}-config",
        data={"app.properties": "level=info\nworkers=4\n" * 10},
    )
    yield _object("discovery.k8s.io/v1", "EndpointSlice", namespace, f"{name}-abcde", addressType="IPv4", ports=[{"port": 8080}],
                  labels={"kubernetes.io/service-name": name}, endpoints=[_endpoint(f"{replica_set}-{n}", not broken) for n in range(_PODS)])  # fmt: skip
    for number in range(_PODS):
        pod = _pod(namespace, name, replica_set, number, broken=broken)
        yield pod
        if number < 2:
            yield _event(namespace, pod, broken=broken)


def _pod_spec(name: str) -> Body:
    return {
        "containers": [{
            "name": name, "image": f"registry.example.com/shop/{name}:1.24.3", "args": ["--config=/etc/app/app.properties"],
            "env": [{"name": "LEVEL", "value": "info"}, {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10},
            "volumeMounts": [{"mountPath": "/etc/app", "name": "config"}],
        }],
        "volumes": [{"name": "config", "configMap": {"name": f"{name}-config", "defaultMode": 420}}],
        "serviceAccountName": "default", "restartPolicy": "Always",
    }  # fmt: skip


def _pod(namespace: str, name: str, replica_set: str, number: int, *, broken: bool) -> Body:
    state: Body = {"running": {"startedAt": _BORN}}
    if broken:
        state = {
            "waiting": {
                "reason": "ImagePullBackOff",
                "message": f'Back-off pulling image "registry.example.com/shop/{name}:1.24.3"',
            }
        }
    container = {"name": name, "ready": not broken, "restartCount": 0, "image": f"registry.example.com/shop/{name}:1.24.3",
                 "imageID": "registry.example.com/shop@sha256:" + "ab" * 32, "containerID": "containerd://" + "cd" * 32, "state": state}  # fmt: skip
    conditions = [
        _condition("Initialized"),
        _condition("PodScheduled"),
        _condition("Ready", ok=not broken),
        _condition("ContainersReady", ok=not broken),
    ]
    return _object("v1", "Pod", namespace, f"{replica_set}-{number}", labels={"app.kubernetes.io/name": name},
                   owner=("apps/v1", "ReplicaSet", replica_set), spec={**_pod_spec(name), "nodeName": f"node-{number}"},
                   status={"phase": "Pending" if broken else "Running", "podIP": "10.0.0.1", "containerStatuses": [container], "conditions": conditions})  # fmt: skip


def _event(namespace: str, pod: Body, *, broken: bool) -> Body:
    about = {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": namespace,
        "name": pod["metadata"]["name"],
        "uid": pod["metadata"]["uid"],
    }
    reason, message = (
        ("Failed", "Failed to pull image: not found") if broken else ("Started", "Started container")
    )
    when = _BROKE if broken else _BORN
    return _object("v1", "Event", namespace, f"{about['name']}.17e1", involvedObject=about, reason=reason, message=message,
                   type="Warning" if broken else "Normal", firstTimestamp=when, lastTimestamp=when, count=3)  # fmt: skip


def _endpoint(pod: str, ready: bool) -> Body:
    return {
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": ready},
        "targetRef": {"kind": "Pod", "name": pod},
    }


def _condition(kind: str, *, ok: bool = True) -> Body:
    return {"type": kind, "status": "True" if ok else "False", "lastTransitionTime": _BORN if ok else _BROKE}


def _object(
    version: str, kind: str, namespace: str | None, name: str, *, labels: Body | None = None,
    owner: tuple[str, str, str] | None = None, **rest: Any,
) -> Body:  # fmt: skip
    metadata: Body = {
        "name": name, "uid": _uid(kind, namespace, name), "resourceVersion": "1000", "creationTimestamp": _BORN,
        "managedFields": [{"apiVersion": version, "fieldsType": "FieldsV1", "manager": "kube-controller-manager", "operation": "Update",
                           "time": _BORN, "fieldsV1": {"f:metadata": {"f:labels": {".": {}}}, "f:spec": {"f:replicas": {}, "f:template": {}}}}],
    }  # fmt: skip
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    if owner:
        api, owner_kind, owner_name = owner
        metadata["ownerReferences"] = [{"apiVersion": api, "kind": owner_kind, "name": owner_name,
                                        "uid": _uid(owner_kind, namespace, owner_name), "controller": True}]  # fmt: skip
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _uid(kind: str, namespace: str | None, name: str) -> str:
    return f"{kind}-{namespace}-{name}".lower()
