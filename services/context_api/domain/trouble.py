"""What is wrong with one workload, summed up for those who look for what was changed.

Decides which observations belong to one trouble, when it began, and whether its log points at somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.context_api.domain.containers import containers_of, is_ready
from services.context_api.domain.endings import last_words, looping_since
from services.context_api.domain.logs import Line
from services.context_api.domain.observation import Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import span

WINDOW = timedelta(hours=1)
"""A change this long before the first failure may be why. A guess: restarts can take that long to notice."""

SLACK = timedelta(seconds=90)
"""A change may seem this much later than the failure: event times are coarse."""

_FAILING = frozenset(
    {
        "pod_crash_loop",
        "probe_failure",
        "rollout_stuck",
        "oom_kill",
        "restart_rate",
        "image_pull",
        "init_waiting",
        "log_errors",
        "unwell",
    }
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One workload's failing, from all that was seen of it."""

    top: KubeObject
    seen: tuple[Observation, ...]
    onset: datetime | None
    earliest: datetime | None
    """When it may have begun at the earliest: readiness comes and goes in a crash loop, and events are forgotten."""
    lines: tuple[Line, ...]
    points_elsewhere: bool
    """Whether its log complains about reaching something that is itself in trouble."""

    def recent(self, scene: Scene, moment: datetime) -> bool:
        """Whether something at that moment may be why."""
        onset = self.onset or scene.onset or scene.now
        return min(self.earliest or onset, onset) - WINDOW <= moment <= onset + SLACK

    @property
    def told(self) -> str:
        """Its deepest observation in words."""
        return max(self.seen, key=lambda o: (o.depth, o.certainty, o.text)).text

    def how_long_before(self, moment: datetime) -> str:
        """`28 s before`, from a change to the first failure."""
        if self.onset is None:
            return "shortly before"
        return (
            f"{span((self.onset - moment).total_seconds())} before"
            if self.onset >= moment
            else "at the time of"
        )


def troubles(scene: Scene, seen: Sequence[Observation]) -> Iterator[Trouble]:
    """One per failing workload."""
    groups: dict[int, list[Observation]] = {}
    broken = {id(o.about) for o in seen if not o.latent}
    for one in seen:
        if one.analyzer in _FAILING:
            groups.setdefault(id(one.about), []).append(one)
    for members in groups.values():
        top = members[0].about
        stuck = [
            c
            for pod in scene.graph.pods_of(top)
            if not is_ready(pod) or _restarted(pod)
            for c in containers_of(pod)
        ]
        lines, _ = last_words(scene, stuck)
        onset = min((o.onset for o in members if o.onset), default=None)
        loops = [moment for c in stuck if (moment := looping_since(c))]
        yield Trouble(
            top,
            tuple(members),
            onset,
            min(loops, default=None),
            tuple(lines),
            _points_elsewhere(scene, members, broken),
        )


def _points_elsewhere(scene: Scene, members: Sequence[Observation], broken: set[int]) -> bool:
    return any(
        blame.strength >= 0.9
        and (id(blame.on) in broken or any(id(b) in broken for b in scene.deps.behind(blame.on)))
        for one in members
        for blame in one.blames
        if blame.on.kind in ("Service", "Pod")
    )


def _restarted(pod: KubeObject) -> bool:
    return any(c.restarts for c in containers_of(pod))
