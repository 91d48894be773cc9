"""Why no cause is named, in a sentence: since when the target is well, what has healed, or what is missing.

Decides words alone; which of the three answers it is was decided in `verdict.py`. An alert may be late, stale or about
what is no more: the times say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from libs.contracts.causes import NoCause
from libs.contracts.target import Target
from services.context_api.domain.containers import containers_of, is_ready
from services.context_api.domain.elsewhere import unreached
from services.context_api.domain.kube import condition, listing, replicas, text
from services.context_api.domain.logs import cut, is_narrative
from services.context_api.domain.meant import (
    awaits_node,
    ended_by_decision,
    starts,
    unready_as_meant,
    yields,
)
from services.context_api.domain.names import resembles
from services.context_api.domain.past_trouble import hushed, passed
from services.context_api.domain.redact import redact
from services.context_api.domain.removed import removed
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.verdict import LOOK_BACK, pods_missing, replaced, scaled_down, signs
from services.context_api.domain.wording import clock, name_of, span


def told(scene: Scene, target: Target | None, about: KubeObject | None, reason: NoCause) -> str:
    """One or two sentences for a person; empty when there is nothing to say beyond the answer itself."""
    if target is None or reason is NoCause.muted:
        return ""
    if about is None:
        return " ".join(
            _not_recorded(scene, target) if reason is NoCause.insufficient else _removed(scene, target)
        )
    if reason is NoCause.insufficient:
        if not pods_missing(scene, about):
            return " ".join([*_well(scene, about), *_unreached(scene, about)])
        return (
            f"{name_of(about)} should have {replicas(about)} pods, and no pod of its namespace was recorded."
        )
    return " ".join([*_gone(scene, target, about), *_well(scene, about), *_healed(scene, about, reason)])


def _removed(scene: Scene, target: Target) -> Iterator[str]:
    """Who removed the place where it was."""
    removal = removed(scene, target, (scene.onset or scene.now) - LOOK_BACK)
    if removal is not None:
        place = target.name if target.kind == "Namespace" else target.namespace
        yield f"Namespace {place} is no more: {name_of(removal.by)} told at {clock(removal.at)} that it removed it (`{removal.line}`)."
        yield "Nobody who was recorded names it any more."


def _unreached(scene: Scene, about: KubeObject) -> Iterator[str]:
    """What a prober says, of which nothing here says why."""
    for series in unreached(scene, about):
        yield f"A prober does not reach it ({series}), and nothing that was recorded of it says why: look at the way there."
        return


def _not_recorded(scene: Scene, target: Target) -> Iterator[str]:
    """What there is of the target, its namespace and its kind."""
    if not scene.snapshot.objects:
        return
    others = list(scene.snapshot.of_kind(target.kind, target.namespace))
    place = f" in namespace {target.namespace}" if target.namespace else ""
    near = [o.name for o in others if resembles(o.name, target.name)]
    if others:
        alike = f"; spelled alike: {listing(near)}" if near else ""
        yield f"{target} was not recorded, while {len(others)} of its kind{place} were{alike}: it has been deleted, or never was."
    elif target.namespace and not any(o.namespace == target.namespace for o in scene.snapshot.objects):
        yield f"{target} was not recorded, nor was anything else of namespace {target.namespace}."
    else:
        yield f"{target} was not recorded, nor was any other of its kind{place}."
    events = scene.graph.events.about_name(target.kind, target.namespace, target.name)
    if events:
        reason = "" if is_narrative(events[-1].reason) else f" ({cut(redact(events[-1].reason), 60)})"
        yield f"The last event about it{reason} is of {clock(events[-1].last)}."
    yield "Nothing that was recorded leads from it to a fault; what else is wrong in its namespace stands in the findings, unranked."


def _gone(scene: Scene, target: Target, about: KubeObject) -> Iterator[str]:
    if not replaced(target, about):
        return
    about, edit = scene.graph.top(about), scaled_down(scene, about)
    how = (
        f", which was scaled to {replicas(about)} at {clock(edit.at)} by {edit.by}"
        if edit is not None
        else ""
    )
    yield f"{target} is no more; {name_of(about)} made it{how}."


def _well(scene: Scene, about: KubeObject) -> Iterator[str]:
    """How many pods are ready, and since when all of them are."""
    if about.kind == "Node":
        if (moment := _ready_since(about)) is not None:
            yield f"{name_of(about)} is ready since {clock(moment)}, and reports no pressure."
        return
    about = scene.graph.top(about) if about.kind == "ReplicaSet" else about
    tops = scene.graph.behind(about) if about.kind == "Service" else [scene.graph.top(about)]
    pods = [about] if about.kind == "Pod" else [p for top in tops for p in scene.graph.pods_of(top)]
    if not pods:
        return
    since = max((m for p in pods if (m := _ready_since(p))), default=None)
    ready = sum(is_ready(p) for p in pods)
    when = f", all of them since {clock(since)}" if since is not None and ready == len(pods) else ""
    turn = [pod for pod in pods if not is_ready(pod) and unready_as_meant(scene, pod)]
    if about.kind != "Pod":
        yield f"{ready} of {len(pods)} pods of {name_of(about)} are ready{when}."
    elif ready:
        yield f"{name_of(about)} is ready since {clock(since)}."
    else:
        yield f"{name_of(about)} is in phase {text(about.status.get('phase')) or 'unknown'}."
    if turn and yields(turn[0]):
        yield f"{listing([p.name for p in turn], 2)} found no room; of a priority below zero, they let all others go first."
    elif turn and awaits_node(scene, turn[0]):
        yield f"{listing([p.name for p in turn], 2)} waits for a node that an autoscaler has asked for."
    elif turn and starts(scene, turn[0]):
        yield f"{listing([p.name for p in turn], 2)} starts, and is within the time that its probes give it for that."
    elif turn:
        yield f"{listing([p.name for p in turn], 2)} waits for its turn beside one that has it, by the words of its log."
    if since is not None and ready == len(pods) and scene.onset is not None and since < scene.onset:
        ahead = span((scene.onset - since).total_seconds())
        yield f"That is {ahead} before the alert began: it tells of something older, or of nothing these pods show."


def _ready_since(pod: KubeObject) -> datetime | None:
    state = condition(pod, "Ready")
    return state.since if state is not None and state.status == "True" else None


def _pods(scene: Scene, about: KubeObject) -> Sequence[KubeObject]:
    return [about] if about.kind == "Pod" else scene.graph.pods_of(scene.graph.top(about))


def _but(scene: Scene, about: KubeObject, since: datetime) -> str:
    """The ends that are no trouble."""
    ends = [
        parse_time(c.last_end.get("finishedAt"))
        for p in _pods(scene, about)
        for c in containers_of(p)
        if ended_by_decision(scene, c)
    ]
    late = [moment for moment in ends if moment is not None and moment >= since]
    return f", but for {len(late)} by their own decision (exit code 0)," if late else ""


def _healed(scene: Scene, about: KubeObject, reason: NoCause) -> Iterator[str]:
    since = (scene.onset or scene.now) - LOOK_BACK
    past = [m for m in signs(scene, about) if m >= since]
    if reason is NoCause.recovered and past:
        yield f"The last sign of trouble: {clock(max(past))}."
    measured = next(passed(scene, about, since), None) if reason is NoCause.recovered else None
    if measured is not None:
        yield (
            f"From {clock(measured.began)} to {clock(measured.ended)} up to {measured.words}, and since then as before "
            f"(recorded metric `{measured.series.query[:160]}`)."
        )
    spell = hushed(scene, about, since) if reason is NoCause.recovered else None
    if spell is not None:
        yield f"The log of {name_of(spell.top)} held {spell.count} complaints from {clock(spell.began)} to {clock(spell.ended)}, and has held none since."
    if reason is NoCause.nothing_wrong:
        turn = any(unready_as_meant(scene, pod) for pod in _pods(scene, about))
        yield f"{'Beside that, no' if turn else 'No'} container ended{_but(scene, about, since)} and no warning was written since {clock(since)}."
