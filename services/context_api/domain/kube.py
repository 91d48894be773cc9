"""Reads Kubernetes objects without trusting their shape.

Decides what a field means (a quantity, a duration, a condition, a selector); judges nothing.
A missing, null or misshapen field reads as empty: recordings are edited by hand, cut in half and
printed by versions not yet released, and one bad object must not cost the answer about the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.context_api.domain.snapshot import Body, KubeObject, once, parse_time

EMPTY: Body = {}

WORKLOADS = frozenset(
    {
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "DeploymentConfig",
        "Job",
        "CronJob",
        "Rollout",
        "Pod",
    }
)
"""Kinds that carry a pod template, or are a pod."""


_NATIVE = WORKLOADS | {
    "Service", "Node", "Namespace", "Secret", "ConfigMap", "PersistentVolumeClaim", "PersistentVolume", "Endpoints", "EndpointSlice", "Ingress",
    "NetworkPolicy", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ResourceQuota", "LimitRange", "StorageClass", "Role", "RoleBinding",
    "ClusterRole", "ClusterRoleBinding", "ServiceAccount", "Route",
}  # fmt: skip
_NATIVE_GROUPS = frozenset({"", "apps", "batch", "extensions", "autoscaling", "policy"})


def is_native(obj: KubeObject) -> bool:
    """Whether an object of a built-in kind's name is of that kind: Knative has Services too, and Longhorn has Nodes."""
    group = obj.group
    if obj.kind not in _NATIVE or group in _NATIVE_GROUPS or group.endswith((".k8s.io", ".openshift.io")):
        return True
    return obj.kind == "Rollout"


def is_custom(obj: KubeObject) -> bool:
    """Whether it is a platform's object: of an API group that is not Kubernetes' own, and no workload."""
    foreign = "." in obj.group and not obj.group.endswith(".k8s.io")
    return (foreign or obj.group == "gateway.networking.k8s.io") and obj.kind not in WORKLOADS


def mapping(value: object) -> Body:
    """`value` when it is an object, else an empty one."""
    # Nearly always a dict, and asking the abstract class costs ten times as much.
    return value if value.__class__ is dict or isinstance(value, Mapping) else EMPTY


def entries(value: object) -> list[Body]:
    """The objects in a list; whatever is no object is left out, null reads as an empty list."""
    if value.__class__ is not list:
        return []
    return [item for item in value if item.__class__ is dict or isinstance(item, Mapping)]


def countable(value: object) -> bool:
    """Whether `entries` leaves nothing out: of none (null, as the API server prints it), or a list of objects."""
    return value is None or (isinstance(value, list) and len(entries(value)) == len(value))


def strings(value: object) -> list[str]:
    """The strings in a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def text(value: object) -> str:
    """A string as it is; YAML's unquoted numbers and booleans as they were meant; else empty."""
    if value.__class__ is str or isinstance(value, str):
        return value if value.isascii() else printable(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters (line ends and tabs apart) and marks that turn the direction of writing."""


def harmless(words: str) -> str:
    """The same text without what would steer its reader's terminal or eye, and without lone surrogates."""
    # Nearly every text is printable, and asking costs little.
    return words if words.isprintable() else _STEERING.sub("\ufffd", printable(words))


def printable(words: str) -> str:
    """The same text without lone surrogates, which no JSON answer can carry."""
    try:
        words.encode()
    except UnicodeEncodeError:
        return words.encode("utf-8", "replace").decode()
    return words


_WHOLE = re.compile(r"-?[0-9]{1,18}")
"""`isdigit` takes `²` for a digit, and `int` does not."""


def number(value: object, default: int = 0) -> int:
    """A whole number; `default` for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    return default


def leaves(value: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """(dotted path, text) of each string, number and boolean inside; entries of a list by their place."""
    if isinstance(value, Mapping) and depth < 12:
        for key, inner in value.items():
            if isinstance(key, str):
                yield from leaves(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list) and depth < 12:
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]", depth + 1)
    elif isinstance(value, str | int | float):
        yield path, text(value)


def at(value: object, *path: str) -> Any:
    """Walk down nested objects; None as soon as a step is missing."""
    for step in path:
        value = mapping(value).get(step)
    return value


def flat(labels: object) -> dict[str, str]:
    """A map of strings: labels, selectors, annotations."""
    return {k: text(v) for k, v in mapping(labels).items() if isinstance(k, str)}


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of `status.conditions`."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime | None
    updated: datetime | None


def conditions(obj: KubeObject) -> list[Condition]:
    """All conditions of an object, in its own order."""
    return [read_condition(c) for c in entries(obj.status.get("conditions"))]


def reported(obj: KubeObject) -> list[Condition]:
    """All conditions in its status, those too that it reports per parent, listener, ingress or tag."""
    found = conditions(obj)
    for _, said in reported_by(obj):
        found += said
    return found


def reported_by(obj: KubeObject) -> Iterator[tuple[Body, list[Condition]]]:
    """Each entry of its status for a parent, listener, ingress or tag, with its conditions."""
    for place in ("ingress", "parents", "listeners", "tags"):
        for entry in entries(obj.status.get(place)):
            yield entry, [read_condition(c) for c in entries(entry.get("conditions"))]


def read_condition(raw: Body) -> Condition:
    return Condition(
        type=text(raw.get("type")),
        status=text(raw.get("status")).capitalize(),
        reason=text(raw.get("reason")),
        message=text(raw.get("message")),
        since=parse_time(raw.get("lastTransitionTime")),
        updated=parse_time(raw.get("lastUpdateTime")) or parse_time(raw.get("lastProbeTime")),
    )


def condition(obj: KubeObject, kind: str) -> Condition | None:
    """The condition of that type, if the object has it."""
    known = _first_of_type(obj)
    if kind not in known:
        known[kind] = _condition(obj, kind)
    return known[kind]


@once
def _first_of_type(obj: KubeObject) -> dict[str, Condition | None]:
    """By type, those that were asked for."""
    return {}


def _condition(obj: KubeObject, kind: str) -> Condition | None:
    # Looked for before it is read: reading takes three times, and most are asked for one of many.
    found = next((c for c in entries(obj.status.get("conditions")) if text(c.get("type")) == kind), None)
    return read_condition(found) if found is not None else None


_QUANTITY = re.compile(
    r"^([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:[eE]([+-]?\d{1,3}))?(m|k|Ki|Mi|Gi|Ti|Pi|Ei|M|G|T|P|E|n|u)?$"
)
_SUFFIX = {
    None: 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}


def quantity(value: object) -> float | None:
    """A resource quantity in its base unit (cores, bytes): `500m` → 0.5, `1Gi` → 1073741824.

    Source: k8s.io/apimachinery/pkg/api/resource, "Quantity" serialisation format.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = _QUANTITY.match(value.strip()) if isinstance(value, str) and len(value) < 64 else None
    if found is None:
        return None
    return float(found[1]) * 10.0 ** int(found[2] or 0) * _SUFFIX[found[3]]


def pod_spec(obj: KubeObject) -> Body:
    """The pod spec of a pod, or of the template inside a workload."""
    if obj.kind == "Pod":
        return obj.spec
    return mapping(pod_template(obj).get("spec"))


def pod_template(obj: KubeObject) -> Body:
    """`spec.template` of a workload (CronJob: of its job template)."""
    if obj.kind == "CronJob":
        return mapping(at(obj.spec, "jobTemplate", "spec", "template"))
    return mapping(obj.spec.get("template"))


@once
def template_labels(obj: KubeObject) -> Mapping[str, str]:
    """Labels its pods carry: the pod's own, or the template's. Not to be changed."""
    return flat(obj.labels) if obj.kind == "Pod" else flat(at(pod_template(obj), "metadata", "labels"))


@once
def selector_of(service: KubeObject) -> Mapping[str, str]:
    """The labels that a Service wants of its pods. Not to be changed."""
    return flat(service.spec.get("selector"))


@once
def ports_declared(obj: KubeObject) -> Sequence[Body]:
    """Of all containers of a pod, or of a workload's template."""
    return [port for one in containers(pod_spec(obj)) for port in entries(one.get("ports"))]


def containers(spec: Body) -> Iterator[Body]:
    """Init containers (sidecars among them) and containers of a pod spec, in start order."""
    yield from entries(spec.get("initContainers"))
    yield from entries(spec.get("containers"))


def replicas(obj: KubeObject) -> int:
    """How many pods it is asked to run; the API server's default of 1 when unset."""
    return number(obj.spec.get("replicas"), 1)


def label_selector(value: object) -> tuple[dict[str, str], list[Body]]:
    """`matchLabels` and `matchExpressions` of a LabelSelector."""
    selector = mapping(value)
    return flat(selector.get("matchLabels")), entries(selector.get("matchExpressions"))


def selects(selector: object, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches; an empty one matches everything, as the API says."""
    wanted, expressions = label_selector(selector)
    return all(labels.get(k) == v for k, v in wanted.items()) and all(_holds(e, labels) for e in expressions)


def _holds(expression: Body, labels: Mapping[str, str]) -> bool:
    key, operator = text(expression.get("key")), text(expression.get("operator"))
    values = strings(expression.get("values"))
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def show_labels(labels: Mapping[str, str]) -> str:
    """`a=1,b=2`, sorted, as kubectl writes selectors."""
    return ",".join(f"{k}={v}" for k, v in sorted(labels.items()))


def listing(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def owner_reference(obj: KubeObject) -> Body | None:
    """The controller's reference; a lone owner counts as one (old controllers set no flag)."""
    owners = obj.owners
    if len(owners) == 1:
        only = owners[0]
        return only if only.get("controller") is True or "controller" not in only else None
    return next((o for o in owners if o.get("controller") is True), None)


@once
def owner_named(obj: KubeObject) -> tuple[str, str, str] | None:
    """Uid, kind and name of the controller, as its reference says them."""
    reference = owner_reference(obj)
    if reference is None:
        return None
    return text(reference.get("uid")), text(reference.get("kind")), text(reference.get("name"))
