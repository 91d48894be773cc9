"""Aggregated APIs that do not answer: whoever asks them is blind, and no namespace can be deleted meanwhile.

Sees APIServices whose Available condition is False with the aggregator's reason, the Service behind each, namespaces
whose deletion fails at discovering that group, and autoscalers that read their metrics from it.
Blames the Service, and through it what keeps its pods down.
Cannot see a group that answers and lies, nor one that the caller may not read.

Rests on: https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/,
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/api-service-v1/ (conditions),
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/ (NamespaceDeletionDiscoveryFailure).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import Condition, condition, mapping, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of

NAME = "api_service"
_METRICS = "metrics.k8s.io"


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per API nobody answers for."""
    for api in scene.graph.of_kind("APIService"):
        state = condition(api, "Available")
        if state is None or state.status == "True" or api.metadata.get("deletionTimestamp"):
            continue
        yield _observation(scene, api, state, [o for o in seen if _asks(o, api)])


def _asks(seen: Observation, api: KubeObject) -> bool:
    """Whether what was seen is somebody who misses this API, by its own status."""
    group, version = text(api.spec.get("group")), text(api.spec.get("version"))
    if seen.reason == "BlindAutoscaler":
        return group.endswith(_METRICS) and (
            group in seen.text or (group == _METRICS and "resource metric" in seen.text)
        )
    return (
        seen.analyzer == "stuck_deletion"
        and seen.about.kind == "Namespace"
        and f"{group}/{version}" in seen.text
    )


def _observation(
    scene: Scene, api: KubeObject, state: Condition, missed: Sequence[Observation]
) -> Observation:
    reference = mapping(api.spec.get("service"))
    place = (text(reference.get("namespace")), text(reference.get("name")))
    service = scene.graph.get("Service", *place) if all(place) else None
    message = cut(redact(state.message), 260)
    words = f"{name_of(api)} is not available ({state.reason}: `{message}`)"
    if service is None and all(place) and scene.graph.services_in(place[0]):
        words += f"; Service {place[0]}/{place[1]}, which should answer for it, does not exist"
    words += f"; it is missed by {', '.join(name_of(o.about) for o in missed[:3])}" if missed else ""
    return Observation(
        about=api,
        reason="ApiNotAvailable",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85,
        facts=(
            evidence.field(
                api,
                "status.conditions[Available]",
                {"status": state.status, "reason": state.reason, "message": message},
                f"{name_of(api)}: Available={state.status} {state.reason}",
                state.since,
            ),
        ),
        basis=("the aggregator's own condition",),
        onset=state.since,
        remediation=remedies.look(
            api, f"Bring back what answers for {name_of(api)}, or delete it with the product it belonged to."
        ),
        blames=(Blame(service, 0.95, "it answers for that API"),) if service is not None else (),
        explains=tuple(Explains(o.about, 0.92, f"{api.name} does not answer") for o in missed),
    )
