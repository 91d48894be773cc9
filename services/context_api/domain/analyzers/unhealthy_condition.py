"""Custom resources, claims on other systems and platform objects that say themselves that they are not well.

Sees `status.conditions` of any kind this product has no analyzer for: Ready, Available, Synced, Accepted and the
like that are False, Degraded, Failed, Stalled and NotReady that are True, whatever is False for a reason that ends in Failed or Error, and
phases that mean failure, and the error of what is not ready for use. Covers operators,
cert-manager, GitOps controllers, OLM, OpenShift cluster operators, routes and gateways at once.
What one object makes as a step of its own work (the order of a certificate, the builds of a build configuration) is
told about that object, the last step's words first; of several runs only the newest counts, and a schedule's newest
until the next. Blames what the object
names (its source, its issuer, its catalogue) or calls by kind and name in its message, and what it writes where its
words are about that. No fault is what is not there yet while
work on it goes on (`everyday`); latent is what its own spec tells to rest (`meant`).
Believes only conditions (written through the status subresource), never other text. Cannot know what an
unknown condition type means; those are left alone.

Rests on: Kubernetes API conventions, "Typical status properties"; gateway-api.sigs.k8s.io; docs.openshift.com
(ClusterOperator); olm.operatorframework.io; argo-cd.readthedocs.io (health); fluxcd.io (conditions).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import applied_changes, last_edit
from services.context_api.domain.everyday import is_under_way
from services.context_api.domain.kube import (
    WORKLOADS,
    Condition,
    at,
    is_custom,
    is_native,
    leaves,
    listing,
    mapping,
    reported,
    text,
)
from services.context_api.domain.logs import cut, is_narrative
from services.context_api.domain.meant import at_rest
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.redact import redact, value_of
from services.context_api.domain.routes import KINDS, standing
from services.context_api.domain.runs import is_history
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import clock, name_of

NAME = "unhealthy_condition"
PATIENCE = timedelta(minutes=2)
"""A resource may be not ready this long after its last transition; controllers work in steps."""

JUST_BEFORE, SLACK = timedelta(minutes=10), timedelta(seconds=90)
"""A controller reads a new setting within seconds to minutes. A guess, generous."""

_OTHERS = WORKLOADS | {"Node", "PersistentVolumeClaim", "PersistentVolume", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget",
                       "Namespace", "APIService", "Event", "CustomResourceDefinition", "EndpointSlice", "Endpoints", "ConfigMap", "Secret", "Lease"}  # fmt: skip
_MUST_HOLD = frozenset(
    {
        "Ready",
        "Available",
        "Synced",
        "Healthy",
        "Accepted",
        "Programmed",
        "ResolvedRefs",
        "Admitted",
        "Established",
        "Valid",
        "Deployed",
        "Installed",
        "Reconciled",
        "Released",
        "Serving",
        "Succeeded",
        "ImportSuccess",
    }
)
_MUST_NOT_HOLD = frozenset(
    {
        "Degraded",
        "Failed",
        "Failing",
        "Stalled",
        "ReconcileError",
        "ErrorOccurred",
        "CatalogSourcesUnhealthy",
        "BundleUnpackFailed",
        "ResolutionFailed",
        "InvalidSpec",
        "FetchFailed",
        "Denied",
        "InvalidRequest",
        "Fallback",
        "Conflicted",
    }
)
_RETRYING = frozenset({"Retrying", "Blocked"})
"""Reasons of Progressing with which OLM says that it does not get on."""

_EXCUSED = frozenset(
    {
        "Completed",
        "PodCompleted",
        "NotRequired",
        "Paused",
        "Disabled",
        "Suspended",
        "NoTraffic",
        "ScalerNotActive",
    }
)
"""Reasons of what rests because it is meant to, or because nobody asks for it."""

_SAYS_FAILED = re.compile(r"^(?!No[A-Z]|Not[A-Z]).*(?:Failed|Failing|Failure|Error)$")
"""How a reason ends that tells what a False means where the type is nobody's convention: `ContinuousArchivingFailing`."""

_BAD_PHASES = frozenset(
    {
        "failed",
        "error",
        "degraded",
        "crashloopbackoff",
        "unhealthy",
        "missing",
        "unknown",
        "invalid",
        "errored",
    }
)
_ABOUT_PARTS = re.compile(
    r"health|degraded|time[d ]?-?out|deadline|not ready|unavailable|progress deadline|waiting for",
    re.IGNORECASE,
)
"""Words with which a maker speaks of the state of what it wrote."""

_WORD = re.compile(r"[\w.-]+")
MOST_STEPS = 3
MOST_BLAMED = 40


@dataclass(frozen=True, slots=True)
class _Complaint:
    """One object's word that it is not well."""

    obj: KubeObject
    reason: str
    words: str
    message: str
    state: Condition | None
    fact: evidence.Fact
    certainty: float
    settled: bool


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per object that a person would change, with the words of its last failed step."""
    by_head: dict[int, tuple[KubeObject, list[_Complaint]]] = {}
    newest: dict[tuple[str, str, str | None], dict[int, KubeObject]] = {}
    for obj in scene.snapshot.objects:
        if (obj.kind in _OTHERS and is_native(obj)) or not obj.body.get("status"):
            continue
        if obj.is_leaving:
            continue
        heard = _complaint(scene, obj)
        if heard is None:
            continue
        head = head_of(scene, obj)
        if head is not obj:
            # Of several runs the newest counts: what failed before it is history.
            # Parts that are listed by name are all there at once.
            kin = (obj.group, obj.kind, obj.namespace)
            if kin not in newest:
                newest[kin] = _newest(scene, obj)
            if newest[kin].get(id(head)) is not obj and not _listed(scene, asked_by(scene, obj), obj):
                continue
        by_head.setdefault(id(head), (head, []))[1].append(heard)
    for head, heard_of in by_head.values():
        yield _observation(scene, head, heard_of)


def head_of(scene: Scene, obj: KubeObject) -> KubeObject:
    """Whoever wished for what this object is a step of; itself when it is nobody's."""
    here, passed = obj, {id(obj)}
    for _ in range(8):
        above = asked_by(scene, here)
        if above is None or id(above) in passed:
            return here
        passed.add(id(above))
        here = above
    return here


def asked_by(scene: Scene, obj: KubeObject) -> KubeObject | None:
    """The object of the same platform that owns it; or of any, where that names it and it names that (a claim)."""
    owner = scene.graph.owner(obj)
    if owner is not None and owner is not obj:
        kin = _family(owner) == _family(obj) and owner.kind not in ("Application", "ApplicationSet")
        if kin or (is_custom(owner) and _listed(scene, owner, obj)):
            return owner
    claim = mapping(obj.spec.get("claimRef"))
    if not claim or not is_custom(obj):
        return None
    found = scene.graph.get(
        text(claim.get("kind")), text(claim.get("namespace")) or None, text(claim.get("name"))
    )
    return found if found is not None and found is not obj and _listed(scene, found, obj) else None


def _listed(scene: Scene, above: KubeObject | None, obj: KubeObject) -> bool:
    """Whether the one names the other in its spec."""
    return above is not None and any(link.to is obj for link in scene.platforms.needs(above))


def _family(obj: KubeObject) -> str:
    """The platform an API group belongs to: `acme.cert-manager.io` and `cert-manager.io` are one."""
    return ".".join(obj.group.split(".")[-2:]) if "." in obj.group else f"/{obj.group}"


def _newest(scene: Scene, like: KubeObject) -> dict[int, KubeObject]:
    """The newest step of that kind in that namespace, per head."""
    found: dict[int, KubeObject] = {}
    for other in scene.snapshot.of_kind(like.kind, like.namespace):
        if other.group == like.group:
            head = id(head_of(scene, other))
            if head not in found or _age(found[head]) < _age(other):
                found[head] = other
    return found


def _age(obj: KubeObject) -> tuple[datetime, str]:
    return obj.created_at or datetime.min.replace(tzinfo=UTC), obj.name


def _complaint(scene: Scene, obj: KubeObject) -> _Complaint | None:
    if _has_failed(obj) and is_history(scene, obj, asked_by(scene, obj), _has_failed):
        return None
    told_now = standing(scene.graph, obj) if obj.kind in KINDS else reported(obj)
    bad = [c for c in _in_order(told_now) if _is_bad(c) and not is_under_way(c, scene.now)]
    if bad:
        return _from_condition(scene, obj, bad[0])
    phase = _phase(obj)
    if phase.lower() in _BAD_PHASES:
        return _from_phase(obj, phase)
    return _from_error(scene, obj)


def _has_failed(obj: KubeObject) -> bool:
    return _phase(obj).lower() in _BAD_PHASES or any(_is_bad(c) for c in reported(obj))


def _from_error(scene: Scene, obj: KubeObject) -> _Complaint | None:
    """What a status without conditions says in its `error`, where it says as well that the object is of no use."""
    error = mapping(obj.status.get("error"))
    message, since = told(text(error.get("message"))), parse_time(error.get("time"))
    if not message or obj.status.get("readyToUse", obj.status.get("ready")) is not False:
        return None
    words = f"{name_of(obj)} is not ready and reports an error" + (f" of {clock(since)}" if since else "")
    fact = evidence.field(obj, "status.error", {"message": message}, words, since)
    state = Condition("Error", "True", "", message, since, None)
    return _Complaint(obj, "ErrorReported", f"{words}: `{message}`", message, state, fact, 0.7, _settled(scene, state))  # fmt: skip


def _in_order(found: list[Condition]) -> list[Condition]:
    """Degraded-like ones first: they carry the reason where Ready only says no."""
    return sorted(found, key=lambda c: (not _tells_of_trouble(c), not c.message, c.type))


def _is_bad(state: Condition) -> bool:
    if state.reason in _EXCUSED:
        return False
    if state.type == "Progressing" and state.reason in _RETRYING:
        return True
    if state.status == "False":
        return state.type in _MUST_HOLD or (
            not _tells_of_trouble(state)
            and bool(state.message)
            and _SAYS_FAILED.match(state.reason) is not None
        )
    return state.status == "True" and _tells_of_trouble(state)


def _tells_of_trouble(state: Condition) -> bool:
    """Degraded and the like; parts of a whole put a word before it (`RenderDegraded`), some deny what must hold (`NotReady`)."""
    return (
        state.type in _MUST_NOT_HOLD
        or state.type.endswith("Degraded")
        or (state.type.startswith("Not") and state.type.removeprefix("Not") in _MUST_HOLD)
    )


def _settled(scene: Scene, state: Condition) -> bool:
    return state.since is None or scene.now - state.since >= PATIENCE


def _phase(obj: KubeObject) -> str:
    """The one word some controllers sum themselves up with."""
    health = text(at(obj.status, "health", "status"))
    return health or text(obj.status.get("phase")) or text(obj.status.get("state"))


def told(message: str) -> str:
    """A status message, redacted; of a long one both ends, as an error that wraps others names the first of them last."""
    flat = "" if is_narrative(message) else " ".join(redact(message[:20000]).split())
    return cut(flat, 400) if len(flat) <= 400 else f"{cut(flat[:200])} … {cut(flat[-200:])}"


def named_values(obj: KubeObject, said: str) -> list[str]:
    """Fields of a spec whose value a message quotes: ``spec.parameters.version is `16.40` ``."""
    words = {word.strip(".-") for word in _WORD.findall(said)}
    return [
        f"{path} is `{cut(value_of(path, value), 80)}`"
        for path, value in leaves(obj.spec, "spec")
        if value in words and _says_much(value) and "Ref" not in path
    ][:3]


def _says_much(value: str) -> bool:
    """Whether a value would not stand in a message by chance: a version, a compound name."""
    return len(value) >= 3 and (any(c.isdigit() for c in value) or any(c in "-._" for c in value)) and not value.isdigit()  # fmt: skip


def _from_condition(scene: Scene, obj: KubeObject, state: Condition) -> _Complaint:
    message = told(state.message)
    words = f"{name_of(obj)} reports {state.type}={state.status}"
    words += f" ({state.reason})" if state.reason else ""
    words += f" since {clock(state.since)}" if state.since else ""
    words += f": `{message}`" if message else ""
    fact = evidence.field(
        obj,
        f"status.conditions[{state.type}]",
        {"status": state.status, "reason": state.reason, "message": message},
        f"{name_of(obj)}: {state.type}={state.status} {state.reason}",
        state.since,
    )
    reason = f"{state.type}{state.status}"
    if state.type == "Progressing":
        reason = f"Progress{state.reason}"
    return _Complaint(
        obj, reason, words, message, state, fact, 0.7 if message else 0.55, _settled(scene, state)
    )


def _from_phase(obj: KubeObject, phase: str) -> _Complaint:
    message = (
        text(obj.status.get("message"))
        or text(at(obj.status, "health", "message"))
        or text(obj.status.get("reason"))
    )
    message = told(message)
    words = f"{name_of(obj)} is {phase}" + (f": `{message}`" if message else "")
    fact = evidence.field(obj, "status.phase", {"phase": phase, "message": message}, words)
    return _Complaint(obj, f"{phase[:1].upper()}{phase[1:]}", words, message, None, fact, 0.6, settled=True)


def _observation(scene: Scene, head: KubeObject, heard: list[_Complaint]) -> Observation:
    """What the last step says comes first; the steps before it say the same with fewer words."""
    heard = sorted(heard, key=lambda c: (-_steps(scene, c.obj, head), c.obj.kind, c.obj.name))
    first = heard[0]
    words = first.words
    if first.obj is not head:
        words = f"{name_of(head)} does not get on: {words}"
    words = "; ".join([words, *(c.words for c in heard[1:MOST_STEPS])])
    values = named_values(head, " ".join(c.message for c in heard))
    words += f"; of {name_of(head)}, {' and '.join(values)}" if values else ""
    onsets = [c.state.since for c in heard if c.state is not None and c.state.since]
    words += _edited(head, min(onsets, default=None))
    mine = next((c for c in heard if c.obj is head), first)
    return Observation(
        about=head,
        reason=mine.reason,
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=max(c.certainty for c in heard),
        facts=tuple(c.fact for c in heard[:MOST_STEPS]),
        basis=("the object's own status",),
        onset=min(onsets, default=None),
        remediation=remedies.look(head, f"Read the conditions and events of {name_of(head)}."),
        blames=_blames(scene, head, heard),
        # What its own spec tells to rest is not well for as long, and that is a fault for those alone who need it.
        latent=at_rest(head) or not any(c.settled for c in heard),
    )


def _edited(obj: KubeObject, onset: datetime | None) -> str:
    """Who changed what of its settings just before it went bad, however long ago that was."""
    edit = last_edit(obj)
    if edit is None or onset is None or not onset - JUST_BEFORE <= edit.at <= onset + SLACK:
        return ""
    known = [str(c) for c in applied_changes(obj, edit)] or [p for p in edit.paths if p.startswith("spec")]
    by = f"; it was edited at {clock(edit.at)} by {edit.by}, just before"
    return f"{by} ({listing(known, 3)})" if known else ""


def last_word(scene: Scene, head: KubeObject) -> str:
    """What the farthest step of an object says of itself; what it says itself where it has no steps."""
    found: list[_Complaint] = []
    todo, passed = [head], {id(head)}
    while todo and len(passed) < MOST_BLAMED:
        here = todo.pop(0)
        heard = _complaint(scene, here)
        found += [heard] if heard is not None and heard.message else []
        for link in scene.platforms.needs(here):
            if id(link.to) not in passed and asked_by(scene, link.to) is here:
                passed.add(id(link.to))
                todo.append(link.to)
    if not found:
        return ""
    values = named_values(head, found[-1].message)
    return found[-1].words + (f"; of {name_of(head)}, {' and '.join(values)}" if values else "")


def _asks(scene: Scene, other: KubeObject, obj: KubeObject) -> bool:
    """Whether the other names this one as what it needs: then a fault here is its trouble, not the reverse."""
    return any(link.to is obj for link in scene.platforms.needs(other))


def _steps(scene: Scene, obj: KubeObject, head: KubeObject) -> int:
    here, count = obj, 0
    while here is not head and count < 8:
        above = asked_by(scene, here)
        if above is None:
            return count
        here, count = above, count + 1
    return count


def _blames(scene: Scene, head: KubeObject, heard: list[_Complaint]) -> tuple[Blame, ...]:
    """What it names and needs; and what it writes, where it speaks of that."""
    found: dict[int, Blame] = {}
    said = " ".join(f"{c.reason} {c.message}" for c in heard)
    for named in {id(o): o for o in (head, *(c.obj for c in heard))}.values():
        for link in scene.platforms.needs(named):
            found.setdefault(id(link.to), Blame(link.to, 0.85, f"{name_of(named)} names it ({link.where})"))
    for one in heard:
        for service, host in scene.platforms.spoken(one.obj, one.message):
            found.setdefault(id(service), Blame(service, 0.9, f"its words name {host}"))
        for other in scene.platforms.mentioned(one.obj, one.message):
            if other is not head and head_of(scene, other) is not head and not _asks(scene, other, one.obj):
                found.setdefault(id(other), Blame(other, 0.85, "its words name it"))
        for controller in scene.platforms.controllers(one.obj):
            found.setdefault(id(controller), Blame(controller, 0.7, "it writes the object's status"))
    words = {word.strip(".-") for word in _WORD.findall(said)}
    about_parts = _ABOUT_PARTS.search(said) is not None
    for link in scene.platforms.makes(head):
        mentioned = link.to.name in words
        strength = 0.85 if mentioned else 0.75 if about_parts else 0.0
        if strength and len(found) < MOST_BLAMED:
            why = "its words name it" if mentioned else "its words are about what it writes"
            found.setdefault(id(link.to), Blame(link.to, strength, f"{name_of(head)} writes it, and {why}"))
    return tuple(found.values())
