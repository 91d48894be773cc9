"""What is said of failing on the alert's way: by whom, since when, in which words, and about whom.

Decides who counts as a speaker (whoever is seen to fail, or whose log is full of errors, and has to do with the alert)
and gathers the words: statuses, warnings about it and its pods, complaints of its log. What follows from them is the
analyzers' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain.complaints import PODS, messages_of
from services.context_api.domain.events import Event
from services.context_api.domain.logs import is_narrative
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.relation import Relations, relate
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject

RECENT = timedelta(hours=1)
"""Warnings older than this are of another day's trouble; API servers forget events after an hour."""

AROUND_BEFORE, AROUND_AFTER = timedelta(minutes=30), timedelta(minutes=5)
"""As the ranking counts what only shares the alert's namespace and time."""

LONGEST = 2000
_REFUSED = " is forbidden: "
"""How the API server words a refusal; a program that was refused repeats it."""

_QUOTED = re.compile(r"`([^`]{3,})`")
MOST = 40
"""Speakers that are listened to, nearest first."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One failing object and what is said of it."""

    speaker: KubeObject
    seen: tuple[Observation, ...]
    words: str
    onset: datetime | None
    called: tuple[KubeObject, ...]
    """The Services its log complains about, and what stands behind them."""
    nearness: float
    official: str
    """Of the words those that a component of the cluster wrote, and no program in its log."""

    @property
    def told(self) -> str:
        """Its deepest observation in words."""
        return max(self.seen, key=lambda o: (o.depth, o.certainty, o.text)).text


def voices(scene: Scene, seen: Sequence[Observation]) -> list[Voice]:
    """Nearest to the alert first."""
    near = relate(scene, scene.target, seen) if scene.target is not None else None
    groups: dict[int, list[Observation]] = {}
    for one in seen:
        failing = not one.latent or one.analyzer == "log_errors"
        if failing and one.severity is not FindingSeverity.info and one.depth is not Depth.change:
            groups.setdefault(id(one.about), []).append(one)
    found = [_voice(scene, members, near) for members in groups.values() if _concerns(scene, near, members)]
    found.sort(key=lambda v: (-v.nearness, v.speaker.kind, v.speaker.name))
    return found[:MOST]


def _concerns(scene: Scene, near: Relations | None, members: Sequence[Observation]) -> bool:
    """Whether there is a way from the alert to it, or it began to fail at that time in the same namespace."""
    about = members[0].about
    if near is None or scene.target is None or near.nearness(about) > 0:
        return True
    if scene.onset is None or about.namespace is None or about.namespace != scene.target.namespace:
        return False
    around = (scene.onset - AROUND_BEFORE, scene.onset + AROUND_AFTER)
    return any(o.onset is not None and around[0] <= o.onset <= around[1] for o in members)


def _voice(scene: Scene, members: list[Observation], near: Relations | None) -> Voice:
    speaker = members[0].about
    warnings = list(warned(scene, speaker))
    complaints = scene.deps.spoken(speaker) if scene.graph.pods_of(speaker) else []
    words = [
        *(words for one in members for words in _evidence(one)),
        *(w.message[:LONGEST] for w in warnings),
        *(c.line for c in complaints),
    ]
    written = [*messages_of(speaker), *(w.message[:LONGEST] for w in warnings)]
    written += [word for word in words if _REFUSED in word]
    called = [c.found for c in complaints if c.found is not None]
    behind = [top for service in called for top in scene.deps.behind(service)]
    onsets = [o.onset for o in members if o.onset] or [w.first for w in warnings if w.first]
    return Voice(
        speaker,
        tuple(members),
        "\n".join(dict.fromkeys(words)),
        min(onsets, default=None),
        tuple({id(o): o for o in (*called, *behind) if o is not speaker}.values()),
        near.nearness(speaker) if near is not None else 1.0,
        "\n".join(written if scene.graph.pods_of(speaker) else words),
    )


def _evidence(seen: Observation) -> Iterator[str]:
    """The messages of its status, and what an analyzer quotes; an analyzer's own words name whoever is well, too."""
    yield from messages_of(seen.about)
    yield from _QUOTED.findall(seen.text)


def warned(scene: Scene, obj: KubeObject) -> Iterator[Event]:
    """Recent warnings about an object, what it owns and their pods, each message once."""
    graph, passed = scene.graph, set()
    pods = graph.pods_of(obj)[:PODS]
    owners = [owner for pod in pods if (owner := graph.owner(pod)) is not None]
    revisions = [r for w in graph.workloads_of(obj) for r in scene.rollouts.revisions(w)[-2:]]
    for one in {id(o): o for o in (obj, *pods, *owners, *revisions)}.values():
        for event in graph.events_about(one):
            known = (event.reason, event.message)
            recent = event.last is not None and scene.now - event.last <= RECENT
            if event.warning and recent and known not in passed and not is_narrative(event.message):
                passed.add(known)
                yield event
