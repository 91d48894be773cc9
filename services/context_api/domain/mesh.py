"""Rules of an Istio mesh, as the analyzers that judge them read them: whose they are, and who complains about what.

Decides which log lines are complaints about a Service of the mesh, and how a rule is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.dependencies import Spoken
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import flat
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NETWORKING, SECURITY = "networking.istio.io", "security.istio.io"
ROOT = "istio-system"
"""The mesh's root namespace unless it was set to another; policies in it are for the whole mesh."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """Somebody's log line about a Service of the mesh."""

    client: KubeObject
    service: KubeObject
    said: Spoken


def in_use(scene: Scene) -> bool:
    """Whether any rule of a mesh was recorded: without one nothing else needs to be looked at."""
    return any(o.group in (NETWORKING, SECURITY) for o in scene.snapshot.objects)


def each_once(found: Iterator[Observation]) -> Iterator[Observation]:
    """Several clients may suffer from one rule: it is told once for each reason."""
    known: dict[tuple[int, str], Observation] = {}
    for one in found:
        known.setdefault((id(one.about), one.reason), one)
    yield from known.values()


def complaints_in(scene: Scene, seen: Sequence[Observation]) -> Iterator[Complaint]:
    """What those in trouble, and those the alert leads to, say about Services."""
    for client in concerned(scene, seen):
        for said in scene.deps.spoken(client):
            service = said.found
            if service is not None and service.kind == "Pod":
                labels = flat(service.labels)
                service = next(
                    (s for s in scene.graph.services_in(service.namespace) if (w := flat(s.spec.get("selector"))) and w.items() <= labels.items()),
                    None,
                )  # fmt: skip
            if service is not None:
                yield Complaint(client, service, said)


def rules_of(scene: Scene, group: str, *kinds: str) -> list[KubeObject]:
    """The rules of these kinds that are not being deleted."""
    return [
        o
        for kind in kinds
        for o in scene.snapshot.of_kind(kind)
        if o.group == group and not o.metadata.get("deletionTimestamp")
    ]


def service_of(scene: Scene, host: str, namespace: str | None) -> KubeObject | None:
    """The Service a rule's host means, seen from its namespace."""
    return scene.graph.names.find(host, namespace)


def in_force(rule: KubeObject) -> str:
    """Since when the rule is as it is, for the end of a sentence."""
    edit = last_edit(rule)
    if edit is not None:
        return f"; edited at {clock(edit.at)} by {edit.by}"
    return f"; in force since {clock(rule.created_at)}" if rule.created_at else ""


def supported(
    found: Observation, explains: tuple[Explains, ...], facts: tuple[evidence.Fact, ...]
) -> Observation:
    """The same with what it explains, and a client\'s log line that shows it."""
    basis = (*found.basis, *(["a client's log complains about it"] if facts else []))
    return replace(found, explains=explains, facts=(*found.facts, *facts), basis=basis)


def plain(
    analyzer: str, rule: KubeObject, reason: str, words: str, certainty: float, *, latent: bool = False
) -> Observation:
    """What is told of a rule, before anybody suffers from it."""
    edit = last_edit(rule)
    return Observation(
        about=rule,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical,
        analyzer=analyzer,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.field(rule, "spec", dict(rule.spec), f"{name_of(rule)}: its spec"),),
        basis=("the mesh's rules beside the Services and pods there are",),
        onset=edit.at if edit is not None else rule.created_at,
        remediation=remedies.edit(rule, f"Correct {name_of(rule)}, or bring what it names."),
        latent=latent,
    )
