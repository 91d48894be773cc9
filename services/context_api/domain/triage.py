"""Finds causes: runs the analyzers over one snapshot, links what they saw, ranks it, writes it down.

Decides what is answered when nothing is found, and which observations become visible. Pure: the clock
is the snapshot's. Wording of single findings is the analyzers', order is `ranking.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from libs.contracts.causes import (
    Cause,
    CausesAnswer,
    Confidence,
    Finding,
    FindingsAnswer,
    FindingSeverity,
    NoCause,
)
from libs.contracts.evidence import EvidenceItem
from libs.contracts.target import Target
from services.context_api.domain import evidence, told, verdict
from services.context_api.domain.analyzers import EXPLAINERS, SYMPTOMS
from services.context_api.domain.analyzers.leads import NAME as LEADS
from services.context_api.domain.analyzers.leads import left_to_rules
from services.context_api.domain.analyzers.unwell import unforeseen
from services.context_api.domain.causality import Causality, connect
from services.context_api.domain.changed import now_in_words
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import listing
from services.context_api.domain.logs import cut
from services.context_api.domain.mutes import Mutes, apart
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.past_trouble import is_over
from services.context_api.domain.portrait import portrait
from services.context_api.domain.ranking import Alert, Ranked, rank
from services.context_api.domain.relation import Relations, relate
from services.context_api.domain.resolve import owner_by_event, owner_by_name
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, Snapshot, can_be_reckoned_with
from services.context_api.domain.spelled import spelled
from services.context_api.domain.wording import clock

MOST_CAUSES = 10
MOST_METRICS = 2
MOST_FINDINGS = 200
LONGEST_TEXT = 2000
TOLD = 160
"""Letters at which a text is known to be told already."""
SURE_ENOUGH = 0.6
"""Of a first cause found by a rule, so that leads below it are left out."""


_VALUES = re.compile(r"`([^`]*)`")
"""What a change went from and to, as `FieldChange` writes it."""

OnBroken = Callable[[str, Exception], None]
"""Told the name of an analyzer that failed, and its error."""


def _raised(_name: str, error: Exception) -> None:
    raise error


def unheard(_name: str, _error: Exception) -> None:
    """For callers who only read what was therefore not looked at."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Everything found out about one target, before it is written down."""

    scene: Scene
    target: Target | None
    about: KubeObject | None
    tree: Causality
    relations: Relations
    alert: Alert
    ranked: Sequence[Ranked]
    muted: Sequence[str]
    not_looked_at: Sequence[str]


def judge(
    snapshot: Snapshot,
    *,
    target: Target | None = None,
    onset: datetime | None = None,
    graph: Graph | None = None,
    mutes: Mutes = (),
    broken: OnBroken = unheard,
    without: Collection[str] = (),
) -> Judged:
    """Observe, connect and rank; arguments as for `find_causes`."""
    graph = graph or Graph(snapshot)
    about = locate(graph, target)
    if onset is not None and not can_be_reckoned_with(onset):
        onset = None
    scene = Scene(snapshot, target=about, onset=onset, graph=graph)
    unseen: list[str] = []
    seen, muted = apart(observe(scene, noted(unseen, broken), without), mutes, scene.now)
    tree = connect(scene, seen)
    alert = Alert(
        about,
        target.namespace if target else None,
        onset,
        named=target is not None,
        missing=target if about is None else None,
        over=is_over(scene, about, (onset or scene.now) - verdict.LOOK_BACK),
    )
    relations = relate(scene, about, seen)
    return Judged(
        scene,
        target,
        about,
        tree,
        relations,
        alert,
        beside_rules(rank(scene, tree, relations, alert), tree)[:MOST_CAUSES],
        muted,
        [*verdict.not_looked_at(snapshot, target, about), *unseen],
    )


def find_causes(
    snapshot: Snapshot,
    *,
    target: Target | None = None,
    onset: datetime | None = None,
    graph: Graph | None = None,
    mutes: Mutes = (),
    broken: OnBroken = unheard,
    without: Collection[str] = (),
) -> CausesAnswer:
    """The ranked causes of what is wrong with `target`, or with anything when no target is named.

    Args:
        onset: when the alert began; narrows what counts as recent.
        graph: a graph of this snapshot that is already built.
        mutes: findings that are not to be told of; the answer says which there were.
        broken: told of each analyzer that failed, and how.
        without: analyzers by name that are not asked, to measure what the others say alone.
    """
    judged = judge(
        snapshot, target=target, onset=onset, graph=graph, mutes=mutes, broken=broken, without=without
    )
    shown = _visible(judged.tree, judged.ranked)
    no_cause = without_cause(judged)
    return CausesAnswer(
        target=target,
        ranked=written(judged),
        no_cause=no_cause is not None,
        no_cause_reason=no_cause,
        no_cause_text=told.told(judged.scene, target, judged.about, no_cause) if no_cause else "",
        findings=[_finding(snapshot, judged.tree, o) for o in shown],
        evidence=_evidence(snapshot, shown),
        not_looked_at=list(judged.not_looked_at),
        muted=list(judged.muted),
        snapshot_at=snapshot.captured_at,
    )


def written(judged: Judged) -> list[Cause]:
    """The causes in words, best first."""
    return [_cause(judged.scene, judged.tree, judged.relations, judged.alert, one) for one in judged.ranked]


def without_cause(judged: Judged) -> NoCause | None:
    """Why no cause is named; None where one is."""
    if judged.ranked:
        return None
    return verdict.without_cause(judged.scene, judged.target, judged.about, muted=bool(judged.muted))


def find_findings(
    snapshot: Snapshot,
    *,
    target: Target | None = None,
    graph: Graph | None = None,
    mutes: Mutes = (),
    broken: OnBroken = unheard,
) -> FindingsAnswer:
    """Everything seen about `target` and what it needs, or about anything; unranked, worst first."""
    graph = graph or Graph(snapshot)
    about = locate(graph, target)
    scene = Scene(snapshot, target=about, graph=graph)
    unseen: list[str] = []
    seen, muted = apart(observe(scene, noted(unseen, broken)), mutes, scene.now)
    tree = connect(scene, seen)
    shown = _visible(tree, [])
    if target is not None:
        relations = relate(scene, about, seen)
        shown = [o for o in shown if relations.nearness(o.about) > 0]
    return FindingsAnswer(
        target=target,
        findings=[_finding(snapshot, tree, o) for o in shown],
        evidence=_evidence(snapshot, shown),
        muted=muted,
        not_looked_at=[*verdict.not_looked_at(snapshot, target, about), *unseen],
        snapshot_at=snapshot.captured_at,
    )


def beside_rules(ranked: Sequence[Ranked], tree: Causality) -> Sequence[Ranked]:
    """The same without leads that stand below what a rule is sure of: nobody has to follow them then.

    A lead to something that no such rule accounts for stays: it may be a second fault.
    """
    if not ranked or ranked[0].observation.analyzer == LEADS:
        return ranked
    sure = [one for one in ranked if one.observation.analyzer != LEADS and one.confidence >= SURE_ENOUGH]
    known = {id(tree.observations[i].about) for one in sure for i in one.effects}
    # Who says that it is not well has not said why.
    known |= {id(one.observation.about) for one in sure if one.observation.depth >= Depth.mechanism}
    if not known:
        return ranked
    return [one for one in ranked if one.observation.analyzer != LEADS or _left(one, tree, known)]


def _left(lead: Ranked, tree: Causality, known: Collection[int]) -> bool:
    """Whether a lead accounts for an object that is not accounted for by what is known."""
    effects = {id(tree.observations[i].about) for i in lead.effects}
    return bool(effects) and not effects & set(known)


def observe(scene: Scene, broken: OnBroken = _raised, without: Collection[str] = ()) -> list[Observation]:
    """All observations, in an order that does not depend on the order of the input.

    An analyzer that fails is told to `broken`; the others' findings are worth having all the same.
    """

    def tried(analyzer: Callable[..., Iterable[Observation]], *arguments: object) -> list[Observation]:
        name = analyzer.__module__.rpartition(".")[2]
        if name in without:
            return []
        try:
            return list(analyzer(*arguments))
        except Exception as error:  # whatever a rule does not foresee must not cost the other rules' answer
            broken(name, error)
            return []

    seen = unforeseen(o for analyzer in SYMPTOMS for o in tried(analyzer, scene))
    seen.sort(key=lambda o: o.key)
    # What somebody's text claims is told to people, not to analyzers: it would mark a healthy object as ill.
    ill = tuple(o for o in seen if o.severity is not FindingSeverity.info)
    seen += [o for analyzer in EXPLAINERS for o in tried(analyzer, scene, ill)]
    seen = [_with_metrics(scene, o) for o in left_to_rules(seen)]
    unique = {o.key: o for o in seen if evidence.target_of(o.about, scene.snapshot.cluster) is not None}
    return [unique[key] for key in sorted(unique)]


def noted(gaps: list[str], broken: OnBroken) -> OnBroken:
    """Tells `broken`, and writes into `gaps` what was therefore not looked at."""

    def note(name: str, error: Exception) -> None:
        broken(name, error)
        gaps.append(f"what the analyzer {name} looks at: it failed ({type(error).__name__})")

    return note


def _with_metrics(scene: Scene, seen: Observation) -> Observation:
    """The same with up to two recorded metrics about its pods."""
    if seen.latent or not scene.metrics.all or seen.severity is FindingSeverity.info:
        return seen
    series = [
        s for pod in scene.graph.pods_of(seen.about) for s in scene.metrics.of_pod(pod.namespace, pod.name)
    ]
    return replace(
        seen, facts=(*seen.facts, *(evidence.metric(s, seen.about) for s in series[:MOST_METRICS]))
    )


def locate(graph: Graph, target: Target | None) -> KubeObject | None:
    """The target's object; for a pod that is gone, the workload its name tells."""
    if target is None:
        return None
    found = graph.find(target.kind, target.namespace, target.name)
    asked = (target.kind, target.namespace, target.name)
    return found or owner_by_name(graph, *asked) or owner_by_event(graph, *asked)


def _visible(tree: Causality, ranked: Sequence[Ranked]) -> list[Observation]:
    """Real findings, latent ones that explain something, and everything ranked; worst first."""
    named = {r.index for r in ranked}
    shown = [
        o
        for i, o in enumerate(tree.observations)
        if not o.latent or i in named or any(not tree.observations[e].latent for e in tree.all_effects(i))
    ]
    order = {FindingSeverity.critical: 0, FindingSeverity.warning: 1, FindingSeverity.info: 2}
    shown.sort(key=lambda o: (order[o.severity], o.key))
    kept = shown[:MOST_FINDINGS]
    shown_keys = {o.key for o in kept}
    cited = [o for r in ranked for o in (r.observation, *(a.observation for a in r.also))]
    return kept + list({o.key: o for o in cited if o.key not in shown_keys}.values())


def _cause(scene: Scene, tree: Causality, relations: Relations, alert: Alert, one: Ranked) -> Cause:
    seen, cluster = one.observation, scene.snapshot.cluster
    effects = [tree.observations[e] for e in one.effects if not tree.observations[e].latent]
    return Cause(
        target=seen.about.target(cluster),
        reason=seen.reason,
        text=cut(_text(scene, tree, relations, one), LONGEST_TEXT),
        severity=seen.severity,
        onset=seen.onset,
        confidence=Confidence(value=one.confidence, basis=[cut(words, LONGEST_TEXT) for words in one.basis]),
        against=[cut(words, LONGEST_TEXT) for words in one.against],
        evidence_ids=list(
            dict.fromkeys(
                i for o in (seen, *(a.observation for a in one.also)) for i in _ids(scene.snapshot, o)
            )
        ),
        path=[str(o) for o in _path(tree, relations, alert, one)],
        explains=[f"{o.about}: {o.reason}" for o in effects][:20],
        remediation=seen.remediation,
    )


def _text(scene: Scene, tree: Causality, relations: Relations, one: Ranked) -> str:
    """The cause in words, with what else is wrong with the same object on its own account."""
    extra = [
        a.observation.text
        for a in one.also
        if a.explained == 0
        and not a.observation.latent
        and a.index not in one.effects
        and a.observation.analyzer != one.observation.analyzer
        and a.observation.depth >= one.observation.depth
    ]
    if one.observation.analyzer == LEADS:
        # A lead knows that something was changed; a rule that does not count by itself may know what that does.
        extra += [a.observation.text for a in one.also if a.observation.depth is Depth.mechanism]
    words = one.observation.text
    edit = one.edited
    if edit is not None:
        known = now_in_words(scene, one.observation.about, edit)
        shown = listing(known or list(edit.paths), 4)
        if f"{edit.at:%H:%M:%S}" not in words:
            words += f"; {one.observation.about.kind} {one.observation.about.name} was edited at {clock(edit.at)} by {edit.by} ({shown})"
        elif known and not all(value in words for change in known for value in _VALUES.findall(change)):
            words += f"; what changed then: {shown}"
    if one.observation.depth < Depth.mechanism and one.explained == 0:
        # Nobody knows why: then what else is recorded of it is what an engineer would look at next.
        told_already = words
        words += "".join(
            f"; {more}"
            for more in portrait(scene, one.observation.about, changes=edit is None)
            if not (one.observation.measured and more.startswith("measured"))
            and not all(value[:60] in told_already for value in _VALUES.findall(more) or [more])
        )
    also = [more for more in dict.fromkeys(extra) if more[:TOLD] not in words][:2]
    words = ". Also: ".join([words, *also])
    return "; ".join([words, *spelled(words, one, tree, relations)])


def _path(tree: Causality, relations: Relations, alert: Alert, one: Ranked) -> list[KubeObject]:
    """this → that → the alerting object; without an alert, to the farthest thing it explains."""
    if alert.named:
        path = relations.path(one.observation.about)
        return path or [one.observation.about, *([alert.target] if alert.target is not None else [])]
    path, here, visited = [one.observation.about], one.index, {one.index}
    while True:
        onward = [k for k in tree.effects.get(here, []) if k.effect not in visited]
        if not onward:
            return path
        here = max(onward, key=lambda k: (len(tree.all_effects(k.effect)), k.strength, -k.effect)).effect
        visited.add(here)
        if tree.observations[here].about is not path[-1]:
            path.append(tree.observations[here].about)


def _finding(snapshot: Snapshot, tree: Causality, seen: Observation) -> Finding:
    link = tree.explained_by.get(tree.place[seen.key])
    cause = tree.observations[link.cause] if link else None
    return Finding(
        target=seen.about.target(snapshot.cluster),
        reason=seen.reason,
        text=cut(seen.text, LONGEST_TEXT),
        severity=seen.severity,
        onset=seen.onset,
        analyzer=seen.analyzer,
        parent=f"{cause.about}: {cause.reason}" if cause else None,
        evidence_ids=_ids(snapshot, seen),
        remediation=seen.remediation,
    )


def _ids(snapshot: Snapshot, seen: Observation) -> list[str]:
    return list(dict.fromkeys(item.id for item in evidence.items(seen.facts, snapshot)))


def _evidence(snapshot: Snapshot, shown: Sequence[Observation]) -> list[EvidenceItem]:
    """Everything the shown observations cite, each once."""
    return list({item.id: item for seen in shown for item in evidence.items(seen.facts, snapshot)}.values())
