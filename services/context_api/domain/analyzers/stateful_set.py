"""StatefulSets whose governing Service is not there, or gives their pods no names.

Sees `spec.serviceName` beside the Services of the namespace: missing, selecting other pods, or, where somebody's log
cannot look up the names it should give, with a cluster address of its own (not headless). Latent until then: pods start
without it.
Cannot see names that are asked for and not logged. Claims of its templates are told by `pvc_pending`.

Rests on: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-network-id (the headless Service
is the user's to make).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import flat, show_labels, template_labels, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of

NAME = "stateful_set"


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one observation per StatefulSet."""
    for owner in scene.graph.of_kind("StatefulSet"):
        name = text(owner.spec.get("serviceName"))
        if (
            not name
            or not scene.graph.services_in(owner.namespace)
            or owner.metadata.get("deletionTimestamp")
        ):
            continue
        service = scene.graph.get("Service", owner.namespace, name)
        words = _fault(owner, name, service)
        missed = _missed(scene, owner, name, seen) if words else []
        # Many give their StatefulSet an ordinary Service and never ask for its pods by name: that is no fault.
        if missed or (words and not _has_address(service)):
            yield _observation(scene, owner, name, service, words, missed)


def _fault(owner: KubeObject, name: str, service: KubeObject | None) -> str:
    if service is None:
        return f"names Service {name} as its own, which does not exist: its pods have no names of their own"
    if _has_address(service):
        return f"names Service {name} as its own, which is not headless (it has address {text(service.spec.get('clusterIP'))}): its pods have no names of their own"
    selector = flat(service.spec.get("selector"))
    labels = template_labels(owner)
    if selector and not all(labels.get(k) == v for k, v in selector.items()):
        return f"names Service {name} as its own, which selects other pods (`{show_labels(selector)}`)"
    return ""


def _has_address(service: KubeObject | None) -> bool:
    return service is not None and text(service.spec.get("clusterIP")) not in ("None", "")


def _missed(
    scene: Scene, owner: KubeObject, name: str, seen: Sequence[Observation]
) -> list[tuple[KubeObject, str]]:
    """Who cannot look up `pod-0.<name>`, with the line."""
    wanted = (f"-0.{name}", f"-1.{name}", f"-2.{name}", f".{name}.{owner.namespace}")
    return [
        (top, said.line)
        for top in concerned(scene, seen)
        for said in scene.deps.spoken(top)
        if said.trouble == "dns" and any(w in said.line for w in wanted)
    ]


def _observation(
    scene: Scene,
    owner: KubeObject,
    name: str,
    service: KubeObject | None,
    words: str,
    missed: list[tuple[KubeObject, str]],
) -> Observation:
    about = scene.graph.top(owner) if service is None else service
    told = f"; {name_of(missed[0][0])} cannot look one up: `{cut(missed[0][1], 200)}`" if missed else ""
    tops = {id(top): top for top, _ in missed}
    return Observation(
        about=about,
        reason="GoverningServiceMissing" if service is None else "GoverningServiceUnfit",
        text=f"{name_of(owner)} {words}{told}",
        severity=FindingSeverity.critical if missed else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.9 if missed else 0.4,
        facts=(evidence.field(owner, "spec.serviceName", name, f"{name_of(owner)} {words}"),),
        basis=(
            "the StatefulSet's serviceName beside the Services there are",
            *(("a log cannot look up a name it should give",) if missed else ()),
        ),
        remediation=remedies.look(
            owner,
            f"Make a headless Service {name} (clusterIP None) that selects the pods of {name_of(owner)}.",
        ),
        explains=tuple(
            Explains(t, 0.92, "it cannot look up its peers", deepest=Depth.process) for t in tops.values()
        ),
        latent=not missed,
    )
