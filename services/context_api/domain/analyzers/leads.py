"""Leads for any fault: whom the errors on the alert's way mean, what was changed around them, who is called in vain.

Sees, for whatever fails on the alert's way (`voices.py`), three things. *Named*: which recorded objects its words mean
(`mentions.py`). *Changed*: which objects of any kind were made or edited within the hour before and have to do with
it: named by its words, used by it, governing it by a selector, naming it or what it calls, lying in its namespace.
*Called*: at the end of the calls that its log complains of, whoever complains of nobody else. Says what was changed
(before and after where that is recorded, else what is there now), by whom and when, quotes the line that leads there,
and tells what else is recorded of whoever is called in vain (`portrait.py`). Latent: changes and names alone are no
fault. Surer where a changed value stands in the errors, and less sure the more was changed at that time.
Silent about whatever fails itself, and about what its own pods' template changed (`recent_rollout`).
Cannot know that a change did harm, nor see one that nobody recorded.

Rests on: kubernetes.io/docs, "Server-Side Apply" (managedFields), "Labels and Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers.unhealthy_condition import head_of
from services.context_api.domain.edits import Change, changes_within
from services.context_api.domain.kube import (
    WORKLOADS,
    flat,
    is_custom,
    leaves,
    mapping,
    selects,
    template_labels,
)
from services.context_api.domain.logs import cut, quote, weigh
from services.context_api.domain.mentions import BY_NAME, Mention
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.portrait import portrait
from services.context_api.domain.queues import settings
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.voices import Voice, voices
from services.context_api.domain.wording import name_of, span

NAME = "leads"
WINDOW = timedelta(hours=1)
SLACK = timedelta(seconds=90)
SOON = timedelta(minutes=15)
"""A change this shortly before is the likelier one."""

TOGETHER, SETTLED = timedelta(minutes=2), timedelta(days=1)
"""What is made within the first of these was installed at once; an installation this old is no change any more."""

MOST = 6
"""Leads told of one incident, the likeliest first."""

LEAST = 0.45
"""A tie weaker than this is coincidence."""

USES, GOVERNS, REACHED, SAME_PLACE, WHOLE_CLUSTER = 0.7, 0.72, 0.68, 0.42, 0.36
"""How surely a change accounts for a failure by what ties them: it is used, it selects or names the failing one, or whom
that calls; both lie in one namespace; it is of the whole cluster."""

IN_VAIN = 0.55
SPOKEN, EARLY = 0.12, 0.06
"""Added where a changed value stands in the errors, and where the change came shortly before."""

UNWELL = 0.1
"""Added where what the errors name says itself that it is not well."""

CROWD = 0.03
"""Taken off for each other change that is tied as well."""

SUREST = 0.8
KNOWN = 0.6
"""How surely a rule has to account for an object for leads about it to be left out."""

_NOT_USED = frozenset({"node", "led"})

_FRONT = frozenset({"Service", "ServiceAccount", "ConfigMap"})
"""What is named in passing by whoever uses it: counts only when it was changed."""


@dataclass(frozen=True, slots=True)
class _Tie:
    """What connects an object with one failing."""

    voice: Voice
    strength: float
    why: str
    line: str = ""
    word: str = ""
    """By which the errors name it."""


@dataclass
class _Lead:
    """An object and its ties, the strongest first."""

    obj: KubeObject
    ties: list[_Tie]
    change: Change | None
    ill: Observation | None
    """What a custom resource that is named says of itself where it is not well: then it may account for more than what was
    merely changed or named, and others may account for it."""


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one observation per object."""
    speaking = voices(scene, seen)
    if not speaking:
        return
    failing = {id(o.about): o for o in seen if not o.latent and o.severity is not FindingSeverity.info}
    ill = {*failing, *(id(v.speaker) for v in speaking)}
    onsets = [v.onset or scene.onset or scene.now for v in speaking]
    changed = {id(c.obj): c for c in changes_within(scene, min(onsets) - WINDOW, max(onsets) + SLACK)}
    leads: dict[int, _Lead] = {}
    for voice in speaking:
        for obj, tie in [
            *_named(scene, voice, changed),
            *_changed(scene, voice, changed),
            *_called(scene, voice, ill),
        ]:
            if id(obj) not in ill or (tie.word and is_custom(obj) and obj is not voice.speaker):
                lead = leads.setdefault(id(obj), _Lead(obj, [], changed.get(id(obj)), failing.get(id(obj))))
                surer = min(tie.strength + UNWELL, SUREST + 0.1) if lead.ill is not None else tie.strength
                lead.ties.append(replace(tie, strength=surer))
    for lead in leads.values():
        lead.ties.sort(key=lambda t: -t.strength)
    order = sorted(
        leads.values(), key=lambda k: (-k.ties[0].strength, k.obj.kind, k.obj.namespace or "", k.obj.name)
    )
    for lead in order[:MOST]:
        rivals = sum(
            o is not lead and o.change is not None and o.ties[0].strength >= lead.ties[0].strength
            for o in order
        )
        yield _observation(scene, lead, rivals)


def left_to_rules(seen: Iterable[Observation]) -> list[Observation]:
    """All observations; but of these leads only what they account for where no rule says why it fails.

    What is wrong itself, or named though it is of the whole cluster, stays: it may be behind what the rule knows.
    """
    kept = list(seen)
    rules = [o for o in kept if o.analyzer != NAME]
    known = {id(o.about) for o in rules if not o.latent and o.depth is Depth.mechanism}
    known |= {id(claim.about) for o in rules for claim in o.explains if claim.strength >= KNOWN}
    found = []
    for one in kept:
        if one.analyzer == NAME:
            left = tuple(c for c in one.explains if id(c.about) not in known or c.deepest is Depth.mechanism)
            if not left:
                continue
            one = replace(one, explains=left)
        found.append(one)
    return found


def _named(scene: Scene, voice: Voice, changed: Mapping[int, Change]) -> Iterator[tuple[KubeObject, _Tie]]:
    made = {id(link.to) for link in scene.platforms.makes(voice.speaker)}
    meant = scene.mentions.of(voice.speaker, voice.words)
    fresh = {id(m.obj): c for m in meant if (c := _fresh(voice, scene, changed.get(id(m.obj)))) is not None}
    renewed = {m.obj.kind for m in meant if id(m.obj) in fresh}
    for mention in meant:
        if head_of(scene, mention.obj) is not mention.obj:
            continue  # a step of somebody's work is told about whoever wished for it
        change = fresh.get(id(mention.obj))
        if mention.by_kind and change is None and mention.obj.kind in renewed:
            continue  # of several of a kind the one that was changed is meant
        if change is None and mention.word not in voice.official:
            continue  # programs speak of much that is well
        if _fronts(scene, mention.obj, voice.speaker):
            continue
        if change is None and (mention.obj.kind in _FRONT or id(mention.obj) in made):
            continue
        extra = _extra(voice, scene, change) if change is not None else 0.0
        surely = mention.strength if change is None else max(mention.strength, BY_NAME)
        strength = min(surely + extra, SUREST + 0.1)
        yield (
            mention.obj,
            _Tie(
                voice,
                strength,
                f"the errors of {name_of(voice.speaker)} {mention.how}",
                _line(voice, mention),
                mention.word,
            ),
        )


def _fronts(scene: Scene, obj: KubeObject, speaker: KubeObject) -> bool:
    """Whether it is a Service before the failing one: who asks for that is not why it fails."""
    return obj.kind == "Service" and any(one is speaker for one in scene.deps.behind(obj))


def _line(voice: Voice, mention: Mention) -> str:
    """What was said with that word; an error rather than what is merely reported."""
    word = re.compile(rf"(?<![\w-]){re.escape(mention.word)}(?![\w-])")
    lines = [line for line in voice.words.splitlines() if word.search(line)]
    return max(lines, key=weigh, default="")


def _changed(scene: Scene, voice: Voice, changed: Mapping[int, Change]) -> Iterator[tuple[KubeObject, _Tie]]:
    used = {id(e.to): e.how for e in scene.needs.of(voice.speaker) if e.relation not in _NOT_USED}
    for change in changed.values():
        if _fresh(voice, scene, change) is None or change.obj is voice.speaker:
            continue
        if head_of(scene, change.obj) is not change.obj or _fronts(scene, change.obj, voice.speaker):
            continue
        strength, why = _standing(scene, voice, change.obj, used)
        strength += _extra(voice, scene, change)
        if strength >= LEAST:
            line = next((x for value in change.values for x in voice.words.splitlines() if value in x), "")
            yield change.obj, _Tie(voice, min(strength, SUREST + 0.1), why, line)


def _standing(scene: Scene, voice: Voice, obj: KubeObject, used: Mapping[int, str]) -> tuple[float, str]:
    """How an object bears on a failing one."""
    if obj.kind in ("ConfigMap", "Secret"):
        return 0.0, ""  # when somebody reads them is for `recent_edit` to say
    if id(obj) in used:
        return USES, used[id(obj)]
    if how := governs(scene, obj, voice.speaker) or stands_for(scene, obj, voice.speaker):
        return GOVERNS, how
    if any(obj is one for one in voice.called):
        return REACHED, f"the log of {name_of(voice.speaker)} complains about it"
    for called in voice.called:
        if how := governs(scene, obj, called):
            return REACHED, how
    if obj.namespace is None:
        return WHOLE_CLUSTER, "it is of the whole cluster"
    same = obj.namespace == voice.speaker.namespace
    return (SAME_PLACE, f"it lies in namespace {obj.namespace}") if same else (0.0, "")


def governs(scene: Scene, obj: KubeObject, other: KubeObject) -> str:
    """How an object of any kind bears on another without being used by it: by a selector over its pods, or by its name."""
    if obj.namespace == other.namespace and obj.kind != "Service" and obj.kind not in WORKLOADS:
        labels = [template_labels(w) for w in scene.graph.workloads_of(other)]
        for field, value in obj.spec.items():
            selecting = (
                isinstance(field, str) and field.lower().endswith("selector") and isinstance(value, Mapping)
            )
            if selecting and any(_selected(mapping(value), one) for one in labels):
                return f"its {field} selects the pods of {name_of(other)}"
    full = f"{other.name}.{other.namespace}"
    names = {full, f"{full}.svc", f"{full}.svc.cluster.local"} | (
        {other.name} if obj.namespace == other.namespace else set[str]()
    )
    for path, value in leaves(obj.spec, "spec") if is_custom(obj) or obj.kind in _ROUTING else ():
        if value in names and "label" not in path.lower():
            return f"its {path} names {name_of(other)}"
    return ""


def stands_for(scene: Scene, obj: KubeObject, other: KubeObject) -> str:
    """How a platform's object is that as which a program signs in: a setting of it for the user bears the object's name."""
    if not is_custom(obj) or not _IDENTITY.search(obj.kind):
        return ""
    for workload in scene.graph.workloads_of(other):
        for key, value in settings(scene.graph, workload):
            if value == obj.name and _USER_KEY.search(key):
                return f"{name_of(other)} signs in as it ({cut(key, 60)})"
    return ""


_IDENTITY = re.compile(r"(?:User|Account|Principal|Identity|Permissions?|Role|Grant|Acl|ACL)$")
_USER_KEY = re.compile(r"(?:user|login|account|principal|role)(?:[-_. ]?(?:name|id))?$", re.IGNORECASE)
"""Kinds that stand for an identity or its rights, and settings that say as whom a program signs in."""

_ROUTING = frozenset({"Ingress", "HorizontalPodAutoscaler"})


def _selected(selector: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    if "matchLabels" in selector or "matchExpressions" in selector or not selector:
        return selects(selector, labels)
    return all(labels.get(key) == value for key, value in flat(selector).items())


def _called(scene: Scene, voice: Voice, ill: set[int]) -> Iterator[tuple[KubeObject, _Tie]]:
    """Whoever stands at the end of a call that failed, and complains of nobody himself."""
    if not scene.graph.pods_of(voice.speaker):
        return
    for said in scene.deps.spoken(voice.speaker):
        if said.found is None or said.found.kind != "Service" or said.found in scene.deps.resolvers:
            continue  # who was asked for a name is not who was called
        behind = scene.deps.behind(said.found)
        ends = behind if len(behind) == 1 else [said.found]
        if any(id(one) in ill for one in (said.found, *behind)) or any(
            one is voice.speaker for one in behind
        ):
            continue
        yield (
            ends[0],
            _Tie(voice, IN_VAIN, f"{name_of(voice.speaker)} calls {said.found.name} in vain", said.line),
        )


def _fresh(voice: Voice, scene: Scene, change: Change | None) -> Change | None:
    """The change, where it came shortly before; what was made together with who fails changed nothing for him."""
    onset = voice.onset or scene.onset or scene.now
    if change is None or not onset - WINDOW <= change.at <= onset + SLACK:
        return None
    born = voice.speaker.created_at
    if born is None or not change.made or abs(change.at - born) > TOGETHER:
        return change
    return None if scene.now - born > SETTLED else change


def _extra(voice: Voice, scene: Scene, change: Change) -> float:
    onset = voice.onset or scene.onset or scene.now
    spoken = any(value in voice.words for value in change.values)
    return (SPOKEN if spoken else 0.0) + (EARLY if abs(onset - change.at) <= SOON else 0.0)


def _observation(scene: Scene, lead: _Lead, rivals: int) -> Observation:
    obj, best, change = lead.obj, lead.ties[0], lead.change
    onset = best.voice.onset
    words = f"{change}{_how_long(onset, change.at)}" if change is not None else name_of(obj)
    own = portrait(scene, obj, changes=False) if change is not None and obj.kind in WORKLOADS else ()
    words += (
        "; ".join([f" ({best.why})", *own])
        if change is not None
        else f": {'; '.join([best.why, *portrait(scene, obj)])}"
    )
    words += f"; {cut(lead.ill.text, 500)}" if lead.ill is not None else ""
    words += f"; said of it: `{quote(best.line)}`" if best.line and best.line not in best.voice.told else ""
    words += (
        f". Since then: {cut(best.voice.told, 600)}"
        if change is not None
        else f". It fails: {cut(best.voice.told, 600)}"
    )
    in_vain = change is None and best.strength == IN_VAIN
    return Observation(
        about=obj,
        reason="ChangedBeforeOnset" if change is not None else "CalledInVain" if in_vain else "NamedByErrors",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=_depth(lead, in_vain=in_vain),
        certainty=max(min(best.strength, SUREST) - 0.1 - CROWD * min(rivals, 5), 0.2),
        facts=(_fact(obj, best, change), *(f for t in lead.ties[:3] for o in t.voice.seen for f in o.facts[:2])),
        basis=(best.why, f"{AGAINST}whether it did harm is not recorded" if change is not None else f"{AGAINST}nothing else is known to be wrong with it"),
        onset=change.at if change is not None else None,
        remediation=remedies.edit(obj, f"Check whether the change of {name_of(obj)} was meant, and put it back.")
        if change is not None
        else remedies.look(obj, f"Look at {name_of(obj)}: {best.why}."),
        explains=tuple(Explains(t.voice.speaker, t.strength, t.why, deepest=_deepest(lead, t)) for t in lead.ties),
        blames=lead.ill.blames if lead.ill is not None else (),
        latent=True,
    )  # fmt: skip


def _deepest(lead: _Lead, tie: _Tie) -> Depth:
    """What is wrong with itself, or holds for the whole cluster, may be behind a known mechanism that quotes it."""
    whole = lead.obj.namespace is None and lead.obj.kind != "PersistentVolume"  # which is one claim's
    behind = lead.ill is not None or (bool(tie.word) and whole)
    return Depth.mechanism if behind else Depth.process


def _depth(lead: _Lead, *, in_vain: bool) -> Depth:
    """As a change, what looks well says itself what it accounts for: nobody's blame of it means what is told here."""
    return Depth.process if lead.ill is not None or in_vain else Depth.change


def _how_long(onset: datetime | None, moment: datetime) -> str:
    return (
        f", {span((onset - moment).total_seconds())} before the first failure"
        if onset and onset > moment
        else ""
    )


def _fact(obj: KubeObject, tie: _Tie, change: Change | None) -> evidence.Fact:
    if change is not None:
        body = {"by": change.by, "changes": list(change.words[:20])}
        return evidence.change(obj, cut(str(change), 400), body, change.at)
    return evidence.field(obj, "metadata.name", obj.name, f"{name_of(obj)}: {tie.why}")
