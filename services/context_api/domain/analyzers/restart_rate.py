"""Containers that run and are ready, and yet end again and again: a restart every few minutes or hours.

Sees the restart count against the pod's age, how long the instance that ended last had lived, and how long ago that was:
restarts of the first minutes, a crash loop that is over and a restart of weeks ago are history. Tells the exit code and
the last words. Ends that are days apart count only for pods that a rollout made: it is told with what it changed.
No fault are ends by the program's own decision after a good while (`meant`), nor those that it came to with most of its
node (`endings`): the node was stopped, as it may be each night. Leaves to others: crash loops
(`pod_crash_loop`), kills for memory (`oom_kill`) and by probes (`probe_failure`).
Cannot see when each restart was (only the last end is kept), nor restarts of pods that were replaced since.

Rests on: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy (restartCount, lastState,
the back-off that ten minutes reset).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import remedies
from services.context_api.domain.containers import Container, ends_again_and_again
from services.context_api.domain.dependencies import blames
from services.context_api.domain.endings import (
    crashing,
    ended_fact,
    ended_with_its_node,
    exit_code,
    killed_by_probe,
    last_words,
    looping_since,
    meaning,
    out_of_memory,
    quoted,
)
from services.context_api.domain.kube import listing
from services.context_api.domain.meant import ended_by_decision
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.rollouts import Rollout
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import by_top, clock, how_many, span

NAME = "restart_rate"
FEWEST = 3
OFTEN = timedelta(hours=12)
"""Restarts farther apart than this on average are accidents. A guess: a nightly job's memory shows once a day."""

SELDOM = timedelta(days=4)
"""Restarts of pods that a rollout made may be this far apart: each of them since then is what the rollout brought."""

QUIET = 3
"""Having run this many times longer than usual, it has stopped."""

SETTLED = timedelta(hours=1)
"""A pod that was made this long after a rollout is its own; a later one was moved."""

LIVED = 0.25
"""The instance that ended last must have lived this part of the usual time: those of a crash loop live for seconds."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload and container."""
    often = [c for c in scene.graph.restless if _often(scene, c)]
    for top, group in by_top(scene, often):
        for name in dict.fromkeys(c.name for c in group):
            yield _observation(scene, top, [c for c in group if c.name == name])


def _often(scene: Scene, container: Container) -> bool:
    if container.role == "init" or not container.running or container.restarts < FEWEST:
        return False
    if out_of_memory(container) or not ends_again_and_again(container, scene.now):
        return False
    if ended_by_decision(scene, container) or ended_with_its_node(scene, container):
        return False
    apart, ended, started = (
        between(container),
        _ended(container),
        parse_time(container.last_end.get("startedAt")),
    )
    if (
        apart is None
        or ended is None
        or started is None
        or apart > (SELDOM if _made_by(scene, container) else OFTEN)
    ):
        return False
    if scene.now - ended > QUIET * apart or ended - started < LIVED * apart:
        return False
    return not crashing(container, scene.now) and killed_by_probe(scene.graph, container) is None


def _made_by(scene: Scene, container: Container) -> Rollout | None:
    """The rollout that brought the container's pod: what it changed, and nothing later, is what all its restarts had."""
    rollout = scene.rollouts.of(scene.graph.workload(container.pod))
    created = container.pod.created_at
    if rollout is None or not rollout.changes or created is None:
        return None
    return rollout if timedelta(0) <= created - rollout.at <= SETTLED else None


def between(container: Container) -> timedelta | None:
    """The usual time from one end to the next."""
    ended, created = _ended(container), container.pod.created_at
    if ended is None or created is None or ended <= created or not container.restarts:
        return None
    return (ended - created) / container.restarts


def _ended(container: Container) -> datetime | None:
    return parse_time(container.last_end.get("finishedAt"))


def _observation(scene: Scene, top: KubeObject, group: list[Container]) -> Observation:
    worst = max(group, key=lambda c: (c.restarts, c.pod.name))
    lines, facts = last_words(scene, group)
    code, apart = exit_code(worst), between(worst)
    every = span(apart.total_seconds()) if apart is not None else "some time"
    words = (
        f"{worst} runs in {how_many(scene, top, [c.pod for c in group])}, but ends about every {every}: {worst.restarts} restarts, "
        f"the last end at {clock(_ended(worst))}"
    )
    words += f" with exit code {code} ({meaning(code)})" if code is not None else ""
    words += f"; last words: {quoted(lines)}" if lines else ""
    rollout = _made_by(scene, worst)
    if rollout is not None:
        words += f"; all of it since the rollout of {clock(rollout.at)} ({listing(rollout.told, 3)})"
    return Observation(
        about=top,
        reason="RestartsOften",
        text=words[0].upper() + words[1:],
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.65 if lines and lines[0].weight > 1 else 0.5,
        facts=(*(ended_fact(c) for c in group[:2]), *facts[:2]),
        basis=(
            f"{worst.restarts} restarts since {clock(worst.pod.created_at)}",
            "the last words before the end" if lines else "against it: no log was recorded, so only the count speaks",
        ),
        onset=min((m for c in group if (m := looping_since(c))), default=None),
        remediation=remedies.read_log(worst.pod, worst.name, "Read what the container says before it ends."),
        blames=blames(scene.deps, top, lines),
    )  # fmt: skip
