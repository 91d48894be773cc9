"""Gathers the facts about one object and what it is connected to, in the order a reader needs them.

First what the ranked causes rest on, then what analyzers saw, then the plain record: events, conditions, telling
log lines, metrics; each from near to far. The same fact has the same id here as where a cause cites it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from libs.contracts.causes import FindingSeverity, NoCause
from libs.contracts.conflicts import Conflict
from libs.contracts.evidence import EvidenceItem, EvidenceKind, EvidencePage
from libs.contracts.target import Target
from services.context_api.domain import conflicts, evidence
from services.context_api.domain.changed import changes
from services.context_api.domain.conflicts import Contradiction, contradictions, of_alert
from services.context_api.domain.errors import BadCursor
from services.context_api.domain.evidence import Fact
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import Condition, reported
from services.context_api.domain.logs import clusters, cut, is_narrative, telling
from services.context_api.domain.mutes import Mutes
from services.context_api.domain.outline import outline
from services.context_api.domain.redact import redact
from services.context_api.domain.resolve import owner_by_name
from services.context_api.domain.scene import Scene
from services.context_api.domain.series_of import beside_pods
from services.context_api.domain.snapshot import ContainerLog, KubeObject, Snapshot
from services.context_api.domain.told_of import named_in
from services.context_api.domain.triage import Judged, OnBroken, judge, unheard, without_cause
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


CAUSES_READ = 3
"""Causes whose objects' record is read, though no edge may lead to them."""

MOST_NAMED = 5
NAMED = 0.9
"""Nearness of what a cause's words name, as a share of the cause's own."""

SAME_PLACE = 0.6
"""Nearness of a series that names a namespace and nothing in it, as a share of that of the nearest object there."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A fact, and by which way it got into the dossier."""

    fact: Fact
    nearness: float
    """Of the object it is about, to the target: 1 for itself."""
    cause: int | None = None
    """Place of the cause it proves, 0 for the first; None: of none."""
    confidence: float = 0.0
    """How sure that cause is."""
    severity: FindingSeverity | None = None
    """Of the finding it proves; None: it is only on record."""
    explained: bool = False
    """Whether the first cause accounts for that finding."""
    suspect: bool = False
    """Whether it is on record about the object of the first cause."""


@dataclass(frozen=True, slots=True)
class Dossier:
    """Every fact once, the most telling first; and what could not be looked at."""

    target: Target
    items: list[EvidenceItem]
    places: list[Placed]
    """Of each item, at the same index."""
    not_looked_at: list[str]
    snapshot_at: datetime
    conflicts: list[Conflict] = field(default_factory=list)
    """Sources that contradict each other about what is near; their facts are among the items."""


def gather(
    snapshot: Snapshot,
    target: Target,
    *,
    onset: datetime | None = None,
    graph: Graph | None = None,
    mutes: Mutes = (),
    broken: OnBroken = unheard,
) -> Dossier:
    """Everything known about `target` and what it is connected to; arguments as for `find_causes`."""
    return of(judge(snapshot, target=target, onset=onset, graph=graph, mutes=mutes, broken=broken), target)


def of(judged: Judged, target: Target, *, alertname: str = "") -> Dossier:
    """The dossier of what was judged already; `alertname` where an alert fires about it."""
    snapshot = judged.scene.snapshot
    told = [*_explaining(judged), *_observed(judged)]
    known = {id(one.fact.about) for one in told if one.fact.kind is EvidenceKind.change}
    opposed = _opposed(judged, alertname)
    placed = [*told, *_contradicting(judged, opposed), *_recorded(judged, known)]
    ids: dict[int, str] = {}
    items: dict[str, tuple[EvidenceItem, Placed]] = {}
    for one in placed[:MOST_FACTS]:
        for item in evidence.items([one.fact], snapshot):
            items.setdefault(item.id, (item, one))
            ids[id(one.fact)] = item.id
    far = (
        [f"{len(placed) - MOST_FACTS} facts about distant objects: too many"]
        if len(placed) > MOST_FACTS
        else []
    )
    return Dossier(
        target,
        [item for item, _ in items.values()],
        [place for _, place in items.values()],
        [*judged.not_looked_at, *far],
        snapshot.captured_at,
        conflicts.shown(opposed, ids),
    )


def _opposed(judged: Judged, alertname: str) -> list[Contradiction]:
    """The surest contradictions about what is near, that of the alert itself first."""
    scene, near = judged.scene, _near(judged)
    found = contradictions(scene, [each for one, _ in near for each in _with_pods(scene, one)])
    well = alertname and without_cause(judged) in (NoCause.nothing_wrong, NoCause.recovered)
    fires = of_alert(scene, judged.about, alertname, scene.onset, well=bool(well))
    return [*([fires] if fires else []), *found][: conflicts.MOST]


def _contradicting(judged: Judged, opposed: Sequence[Contradiction]) -> Iterator[Placed]:
    """Both sides of each: whoever reads one has to see the other."""
    for one in opposed:
        nearness = judged.relations.nearness(one.about)
        yield from (Placed(fact, nearness, severity=FindingSeverity.warning) for fact in one.facts)


def page(
    dossier: Dossier, kind: EvidenceKind | None, limit: int, cursor: str | None, room: int = LARGEST_PAGE
) -> EvidencePage:
    """At most `limit` facts of one kind (None: of all) after the one whose id is `cursor`, in `room` bytes.

    Raises:
        BadCursor: none of these facts has that id.
    """
    items = [item for item in dossier.items if kind in (None, item.kind)]
    start = 0 if cursor is None else _place(items, cursor) + 1
    kept = _fit(items[start : start + limit], room)
    more = start + len(kept) < len(items)
    return EvidencePage(
        target=dossier.target,
        items=kept,
        total=len(items),
        next_cursor=kept[-1].id if more else None,
        not_looked_at=dossier.not_looked_at,
        conflicts=dossier.conflicts,
        snapshot_at=dossier.snapshot_at,
    )


def _place(items: Sequence[EvidenceItem], cursor: str) -> int:
    for place, item in enumerate(items):
        if item.id == cursor:
            return place
    raise BadCursor


def _fit(items: Sequence[EvidenceItem], room: int) -> list[EvidenceItem]:
    """As many as the page holds; one at least, or the next page would never come."""
    kept: list[EvidenceItem] = []
    for item in items:
        room -= len(item.model_dump_json())
        if room < 0 and kept:
            break
        kept.append(item)
    return kept


def _explaining(judged: Judged) -> Iterator[Placed]:
    for place, one in enumerate(judged.ranked):
        for observation in (one.observation, *(also.observation for also in one.also)):
            for fact in observation.facts:
                yield Placed(
                    fact,
                    one.nearness,
                    cause=place,
                    confidence=one.confidence,
                    severity=observation.severity,
                )


def _observed(judged: Judged) -> Iterator[Placed]:
    tree = judged.tree
    accounted = set(judged.ranked[0].effects) if judged.ranked else set()
    near = [(judged.relations.nearness(o.about), i, o) for i, o in enumerate(tree.observations)]
    for nearness, index, one in sorted(near, key=lambda found: (-found[0], found[2].key)):
        if nearness > 0:
            for fact in one.facts:
                yield Placed(fact, nearness, severity=one.severity, explained=index in accounted)


def _recorded(judged: Judged, known: Set[int]) -> Iterator[Placed]:
    """`known`: identities of objects whose change an analyzer has told of."""
    scene, near = judged.scene, _near(judged)
    namespaces = {obj.name if obj.kind == "Namespace" else obj.namespace or "" for obj, _ in near}
    series = beside_pods(scene, namespaces) if scene.metrics.all else {}
    described = _described(judged)
    suspect = judged.ranked[0].observation.about if judged.ranked else None
    gone = _gone(scene)
    for one, nearness in near:
        facts = [*changes(scene, one)] if id(one) not in known else []
        facts += [shape] if id(one) in described and (shape := outline(one)) is not None else []
        for obj in _with_pods(scene, one):
            facts += [*record_of(scene, obj), *_log_lines(scene, obj)]
        facts += _last_words(scene, one, gone)
        facts += [evidence.metric(each, one) for each in series.get(id(one), [])[:MOST_OF_EACH]]
        yield from (Placed(fact, nearness, suspect=one is suspect) for fact in facts)
    for place, nearness in _places(scene, near):
        for each in series.get(id(place), [])[:MOST_OF_EACH]:
            yield Placed(evidence.metric(each, place), nearness)


def _places(scene: Scene, near: Sequence[tuple[KubeObject, float]]) -> Iterator[tuple[KubeObject, float]]:
    """Namespaces of what is near, which are not near themselves; of series that name one and nothing in it."""
    there, best = {id(one) for one, _ in near}, dict[str, float]()
    for one, nearness in near:
        if one.namespace:
            best[one.namespace] = max(best.get(one.namespace, 0.0), nearness)
    for name, nearness in best.items():
        place = scene.graph.get("Namespace", None, name)
        if place is not None and id(place) not in there:
            yield place, nearness * SAME_PLACE


def _near(judged: Judged) -> list[tuple[KubeObject, float]]:
    """What is connected with the target, nearest first; then causes that no edge leads to, and what they name."""
    relations = judged.relations
    near = {id(one): (one, relations.nearness(one)) for one in relations.objects()[:MOST_OBJECTS]}
    for cause in judged.ranked[:CAUSES_READ]:
        near.setdefault(id(cause.observation.about), (cause.observation.about, cause.nearness))
        for one in named_in(judged.scene.graph, cause.observation.text)[:MOST_NAMED]:
            near.setdefault(id(one), (one, cause.nearness * NAMED))
    return list(near.values())


def _described(judged: Judged) -> set[int]:
    """Identities of what is worth an outline: the target with its workloads, and what is called a cause."""
    graph, about = judged.scene.graph, judged.about
    found = [cause.observation.about for cause in judged.ranked[:CAUSES_READ]]
    if about is not None:
        found += [about, graph.workload(about), *(graph.behind(about) if about.kind == "Service" else [])]
    return {id(one) for one in found}


def _with_pods(scene: Scene, obj: KubeObject) -> Iterable[KubeObject]:
    """The object, its pods, and what stands between them."""
    pods = scene.graph.pods_of(obj)[:MOST_PODS] if obj.kind != "Pod" else []
    between = [owner for pod in pods if (owner := scene.graph.owner(pod)) is not None]
    return {id(one): one for one in (obj, *between, *pods)}.values()


def record_of(scene: Scene, obj: KubeObject) -> Iterator[Fact]:
    """What is on record about one object, whether anybody finds fault with it or not. Its log is read elsewhere."""
    newest = list(scene.graph.events_about(obj))[-MOST_OF_EACH:]
    yield from (evidence.event(obj, event) for event in reversed(newest))
    yield from (_condition(obj, state) for state in reported(obj)[:MOST_OF_EACH])
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


def _gone(scene: Scene) -> dict[int, list[ContainerLog]]:
    """Logs of pods that are no more, by the identity of the workload they belonged to."""
    found: dict[int, list[ContainerLog]] = {}
    for log in scene.snapshot.logs:
        if scene.graph.get("Pod", log.namespace, log.pod) is not None:
            continue
        owner = owner_by_name(scene.graph, "Pod", log.namespace, log.pod)
        if owner is not None:
            found.setdefault(id(scene.graph.top(owner)), []).append(log)
    return found


def _last_words(scene: Scene, obj: KubeObject, gone: Mapping[int, list[ContainerLog]]) -> Iterator[Fact]:
    for log in gone.get(id(obj), [])[:MOST_PODS]:
        lines = telling(clusters([log.text]))
        if lines:
            pod = KubeObject("v1", "Pod", log.namespace, log.pod, "", {})
            yield evidence.log_lines(pod, log.container, lines, previous=log.previous)
