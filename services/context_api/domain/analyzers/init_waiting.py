"""Init containers that run for long: the pod waits for something that does not come.

Sees an init container still running after minutes, what its log says it waits for, and the Services its settings
name. Crashing init containers are told by `pod_crash_loop`. Cannot tell a long migration from a hang; the longer
it runs, the likelier the hang. One that runs no longer than it did in other pods, which are ready, is no finding.

Rests on: kubernetes.io/docs, "Init Containers", "Debug Init Containers".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import Container, containers_of, is_ready
from services.context_api.domain.dependencies import blames
from services.context_api.domain.endings import last_words, quoted
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import by_top, clock, how_many, span

NAME = "init_waiting"
PATIENCE = timedelta(minutes=3)
"""Most init containers are done in seconds. A guess; migrations take longer and then say so in their log."""


LONGER = 1.2
"""Times as long as in other pods from which it takes too long. A guess."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload and init container that does not come to its end."""
    waiting = [
        c
        for c in scene.graph.restless
        if c.role == "init"
        and c.running
        and (c.started_at is None or scene.now - c.started_at > PATIENCE)
        and not _as_long_as_others(scene, c)
    ]
    for top, group in by_top(scene, waiting):
        for name in dict.fromkeys(c.name for c in group):
            yield _observation(scene, top, [c for c in group if c.name == name])


def _as_long_as_others(scene: Scene, container: Container) -> bool:
    """Whether it runs no longer than the same container did in other pods of its owner, which are ready."""
    begun = container.started_at
    took = [
        ended - started
        for pod in scene.graph.pods_of(scene.graph.top(container.pod))
        if pod is not container.pod and is_ready(pod)
        for one in containers_of(pod)
        if one.role == "init"
        and one.name == container.name
        and (started := parse_time(one.terminated.get("startedAt"))) is not None
        and (ended := parse_time(one.terminated.get("finishedAt"))) is not None
    ]
    return begun is not None and bool(took) and scene.now - begun <= LONGER * max(took)


def _observation(scene: Scene, top: KubeObject, group: list[Container]) -> Observation:
    first = min(group, key=lambda c: (c.started_at is None, c.started_at or scene.now, c.pod.name))
    lines, facts = last_words(scene, group)
    lasted = (scene.now - first.started_at).total_seconds() if first.started_at else 0.0
    words = f"{first} has run for {span(lasted)} and keeps {how_many(scene, top, [c.pod for c in group])} from starting"
    if lines:
        words += f"; its log: {quoted(lines)}"
    return Observation(
        about=top,
        reason="InitContainerWaiting",
        text=words[0].upper() + words[1:],
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.6,
        facts=(
            evidence.field(
                first.pod,
                f"status.initContainerStatuses[{first.name}].state",
                {"running": True},
                f"{first} of pod {first.pod.name} runs since {clock(first.started_at)}",
                first.started_at,
            ),
            *facts[:2],
        ),
        basis=("init containers end before the pod starts; this one does not",),
        onset=first.started_at,
        remediation=remedies.look(first.pod, f"Read what {first} waits for."),
        blames=blames(scene.deps, top, [line for line in lines if line.weight > 1]),
    )
