"""Where a pod may go: which nodes its selector and affinity name, and which of their taints it does not tolerate.

Only what a pod requires, and where a volume may be used; preferences and room are not asked. Schedulers since Kubernetes 1.34 count
untolerated taints without naming them, so they have to be found.

Rests on: kubernetes.io/docs, "Assigning Pods to Nodes", "Taints and Tolerations", "Persistent Volumes" (node affinity).
"""

from __future__ import annotations

from services.context_api.domain.kube import at, entries, flat, mapping, number, strings, text
from services.context_api.domain.snapshot import Body, KubeObject

_REPELS = frozenset({"NoSchedule", "NoExecute"})


def may_go_to(spec: Body, node: KubeObject) -> bool:
    """Whether a pod's node selector and required affinity admit a node."""
    labels = flat(node.labels)
    if any(labels.get(key) != value for key, value in flat(spec.get("nodeSelector")).items()):
        return False
    required = mapping(at(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"))
    terms = entries(required.get("nodeSelectorTerms"))
    return not terms or any(_admits(term, node, labels) for term in terms)


def may_be_attached(volume: KubeObject, node: KubeObject) -> bool:
    """Whether a PersistentVolume may be used on a node, by the labels its node affinity requires."""
    labels = flat(node.labels)
    terms = entries(at(volume.spec, "nodeAffinity", "required", "nodeSelectorTerms"))
    return not terms or any(_admits(term, node, labels) for term in terms)


def _admits(term: Body, node: KubeObject, labels: dict[str, str]) -> bool:
    wanted = entries(term.get("matchExpressions"))
    fields = entries(term.get("matchFields"))
    return bool(wanted or fields) and (
        all(_holds(one, labels) for one in wanted)
        and all(_holds(one, {"metadata.name": node.name}) for one in fields)
    )


def _holds(wanted: Body, have: dict[str, str]) -> bool:
    value, values = have.get(text(wanted.get("key"))), strings(wanted.get("values"))
    match text(wanted.get("operator")):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and bool(values) and number(value) > number(values[0])
        case "Lt":
            return value is not None and bool(values) and number(value) < number(values[0])
        case _:
            return False


def untolerated(spec: Body, node: KubeObject) -> list[Body]:
    """Taints of a node that keep a pod away."""
    tolerations = entries(spec.get("tolerations"))
    return [
        taint
        for taint in entries(node.spec.get("taints"))
        if text(taint.get("effect")) in _REPELS and not any(_tolerates(one, taint) for one in tolerations)
    ]


def _tolerates(toleration: Body, taint: Body) -> bool:
    effect, key = text(toleration.get("effect")), text(toleration.get("key"))
    if effect and effect != text(taint.get("effect")):
        return False
    if text(toleration.get("operator")) == "Exists":
        return not key or key == text(taint.get("key"))
    return key == text(taint.get("key")) and text(toleration.get("value")) == text(taint.get("value"))
