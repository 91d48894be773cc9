"""Kubernetes objects as an API server prints them, for snapshots in tests.

Functions return plain dicts (or lists of them); `snapshot` turns any nesting of them into a Snapshot. Times
are given as minutes before `NOW`, which is also when the snapshot was taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.context_api.domain.snapshot import ContainerLog, KubeObject, NotRead, Snapshot

NOW = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)
Doc = dict[str, Any]


def ago(minutes: float) -> str:
    """RFC 3339, that many minutes before NOW."""
    return f"{NOW - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


def moment(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def uid_of(*words: object) -> str:
    digest = hashlib.sha256("/".join(map(str, words)).encode(errors="surrogatepass")).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def thing(
    kind: str,
    name: str,
    namespace: str | None = "shop",
    *,
    api: str = "v1",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: Doc | None = None,
    age: float = 60 * 24,
    edits: Sequence[Doc] = (),
    version: int = 1000,
    **body: Any,
) -> Doc:
    """Any object: metadata as the server fills it, and whatever else the kind has."""
    meta: Doc = {
        "name": name,
        "uid": uid_of(kind, namespace, name),
        "resourceVersion": str(version),
        "creationTimestamp": ago(age),
        "labels": dict(labels or {}),
        "annotations": dict(annotations or {}),
    }
    if namespace is not None:
        meta["namespace"] = namespace
    if edits:
        meta["managedFields"] = list(edits)
    if owner is not None:
        meta["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ]
    return {"apiVersion": api, "kind": kind, "metadata": meta, **body}


def edit(minutes: float, *paths: str, by: str = "kubectl-edit") -> Doc:
    """A managedFields entry: `by` owns these dotted paths since then."""
    fields: Doc = {}
    for path in paths:
        here = fields
        for step in path.split("/"):
            here = here.setdefault(f"f:{step}", {})
    return {
        "manager": by,
        "operation": "Update",
        "apiVersion": "v1",
        "time": ago(minutes),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def applied(document: Doc) -> dict[str, str]:
    """The annotation `kubectl apply` leaves."""
    return {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(document)}


# -- containers and pods ---------------------------------------------------------------------------


def container(name: str = "app", image: str = "registry.example/app:1.0", **spec: Any) -> Doc:
    return {"name": name, "image": image, **spec}


def env(**values: str) -> list[Doc]:
    return [{"name": k, "value": v} for k, v in values.items()]


def running(
    name: str = "app", *, minutes: float = 600, ready: bool = True, restarts: int = 0, last: Doc | None = None
) -> Doc:
    """A container that runs."""
    return {
        "name": name,
        "ready": ready,
        "started": True,
        "restartCount": restarts,
        "state": {"running": {"startedAt": ago(minutes)}},
        "lastState": {"terminated": last} if last else {},
    }


def ended(
    code: int = 1, reason: str = "Error", *, minutes: float = 2, lived: float = 0.1, message: str = ""
) -> Doc:
    """A termination."""
    end: Doc = {
        "exitCode": code,
        "reason": reason,
        "startedAt": ago(minutes + lived),
        "finishedAt": ago(minutes),
        "containerID": "containerd://abc",
    }
    return {**end, "message": message} if message else end


def crashing(
    name: str = "app",
    code: int = 1,
    *,
    restarts: int = 7,
    reason: str = "Error",
    minutes: float = 2,
    message: str = "",
) -> Doc:
    """A container that waits out its back-off."""
    return {
        "name": name,
        "ready": False,
        "started": False,
        "restartCount": restarts,
        "state": {
            "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
        },
        "lastState": {"terminated": ended(code, reason, minutes=minutes, message=message)},
    }


def waiting(name: str = "app", reason: str = "ContainerCreating", message: str = "") -> Doc:
    state: Doc = {"reason": reason}
    if message:
        state["message"] = message
    return {
        "name": name,
        "ready": False,
        "started": False,
        "restartCount": 0,
        "state": {"waiting": state},
        "lastState": {},
    }


def pod(
    name: str,
    namespace: str = "shop",
    *,
    statuses: Sequence[Doc] | None = None,
    containers: Sequence[Doc] | None = None,
    labels: Mapping[str, str] | None = None,
    owner: Doc | None = None,
    age: float = 60 * 24,
    node: str | None = "node-1",
    spec: Mapping[str, Any] | None = None,
    phase: str | None = None,
    conditions: Sequence[Doc] = (),
    unready_since: float = 20,
    **meta: Any,
) -> Doc:
    """A pod; its Ready condition and phase follow from the container statuses."""
    made = list(containers or [container()])
    states = list(statuses if statuses is not None else [running(c["name"]) for c in made])
    up = bool(states) and all(s["ready"] for s in states)
    shown = list(conditions) or [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": ago(age)},
        {
            "type": "Ready",
            "status": "True" if up else "False",
            "lastTransitionTime": ago(age if up else unready_since),
            **({} if up else {"reason": "ContainersNotReady"}),
        },
    ]
    body: Doc = {
        "containers": made,
        "restartPolicy": "Always",
        "serviceAccountName": "default",
        **(spec or {}),
    }
    if node is not None:
        body["nodeName"] = node
    status: Doc = {
        "phase": phase or ("Running" if node else "Pending"),
        "conditions": shown,
        "startTime": ago(age),
    }
    if states:
        status["containerStatuses"] = states
    found = thing("Pod", name, namespace, labels=labels, owner=owner, age=age, spec=body, status=status)
    found["metadata"].update(meta)
    return found


# -- workloads -------------------------------------------------------------------------------------


def template(
    labels: Mapping[str, str], containers: Sequence[Doc], spec: Mapping[str, Any] | None = None
) -> Doc:
    return {
        "metadata": {"labels": dict(labels)},
        "spec": {"containers": list(containers), "restartPolicy": "Always", **(spec or {})},
    }


def deployment(
    name: str = "api",
    namespace: str = "shop",
    *,
    replicas: int = 2,
    containers: Sequence[Doc] | None = None,
    statuses: Sequence[Doc] | None = None,
    labels: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
    age: float = 60 * 24,
    pod_age: float | None = None,
    before: Sequence[Doc] | None = None,
    rolled_out: float | None = None,
    old_pods: int = 0,
    edits: Sequence[Doc] = (),
    conditions: Sequence[Doc] | None = None,
    pods: int | None = None,
    node: str | None = "node-1",
    owner: Doc | None = None,
    pod_conditions: Sequence[Doc] = (),
    unready_since: float = 20,
) -> list[Doc]:
    """A Deployment, its ReplicaSets and pods.

    Args:
        statuses: of every pod's containers; ready ones when left out.
        before: containers of the revision before; makes a second ReplicaSet.
        rolled_out: minutes since the newest revision.
        old_pods: pods of the revision before that still run, ready.
    """
    tags = dict(labels or {"app": name})
    made = list(containers or [container()])
    count = replicas if pods is None else pods
    up = 0 if statuses is not None and not all(s["ready"] for s in statuses) else count
    available = up + old_pods
    status: Doc = {
        "replicas": count + old_pods,
        "updatedReplicas": count,
        "readyReplicas": available,
        "availableReplicas": available,
    }
    status["conditions"] = list(conditions) if conditions is not None else [
        {
            "type": "Available",
            "status": "True" if available >= replicas else "False",
            "reason": "MinimumReplicasAvailable" if available >= replicas else "MinimumReplicasUnavailable",
            "lastTransitionTime": ago(age if available >= replicas else unready_since),
        },
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "lastTransitionTime": ago(age), "lastUpdateTime": ago(rolled_out or age)},
    ]  # fmt: skip
    top = thing(
        "Deployment", name, namespace, api="apps/v1", labels=tags, age=age, edits=edits, owner=owner,
        spec={"replicas": replicas, "selector": {"matchLabels": tags}, "template": template(tags, made, spec)}, status=status,
    )  # fmt: skip
    objects = [top]
    if before is not None:
        objects += _revision(
            top,
            "5d4f8c7b9",
            1,
            age,
            tags,
            before,
            spec,
            old_pods,
            [running(c["name"]) for c in before],
            None,
            node,
            (),
            0,
        )
    objects += _revision(
        top, "7c9d5b6f8", 2 if before is not None else 1, rolled_out if rolled_out is not None else age, tags, made, spec, count, statuses, pod_age, node,
        pod_conditions, unready_since,
    )  # fmt: skip
    return objects


def _revision(
    top: Doc, code: str, number: int, age: float, tags: Mapping[str, str], made: Sequence[Doc], spec: Mapping[str, Any] | None, count: int,
    statuses: Sequence[Doc] | None, pod_age: float | None, node: str | None, conditions: Sequence[Doc], unready_since: float,
) -> list[Doc]:  # fmt: skip
    name, namespace = top["metadata"]["name"], top["metadata"]["namespace"]
    hashed = {**tags, "pod-template-hash": code}
    replica_set = thing(
        "ReplicaSet", f"{name}-{code}", namespace, api="apps/v1", labels=hashed, owner=top, age=age,
        annotations={"deployment.kubernetes.io/revision": str(number)},
        spec={"replicas": count, "selector": {"matchLabels": hashed}, "template": template(hashed, made, spec)},
        status={"replicas": count, "readyReplicas": 0 if statuses is not None and not all(s["ready"] for s in statuses) else count},
    )  # fmt: skip
    pods = [
        pod(
            f"{name}-{code}-{letters}", namespace, statuses=statuses, containers=made, labels=hashed, owner=replica_set,
            age=pod_age if pod_age is not None else age, node=node, spec=spec, conditions=conditions, unready_since=unready_since,
        )
        for letters in ["x2k9d", "m4q7z", "p8w3t", "b5n6v", "c7r2j"][:count]
    ]  # fmt: skip
    return [replica_set, *pods]


def stateful_set(
    name: str = "db",
    namespace: str = "shop-data",
    *,
    containers: Sequence[Doc] | None = None,
    statuses: Sequence[Doc] | None = None,
    spec: Mapping[str, Any] | None = None,
    replicas: int = 1,
    owner: Doc | None = None,
    age: float = 60 * 24,
) -> list[Doc]:
    """A StatefulSet and its pods."""
    tags, made = {"app": name}, list(containers or [container(name)])
    up = statuses is None or all(s["ready"] for s in statuses)
    top = thing(
        "StatefulSet", name, namespace, api="apps/v1", labels=tags, owner=owner, age=age,
        spec={"replicas": replicas, "serviceName": name, "selector": {"matchLabels": tags}, "template": template(tags, made, spec)},
        status={"replicas": replicas, "readyReplicas": replicas if up else 0},
    )  # fmt: skip
    return [
        top,
        *(
            pod(
                f"{name}-{i}",
                namespace,
                statuses=statuses,
                containers=made,
                labels=tags,
                owner=top,
                spec=spec,
            )
            for i in range(replicas)
        ),
    ]


def service(
    name: str = "api",
    namespace: str = "shop",
    *,
    selector: Mapping[str, str] | None = None,
    port: int = 80,
    target: int | str | None = None,
    ready: int | None = None,
    not_ready: int = 0,
    edits: Sequence[Doc] = (),
    address: str = "",
) -> list[Doc]:
    """A Service; with `ready` or `not_ready` also its EndpointSlice."""
    spec = {
        "selector": dict({"app": name} if selector is None else selector),
        "ports": [{"port": port, "targetPort": target if target is not None else port}],
        "type": "ClusterIP",
        "clusterIP": address,
    }
    made = [thing("Service", name, namespace, spec=spec, edits=edits)]
    if ready is not None or not_ready:
        ends = [{"conditions": {"ready": True}}] * (ready or 0) + [
            {"conditions": {"ready": False}}
        ] * not_ready
        made.append(
            thing(
                "EndpointSlice", f"{name}-abcde", namespace, api="discovery.k8s.io/v1",
                labels={"kubernetes.io/service-name": name}, addressType="IPv4", endpoints=ends, ports=[{"port": port}],
            )
        )  # fmt: skip
    return made


def config_map(
    name: str,
    namespace: str = "shop",
    *,
    data: Mapping[str, str] | None = None,
    edits: Sequence[Doc] = (),
    annotations: Mapping[str, str] | None = None,
    **more: str,
) -> Doc:
    """A ConfigMap; keys that are no Python names go into `data`."""
    whole = {**(data or {}), **more}
    return thing("ConfigMap", name, namespace, edits=edits, annotations=annotations, data=whole)


def node(
    name: str = "node-1",
    *,
    ready: str = "True",
    cpu: str = "4",
    memory: str = "16Gi",
    since: float = 600,
    **spec: Any,
) -> Doc:
    labels = spec.pop("labels", {})
    edits = spec.pop("edits", ())
    pressures = spec.pop("conditions", [])
    return thing(
        "Node", name, None, labels={"kubernetes.io/hostname": name, **labels}, edits=edits, spec=spec,
        status={
            "allocatable": {"cpu": cpu, "memory": memory, "pods": "110"},
            "conditions": [{"type": "Ready", "status": ready, "reason": "KubeletReady", "message": "", "lastTransitionTime": ago(since)}, *pressures],
        },
    )  # fmt: skip


# -- events, logs, snapshots -----------------------------------------------------------------------


def event(
    about: Doc,
    reason: str,
    message: str,
    *,
    first: float = 15,
    last: float = 1,
    count: int = 5,
    type_: str = "Warning",
    field: str = "",
    api: str = "v1",
) -> Doc:
    """An event about an object, in the core API or (`api="events.k8s.io/v1"`) the newer one."""
    meta = about["metadata"]
    reference = {
        "kind": about["kind"],
        "name": meta["name"],
        "namespace": meta.get("namespace"),
        "uid": meta["uid"],
        "fieldPath": field,
    }
    name = f"{meta['name']}.{uid_of(reason, message)[:13]}"
    if api == "v1":
        body: Doc = {
            "involvedObject": reference,
            "message": message,
            "firstTimestamp": ago(first),
            "lastTimestamp": ago(last),
            "count": count,
        }
        body["source"] = {"component": "kubelet"}
    else:
        body = {"regarding": reference, "note": message, "eventTime": ago(first).replace("Z", ".123456Z")}
        body["series"] = {"count": count, "lastObservedTime": ago(last).replace("Z", ".654321Z")}
        body["reportingController"] = "kubelet"
    return thing(
        "Event",
        name,
        meta.get("namespace") or "default",
        api=api,
        age=first,
        reason=reason,
        type=type_,
        **body,
    )


def log(about: Doc, text: str, *, container: str = "app", previous: bool = False) -> ContainerLog:
    meta = about["metadata"]
    return ContainerLog(meta["namespace"], meta["name"], container, previous, text)


def kube(doc: Doc) -> KubeObject:
    """One document as the domain's object."""
    meta = doc.get("metadata") or {}
    return KubeObject(
        doc.get("apiVersion", "v1"),
        doc["kind"],
        meta.get("namespace"),
        meta.get("name", ""),
        meta.get("uid", ""),
        doc,
    )


def _flat(items: Iterable[Any]) -> list[Doc]:
    flat: list[Doc] = []
    for item in items:
        flat += [item] if isinstance(item, dict) else _flat(item)
    return flat


def snapshot(*objects: Any, logs: Sequence[ContainerLog] = (), not_read: Sequence[NotRead] = ()) -> Snapshot:
    """Everything that was recorded at NOW; events are told apart by their kind."""
    docs = _flat(objects)
    return Snapshot(
        captured_at=NOW,
        objects=[kube(d) for d in docs if d["kind"] != "Event"],
        events=[kube(d) for d in docs if d["kind"] == "Event"],
        logs=list(logs),
        not_read=list(not_read),
    )


def pods_in(objects: Iterable[Any]) -> list[Doc]:
    return [d for d in _flat(objects) if d["kind"] == "Pod"]
