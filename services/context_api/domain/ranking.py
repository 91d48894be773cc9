"""Orders observations into causes: what explains the alert, comes first in time, and is explained by nothing else.

Decides score, confidence and order. The weights stand in one table; `docs/triage.md` gives their reasons.
Which observation explains which was decided in `causality.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from libs.contracts.target import Target
from services.context_api.domain.causality import Causality, Link
from services.context_api.domain.changes import Edit, last_edit
from services.context_api.domain.observation import AGAINST, Depth, Observation
from services.context_api.domain.relation import Relations
from services.context_api.domain.scene import Scene
from services.context_api.domain.settled import (
    ITSELF,
    PLACES,
    STANDS_FOR,
    Settled,
    is_measured_well,
    serves,
    speaks,
    tops_of,
)
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.unfelt import Beside, Unfelt

WEIGHTS: dict[str, float] = {
    "certainty": 1.0,
    "relation": 1.0,
    "covers": 0.6,
    "upstream": 0.4,
    "precedes": 0.2,
    "changed": 0.3,
    "critical": 0.2,
    "explained": -1.2,
    "bystander": -0.6,
    "unfelt": -1.2,
}
"""What each fact about a candidate adds to its score."""

CHANGE_WINDOW = timedelta(hours=1)
"""An edit this long before the first symptom counts as recent. A guess; most incidents follow a change by minutes."""

COINCIDENCE = 0.25
"""Nearness given to a fault that only shares the alert's namespace and time."""

MISSED = 0.7
"""Nearness of a fault that says it lacks the very object an alert is about, and which was not recorded."""

ACCOUNTS = 0.6
"""How surely something has to account for a complaint to be a cause of its own where a whole cluster is asked about."""

UNSURE = 0.45
"""Certainty below which a state is as often meant as not."""

FAINTEST = 0.1
"""Confidence below which a candidate is left to the findings."""

AROUND_BEFORE, AROUND_AFTER = timedelta(minutes=30), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Ranked:
    """One candidate with its score taken apart."""

    index: int
    observation: Observation
    score: float
    parts: dict[str, float]
    nearness: float
    effects: tuple[int, ...]
    explained: float
    confidence: float
    basis: tuple[str, ...]
    """What speaks for it, and what it rests on."""
    against: tuple[str, ...]
    edited: Edit | None = None
    """The object's edit shortly before the first symptom, if there was one."""
    also: tuple[Ranked, ...] = ()
    """Other observations of the same object, best first."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What the alert is about, when anybody said so."""

    target: KubeObject | None
    namespace: str | None
    onset: datetime | None
    named: bool
    """Whether a target was named at all (it may be missing from the evidence)."""
    missing: Target | None = None
    """What was named, where nothing of it was recorded."""
    over: bool = False
    """What is measured of it was in trouble and is well again: who merely shares its place and time accounts for nothing."""


def rank(scene: Scene, tree: Causality, relations: Relations, alert: Alert) -> list[Ranked]:
    """Candidates that may be the cause, best first; none that has nothing to do with the alert."""
    seen = tree.observations
    unfelt = Unfelt(scene)
    beside = Beside(scene, unfelt, any(_is_own(o, relations) for o in seen))
    well = not beside.own and serves(scene.graph, alert.target)
    tops = tops_of(scene.graph, alert.target)
    measured = well and is_measured_well(scene, tops, alert.onset)
    settled = Settled(tree, relations, alert.target, alert.onset, well, speaks(scene, tops), measured, unfelt)
    near = [
        0.0 if settled.holds(index) else _nearness(o, relations, alert, beside)
        for index, o in enumerate(seen)
    ]
    nearness = _with_what_explains(near, tree)
    chain = _chain(tree, nearness, relations, alert)
    candidates = [
        _judge(scene, tree, index, nearness[index], chain, _unfelt(o, relations, alert, unfelt))
        for index, o in enumerate(seen)
        if o.severity is not FindingSeverity.info
        and nearness[index] > 0
        and _counts(tree, index, relations, alert)
    ]
    candidates.sort(key=lambda r: (-round(r.score, 6), r.observation.key))
    causes = _plausible(_one_per_object(candidates))
    return _with_rivals(causes if alert.named else _consequences_last(causes))


def _consequences_last(ranked: list[Ranked]) -> list[Ranked]:
    """Where a whole cluster is asked about, what a cause further up accounts for stands behind all other causes.

    Of two faults the second would else stand behind everything that the first makes fail.
    """
    known: set[int] = set()
    roots: list[Ranked] = []
    others: list[Ranked] = []
    for one in ranked:
        (others if one.index in known else roots).append(one)
        known.update(one.effects)
    return roots + others


def _one_per_object(candidates: list[Ranked]) -> list[Ranked]:
    """The best candidate of each object; what else was seen about it goes along with it."""
    best: dict[int, Ranked] = {}
    for one in candidates:
        key = id(one.observation.about)
        best[key] = replace(best[key], also=(*best[key].also, one)) if key in best else one
    return list(best.values())


def _plausible(candidates: list[Ranked]) -> list[Ranked]:
    """Without those that something better explains and that have no part in the alert's own chain."""
    return [c for i, c in enumerate(candidates) if i == 0 or c.confidence >= FAINTEST]


def _is_own(seen: Observation, relations: Relations) -> bool:
    ill = seen.depth is not Depth.change and seen.severity is not FindingSeverity.info
    return ill and not _may_be_meant(seen) and relations.nearness(seen.about) >= STANDS_FOR


def _nearness(seen: Observation, relations: Relations, alert: Alert, beside: Beside) -> float:
    if not alert.named:
        return 1.0
    if alert.target is None:
        return _nearness_to_nobody(seen, alert.missing)
    near = relations.nearness(seen.about)
    concerned = (seen.about, *(claim.about for claim in seen.explains))
    if alert.target.kind in PLACES and near < ITSELF and all(map(beside.unfelt.unused, concerned)):
        return 0.0
    if near or seen.latent or alert.over:
        return near
    if seen.about.namespace is None or seen.about.namespace != alert.namespace:
        return 0.0
    # The alert's object may depend on this in a way nobody wrote down.
    if not beside.counts(seen.about):
        return 0.0
    if alert.onset and seen.onset and alert.onset - AROUND_BEFORE <= seen.onset <= alert.onset + AROUND_AFTER:
        return COINCIDENCE
    return 0.0


def _nearness_to_nobody(seen: Observation, missing: Target | None) -> float:
    """Of an alert about what was not recorded: only what says that very object is missing has to do with it.

    Whatever else is wrong in the namespace is a finding; as a cause it would be a guess that sounds like an answer.
    """
    if missing is None or seen.latent:
        return 0.0
    if (seen.about.kind, seen.about.namespace, seen.about.name) == (
        missing.kind,
        missing.namespace,
        missing.name,
    ):
        return 1.0
    same_place = missing.namespace is None or seen.about.namespace == missing.namespace
    named = re.search(
        rf"\b{re.escape(missing.kind)} `?(?:[\w.-]+/)?{re.escape(missing.name)}(?![\w.-]*\w)", seen.text
    )
    return MISSED if same_place and named and seen.depth is Depth.mechanism else 0.0


def _with_what_explains(nearness: list[float], tree: Causality) -> list[float]:
    """What explains a fault that is near is as near, less the link's strength, though no way leads to it.

    Where there is a way, blame and accounts are part of it; a fault near by coincidence alone brings what explains it.
    """
    spread = list(nearness)
    causes_of = _causes_of(tree)
    todo = [i for i, near in enumerate(nearness) if near]
    while todo:
        effect = todo.pop()
        for link in causes_of.get(effect, []):
            near = spread[effect] * link.strength
            if nearness[link.cause] == 0.0 and near > spread[link.cause]:
                spread[link.cause] = near
                todo.append(link.cause)
    return spread


def _causes_of(tree: Causality) -> dict[int, list[Link]]:
    found: dict[int, list[Link]] = {}
    for link in tree.links:
        found.setdefault(link.effect, []).append(link)
    return found


def _counts(tree: Causality, index: int, relations: Relations, alert: Alert) -> bool:
    """Latent observations count when the alert is about their object, or when they explain one that counts.

    So do complaints of the pods that an alerting Service stands for: who is asked about it is asked about them. Where a
    whole cluster is asked about, what makes a program complain all the time counts, and the complaint alone does not.
    """
    if not alert.named and _at_its_limit(tree.observations[index]):
        return True
    if not alert.named and any(
        link.strength >= ACCOUNTS and _goes_wrong(tree.observations[link.effect])
        for link in tree.effects.get(index, ())
    ):
        return True
    return any(
        not seen.latent
        or (relations.nearness(seen.about) >= ITSELF and not _may_be_meant(seen))
        or _complains(seen, relations)
        for seen in (tree.observations[i] for i in (index, *tree.all_effects(index)))
    )


def _at_its_limit(seen: Observation) -> bool:
    """What is measured to meet a limit is wrong though nobody asked about it."""
    return seen.measured and seen.depth is Depth.mechanism and seen.certainty >= ACCOUNTS


def _goes_wrong(seen: Observation) -> bool:
    """A program complains, or is measured to fail: no state of objects, which may be meant so."""
    return _is_failing(seen) and (seen.depth is Depth.process or seen.measured)


def _may_be_meant(seen: Observation) -> bool:
    """A state that is as often meant as not, of what does not fail: by itself it is why of nothing."""
    return seen.latent and seen.depth is Depth.mechanism and seen.certainty < UNSURE


def _is_failing(seen: Observation) -> bool:
    """A sign of failing that is seen now, latent or not: errors in a log, a share of failures."""
    return seen.depth < Depth.mechanism and seen.severity is not FindingSeverity.info


@dataclass(frozen=True, slots=True)
class _Chain:
    """The symptoms to be explained."""

    members: frozenset[int]
    per_object: Counter[int]
    first: datetime | None

    def of_others(self, seen: Observation) -> int:
        """How many of them are about other objects; changes are left out, which nothing can account for."""
        return self.per_object.total() - self.per_object[id(seen.about)]


def _chain(tree: Causality, nearness: Sequence[float], relations: Relations, alert: Alert) -> _Chain:
    """Those of the alerting object and what explains them; where it has none, all that are near."""
    seen = tree.observations
    real = [i for i, o in enumerate(seen) if not o.latent and o.severity is not FindingSeverity.info]
    members = set(real)
    if alert.named:
        own = [i for i in real if relations.nearness(seen[i].about) >= ITSELF]
        members = _with_causes(tree, own) if own else {i for i in real if nearness[i] > 0}
        if not own:
            # Where nothing else is wrong with the alert's object, what is measured of it, and what its log
            # complains of, is what the alert is about.
            heard = [i for i, o in enumerate(seen) if o.latent and _complains(o, relations)]
            members |= _with_causes(tree, [*_measured(tree, relations), *heard])
    onsets = [moment for i in members if (moment := seen[i].onset)]
    symptoms = Counter(id(seen[i].about) for i in members if seen[i].depth is not Depth.change)
    return _Chain(frozenset(members), symptoms, min(onsets, default=None))


def _measured(tree: Causality, relations: Relations) -> list[int]:
    """Latent observations of the alerting object that a recorded metric shows, what was merely changed left out."""
    return [
        i
        for i, o in enumerate(tree.observations)
        if o.latent
        and o.measured
        and o.depth is not Depth.change
        and o.severity is not FindingSeverity.info
        and relations.nearness(o.about) >= ITSELF
    ]


def _complains(seen: Observation, relations: Relations) -> bool:
    """Whether it is a sign of failing, no change or state, of the alert's object or of the pods it stands for.

    An alert about a namespace is one about the workloads in it.
    """
    return _is_failing(seen) and (
        relations.nearness(seen.about) >= STANDS_FOR or relations.lies_in_start(seen.about)
    )


def _with_causes(tree: Causality, own: list[int]) -> set[int]:
    causes_of = _causes_of(tree)
    chain, todo = set(own), list(own)
    while todo:
        new = [k.cause for k in causes_of.get(todo.pop(), []) if k.cause not in chain]
        chain.update(new)
        todo += new
    return chain


def _unfelt(seen: Observation, relations: Relations, alert: Alert, unfelt: Unfelt) -> str:
    """Why nobody else feels it, where the alert is about somebody else."""
    elsewhere = alert.named and alert.target is not None and relations.nearness(seen.about) < ITSELF
    return unfelt.why(seen.about) if elsewhere and not seen.measured else ""


def _judge(scene: Scene, tree: Causality, index: int, near: float, chain: _Chain, unfelt: str) -> Ranked:
    seen = tree.observations[index]
    effects = tree.all_effects(index)
    inside = [e for e in effects if e in chain.members]
    others = [e for e in inside if tree.observations[e].about is not seen.about]
    link = tree.explained_by.get(index)
    explained = link.strength if link else 0.0
    unfelt = "" if others else unfelt  # who accounts for another's trouble is felt
    edited = _changed_before(scene, seen, chain.first)
    symptoms = chain.of_others(seen) or 1
    facts = {
        "certainty": seen.certainty,
        "relation": near,
        "covers": min(len(others) / symptoms, 1.0),
        "upstream": 1.0 if others and not link else 0.0,
        "precedes": 1.0 if _precedes(seen, [tree.observations[e] for e in inside]) else 0.0,
        "changed": 1.0 if edited else 0.0,
        "critical": 1.0 if seen.severity is FindingSeverity.critical else 0.0,
        "explained": explained,
        "bystander": 0.0 if index in chain.members or inside else 1.0,
        "unfelt": 1.0 if unfelt else 0.0,
    }
    parts = {name: WEIGHTS[name] * value for name, value in facts.items()}
    return Ranked(
        index=index,
        observation=seen,
        score=sum(parts.values()),
        parts=parts,
        nearness=near,
        effects=tuple(effects),
        explained=explained,
        confidence=_confidence(seen, near, explained, facts),
        basis=_basis(seen, inside, edited),
        against=(*_against(tree, seen, near, link), *((unfelt,) if unfelt else ())),
        edited=edited,
    )


def _precedes(seen: Observation, effects: Sequence[Observation]) -> bool:
    known = [e.onset for e in effects if e.onset]
    return seen.onset is not None and bool(known) and seen.onset < min(known)


def _changed_before(scene: Scene, seen: Observation, first: datetime | None) -> Edit | None:
    """When its object was edited, if that was shortly before the first symptom."""
    edit = last_edit(seen.about)
    moment = first or scene.onset or scene.now
    if edit is None or not moment - CHANGE_WINDOW <= edit.at <= moment + timedelta(minutes=1):
        return None
    return edit


def _confidence(seen: Observation, near: float, explained: float, facts: dict[str, float]) -> float:
    """How sure that this is the cause: the reason's own certainty, dimmed by distance and by a better explanation."""
    value = seen.certainty * (0.55 + 0.45 * near) * (1 - 0.75 * explained)
    value += 0.04 * facts["covers"] + 0.03 * facts["precedes"] + 0.03 * facts["changed"]
    if facts["bystander"] or facts["unfelt"]:
        value *= 0.6
    return round(min(max(value, 0.02), 0.97), 2)


def _against(tree: Causality, seen: Observation, near: float, explained: Link | None) -> tuple[str, ...]:
    sentences = [line.removeprefix(AGAINST) for line in seen.basis if line.startswith(AGAINST)]
    if near <= COINCIDENCE:
        sentences.append("only namespace and time connect it with the alert")
    if explained is not None:
        better = tree.observations[explained.cause]
        sentences.append(f"{better.reason} of {better.about} explains it")
    return tuple(sentences)


def _basis(seen: Observation, inside: Sequence[int], edited: Edit | None) -> tuple[str, ...]:
    basis = [line for line in seen.basis if not line.startswith(AGAINST)]
    if inside:
        basis.append(f"accounts for {len(inside)} other finding{'s' if len(inside) > 1 else ''}")
    if edited:
        basis.append(
            f"{seen.about.kind} {seen.about.name} was edited at {edited.at:%Y-%m-%d %H:%M:%S} UTC, before the first symptom"
        )
    sources = {fact.kind for fact in seen.facts}
    basis.append(
        f"{len(seen.facts)} piece{'s' if len(seen.facts) != 1 else ''} of evidence, {len(sources)} kind{'s' if len(sources) != 1 else ''}"
    )
    return tuple(basis)


def _with_rivals(ranked: list[Ranked]) -> list[Ranked]:
    """Two unconnected candidates of nearly equal score make each other less sure."""
    if len(ranked) < 2 or ranked[0].score - ranked[1].score > 0.15:
        return ranked
    first, second = ranked[0], ranked[1]
    if second.index in first.effects or first.index in second.effects:
        return ranked
    note = (f"{second.observation.reason} of {second.observation.about} is nearly as likely",)
    return [
        replace(first, confidence=round(first.confidence * 0.85, 2), against=first.against + note),
        *ranked[1:],
    ]
