"""A Service that serves callers of their own node only, and a caller on a node where nothing of it runs.

Sees `internalTrafficPolicy: Local`, on which nodes the Service has ready endpoints, and callers whose log complains
about it from a node that has none: kube-proxy drops what they send, though the Service has endpoints elsewhere. Surer
where pods of the same caller on other nodes do not complain. Who set the policy, and when, is told; it may be weeks ago.
Cannot see traffic from outside (`externalTrafficPolicy`), nor what another proxy than kube-proxy makes of the policy.

Rests on: https://kubernetes.io/docs/concepts/services-networking/service-traffic-policy/,
https://kubernetes.io/docs/reference/networking/virtual-ips/#internal-traffic-policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import writer_of
from services.context_api.domain.dependencies import Spoken
from services.context_api.domain.focus import outspoken
from services.context_api.domain.kube import listing, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.uneven import node_of, uneven
from services.context_api.domain.wording import clock, name_of

NAME = "traffic_policy"
FIELD = "spec.internalTrafficPolicy"
_UNREACHED = frozenset({"timeout", "refused", "other", "http", "dns"})
SURE, LIKELY = 0.93, 0.7
"""Pods of the same caller elsewhere are well; nobody can compare."""


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per Service that callers of a node without its endpoints complain about."""
    if not any(map(_local, scene.graph.of_kind("Service"))):
        return  # everybody's log would be read for nothing
    told: set[int] = set()
    for top in outspoken(scene, seen):
        for said in scene.deps.spoken(top):
            service = said.found
            if (
                service is None
                or id(service) in told
                or not _local(service)
                or said.trouble not in _UNREACHED
            ):
                continue
            served, asked = scene.graph.served_nodes(service), node_of(said.pod)
            if served and asked and asked not in served:
                told.add(id(service))
                yield _observation(scene, top, said, service, sorted(served))


def _local(service: KubeObject) -> bool:
    return service.kind == "Service" and text(service.spec.get("internalTrafficPolicy")) == "Local"


def _observation(
    scene: Scene, top: KubeObject, said: Spoken, service: KubeObject, served: list[str]
) -> Observation:
    node, edit = node_of(said.pod), writer_of(service, FIELD)
    sides = uneven(scene, top)
    compared = sides is not None and all(node_of(one.pod) not in served for one in sides.bad)
    since = f", set at {clock(edit.at)} by {edit.by}" if edit is not None else ""
    words = (
        f"{name_of(service)} serves callers of their own node only (internalTrafficPolicy: Local{since}): its ready endpoints are on "
        f"{listing(served, 5)}, and {name_of(top)} asks it from node {node}, where there is none: `{quote(said.line)}`"
    )
    if compared and sides is not None:
        words += f"; pods of {name_of(top)} on {listing(sorted({node_of(p) for p in sides.good}), 3)} do not complain"
    return Observation(
        about=service,
        reason="NoEndpointOnCallersNode",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=SURE if compared else LIKELY,
        facts=(
            evidence.field(service, FIELD, "Local", f"{name_of(service)}: internalTrafficPolicy Local"),
            evidence.log_line(said.pod, said.container, said.line, said.count),
        ),
        basis=(
            "the Service's policy, and the nodes of its endpoints and of who complains",
            "pods of the same caller on nodes with endpoints are well"
            if compared
            else f"{AGAINST}no pod of the same caller on another node can be compared",
        ),
        onset=edit.at if edit is not None else None,
        remediation=remedies.edit(
            service,
            f"Set internalTrafficPolicy of {name_of(service)} to Cluster, or run an endpoint of it on every node that has callers.",
        ),
        explains=(
            Explains(top, 0.95, f"its pod on node {node} has no endpoint of {name_of(service)} there"),
        ),
    )
