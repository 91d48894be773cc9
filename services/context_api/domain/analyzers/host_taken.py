"""A host that two routes claim: which of them gets its requests, and whose pods therefore get none.

Sees routes (Ingress, Route, Gateway API) that ask for the same host and path and lead to different Services, where a
controller says that it refuses one of them, or where the older one, which controllers prefer, leads to nobody while the
other's pods are ready. A trial that was never taken away holds a host from the moment the real route is made anew.
Routes that share a host on purpose (a canary) both have pods and are no fault. Cannot see routes of kinds that hold
their rules elsewhere, nor what lies in front of the cluster.

Rests on: docs.openshift.com, "Route admission policy" (the oldest route claims the host);
https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule (conflicts);
https://kubernetes.github.io/ingress-nginx/how-it-works/ (the oldest rule wins).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.edges import backends
from services.context_api.domain.kube import Condition, entries, flat, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.routes import KINDS, Claim, age, claims, refusal
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "host_taken"
SAID, SUPPOSED = 0.92, 0.75
"""How sure it is where a controller says so, and where only the routes' ages do."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per route that lost its host to another."""
    by_claim: dict[tuple[str, Claim], list[KubeObject]] = {}
    for route in scene.graph.of_kind(*KINDS):
        for claim in claims(route) if not _shares(route) else ():
            by_claim.setdefault((route.kind, claim), []).append(route)
    told: set[int] = set()
    for (_, claim), rivals in by_claim.items():
        holder, *others = sorted(rivals, key=lambda r: (refusal(r) is not None, age(r)))
        for loser in others:
            said = refusal(loser)
            if id(loser) in told or not _apart(scene, holder, loser):
                continue
            if (said is not None and refusal(holder) is None) or (
                said is None and _idle(scene, holder, loser)
            ):
                told.add(id(loser))
                yield _observation(scene, holder, loser, claim, said)


def _shares(route: KubeObject) -> bool:
    """Whether it is meant to take a part of another's requests."""
    return any("canary" in key and value == "true" for key, value in flat(route.annotations).items())


def _apart(scene: Scene, holder: KubeObject, loser: KubeObject) -> bool:
    """Whether they meet at one door and lead to different Services."""
    return _parents(holder) == _parents(loser) and set(map(id, _behind(scene, holder))) != set(
        map(id, _behind(scene, loser))
    )


def _parents(route: KubeObject) -> frozenset[tuple[str, str]]:
    """What carries it: the parents it names, or its class."""
    named = [
        (text(p.get("namespace")) or route.namespace or "", text(p.get("name")))
        for p in entries(route.spec.get("parentRefs"))
    ]
    return frozenset(named or [("", text(route.spec.get("ingressClassName")))])


def _behind(scene: Scene, route: KubeObject) -> list[KubeObject]:
    found = [scene.graph.get("Service", b.namespace, b.service) for b in backends(route)]
    return [service for service in found if service is not None]


def _serves(scene: Scene, route: KubeObject) -> bool:
    return any(scene.graph.endpoints(service).ready for service in _behind(scene, route))


def _idle(scene: Scene, holder: KubeObject, loser: KubeObject) -> bool:
    return bool(_behind(scene, holder)) and not _serves(scene, holder) and _serves(scene, loser)


def _observation(
    scene: Scene, holder: KubeObject, loser: KubeObject, claim: Claim, said: Condition | None
) -> Observation:
    host = claim[0] + (claim[1] if claim[1] != "/" else "")
    idle = _idle(scene, holder, loser)
    # Of two routes that both serve somebody, the one that is refused came too late.
    about = holder if idle or said is None else loser
    words = f"{name_of(holder)}, made at {clock(holder.created_at)}, holds {host}, so {name_of(loser)} gets none of its requests"
    if said is not None:
        words += f" and is refused since {clock(said.since)} ({said.reason}: `{quote(said.message)}`)"
    if idle:
        words += f"; what {name_of(holder)} leads to ({_names(_behind(scene, holder))}) has no ready endpoint, while {_names(_behind(scene, loser))} of the other has"
    return Observation(
        about=about,
        reason="HostHeldByOtherRoute",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=SAID if said is not None else SUPPOSED,
        facts=(
            evidence.field(holder, "spec", {"host": host}, f"{name_of(holder)} asks for {host}"),
            evidence.field(
                loser,
                "status" if said is not None else "spec",
                {"host": host, "reason": said.reason if said is not None else "", "message": said.message if said is not None else ""},
                f"{name_of(loser)} asks for {host} too",
                said.since if said is not None else loser.created_at,
            ),
        ),
        basis=(
            "two routes claim one host and path and lead to different Services",
            "the controller refuses one of them"
            if said is not None
            else "controllers prefer the older of two equal claims",
            *(("only behind the other are pods ready",) if idle else ()),
        ),
        onset=said.since if said is not None else loser.created_at,
        remediation=remedies.look(
            holder, f"Decide whose {host} is, and take it from {name_of(holder)} or {name_of(loser)}."
        ),
        explains=_accounted(scene, holder, loser, host, idle=idle),
    )  # fmt: skip


def _accounted(
    scene: Scene, holder: KubeObject, loser: KubeObject, host: str, *, idle: bool
) -> tuple[Explains, ...]:
    """The refusal; and that nobody answers behind the holder, from where nobody was meant to be served."""
    found = [Explains(loser, 0.92, f"{name_of(holder)} holds its host", deepest=Depth.process)]
    if idle:
        why = f"requests for {host} come here only because its route holds the host"
        services = _behind(scene, holder)
        behind = [top for service in services for top in scene.graph.behind(service)]
        found += [Explains(one, 0.8, why) for one in (holder, *services, *behind)]
    return tuple(found)


def _names(services: Sequence[KubeObject]) -> str:
    return ", ".join(name_of(service) for service in services) or "nobody"
