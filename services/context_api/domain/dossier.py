"""Gathers the facts about one object and what it is connected to, in the order a reader needs them.

First what the ranked causes rest on, then what analyzers saw, then the plain record: events, conditions, telling
log lines, metrics; each from near to far. The same fact has the same id here as where a cause cites it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.evidence import EvidenceItem, EvidenceKind, EvidencePage
from libs.contracts.target import Target
from services.context_api.domain import evidence, verdict
from services.context_api.domain.causality import connect
from services.context_api.domain.errors import BadCursor
from services.context_api.domain.evidence import Fact
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import Condition, conditions
from services.context_api.domain.logs import clusters, cut, is_narrative, telling
from services.context_api.domain.observation import Observation
from services.context_api.domain.ranking import Alert, rank
from services.context_api.domain.redact import redact
from services.context_api.domain.relation import Relations, relate
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, Snapshot
from services.context_api.domain.triage import MOST_CAUSES, OnBroken, locate, noted, observe, unheard
from services.context_api.domain.wording import clock

MOST_ITEMS = 200
"""Facts on one page."""

LARGEST_PAGE = 256 * 1024
"""Bytes of JSON; a page ends before it, and the next one goes on."""

MOST_FACTS = 2_000
"""Facts gathered about one object. Nearer ones come first, so what is left out is far."""

MOST_OBJECTS = 60
"""Connected objects whose record is read."""

MOST_PODS = 10
"""Pods read of one workload: replicas say the same."""

MOST_OF_EACH = 20
"""Events, series or conditions read of one object, newest first."""


@dataclass(frozen=True, slots=True)
class Dossier:
    """Every fact once, the most telling first; and what could not be looked at."""

    target: Target
    items: list[EvidenceItem]
    not_looked_at: list[str]
    snapshot_at: datetime


def gather(
    snapshot: Snapshot,
    target: Target,
    *,
    onset: datetime | None = None,
    graph: Graph | None = None,
    broken: OnBroken = unheard,
) -> Dossier:
    """Everything known about `target` and what it is connected to; arguments as for `find_causes`."""
    graph = graph or Graph(snapshot)
    about = locate(graph, target)
    scene = Scene(snapshot, target=about, onset=onset, graph=graph)
    unseen: list[str] = []
    seen = observe(scene, noted(unseen, broken))
    relations = relate(scene, about, seen)
    facts = [*_explaining(scene, seen, relations, target, about), *_observed(seen, relations)]
    facts += _recorded(scene, relations)
    items: dict[str, EvidenceItem] = {}
    for item in evidence.items(facts[:MOST_FACTS], snapshot):
        items.setdefault(item.id, item)
    far = (
        [f"{len(facts) - MOST_FACTS} facts about distant objects: too many"]
        if len(facts) > MOST_FACTS
        else []
    )
    return Dossier(
        target,
        list(items.values()),
        [*verdict.not_looked_at(snapshot, target, about), *unseen, *far],
        snapshot.captured_at,
    )


def page(dossier: Dossier, kind: EvidenceKind | None, limit: int, cursor: str | None) -> EvidencePage:
    """At most `limit` facts of one kind (None: of all) after the one whose id is `cursor`.

    Raises:
        BadCursor: none of these facts has that id.
    """
    items = [item for item in dossier.items if kind in (None, item.kind)]
    start = 0 if cursor is None else _place(items, cursor) + 1
    kept = _fit(items[start : start + limit])
    more = start + len(kept) < len(items)
    return EvidencePage(
        target=dossier.target,
        items=kept,
        total=len(items),
        next_cursor=kept[-1].id if more else None,
        not_looked_at=dossier.not_looked_at,
        snapshot_at=dossier.snapshot_at,
    )


def _place(items: Sequence[EvidenceItem], cursor: str) -> int:
    for place, item in enumerate(items):
        if item.id == cursor:
            return place
    raise BadCursor


def _fit(items: Sequence[EvidenceItem]) -> list[EvidenceItem]:
    """As many as the page holds; one at least, or the next page would never come."""
    kept: list[EvidenceItem] = []
    room = LARGEST_PAGE
    for item in items:
        room -= len(item.model_dump_json())
        if room < 0 and kept:
            break
        kept.append(item)
    return kept


def _explaining(
    scene: Scene, seen: Sequence[Observation], relations: Relations, target: Target, about: KubeObject | None
) -> Iterator[Fact]:
    alert = Alert(about, target.namespace, scene.onset, named=True, missing=target if about is None else None)
    for one in rank(scene, connect(scene, seen), relations, alert)[:MOST_CAUSES]:
        for observation in (one.observation, *(also.observation for also in one.also)):
            yield from observation.facts


def _observed(seen: Sequence[Observation], relations: Relations) -> Iterator[Fact]:
    near = [(relations.nearness(one.about), one) for one in seen]
    for nearness, one in sorted(near, key=lambda pair: (-pair[0], pair[1].key)):
        if nearness > 0:
            yield from one.facts


def _recorded(scene: Scene, relations: Relations) -> Iterator[Fact]:
    for near in relations.objects()[:MOST_OBJECTS]:
        for obj in _with_pods(scene, near):
            yield from record_of(scene, obj)
            yield from _log_lines(scene, obj)


def _with_pods(scene: Scene, obj: KubeObject) -> Iterable[KubeObject]:
    """The object, its pods, and what stands between them."""
    pods = scene.graph.pods_of(obj)[:MOST_PODS] if obj.kind != "Pod" else []
    between = [owner for pod in pods if (owner := scene.graph.owner(pod)) is not None]
    return {id(one): one for one in (obj, *between, *pods)}.values()


def record_of(scene: Scene, obj: KubeObject) -> Iterator[Fact]:
    """What is on record about one object, whether anybody finds fault with it or not. Its log is read elsewhere."""
    newest = list(scene.graph.events_about(obj))[-MOST_OF_EACH:]
    yield from (evidence.event(obj, event) for event in reversed(newest))
    yield from (_condition(obj, state) for state in conditions(obj)[:MOST_OF_EACH])
    if obj.kind == "Pod":
        top = scene.graph.top(obj)
        yield from (
            evidence.metric(series, top)
            for series in scene.metrics.of_pod(obj.namespace, obj.name)[:MOST_OF_EACH]
        )


def _condition(obj: KubeObject, state: Condition) -> Fact:
    """As `unhealthy_condition` writes it, so that both have one id."""
    message = "" if is_narrative(state.message) else cut(redact(state.message), 300)
    since = f" since {clock(state.since)}" if state.since else ""
    return evidence.field(
        obj,
        f"status.conditions[{state.type}]",
        {"status": state.status, "reason": state.reason, "message": message},
        f"{obj.kind} {obj.name}: {state.type}={state.status} {state.reason}{since}".rstrip(),
        state.since,
    )


def _log_lines(scene: Scene, pod: KubeObject) -> Iterator[Fact]:
    if pod.kind != "Pod":
        return
    for log in scene.snapshot.logs_of(pod.namespace, pod.name):
        lines = telling(clusters([log.text]))
        if lines:
            yield evidence.log_lines(pod, log.container, lines, previous=log.previous)
