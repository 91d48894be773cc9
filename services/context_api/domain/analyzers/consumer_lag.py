"""Consumers that do not keep up: what waits for a group or in a queue grows all the time, though its pods are well.

Sees recorded backlogs that rise steadily, and beside them what is produced and worked off a second, how many members
the group has and how many partitions its topic. A mechanism where the consumers work and are outpaced; a symptom where
nothing is worked off, for then something else keeps them from it. About the workload whose settings name the group.
Latent: work that is put off is no fault until an alert is about it.
Cannot see why more is produced, nor what limits one consumer from within.

Rests on: https://kafka.apache.org/documentation/#intro_consumers (a partition is read by one member of a group),
https://github.com/danielqsj/kafka_exporter#metrics, https://www.rabbitmq.com/docs/prometheus,
https://www.rabbitmq.com/docs/consumers#capacity.
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.dependencies import blames
from services.context_api.domain.kube import replicas
from services.context_api.domain.metrics import moment_of
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.queues import (
    Backlog,
    backlogs,
    consumed,
    consumers,
    members,
    partitions,
    produced,
)
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import COMPARED, STEADY, line
from services.context_api.domain.wording import clock, name_of

NAME = "consumer_lag"
FEWEST = 100.0
"""Messages below which a backlog is a batch on its way. A guess."""

GROWN = 1.5
"""Times as much as half the recorded time ago: a backlog that merely lingers does not grow so."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload, group and topic."""
    told: set[tuple[int, str, str]] = set()
    for backlog in backlogs(scene.metrics) if scene.metrics.all else ():
        speed = _growing(backlog)
        for top in consumers(scene.graph, backlog.group) if speed else ():
            if (id(top), backlog.group, backlog.topic) not in told:
                told.add((id(top), backlog.group, backlog.topic))
                yield _observation(scene, top, backlog, speed)


def _growing(backlog: Backlog) -> float:
    """Messages a second by which it grows, by its newer half; 0 when it does not."""
    points = backlog.points
    if len(points) < COMPARED or backlog.last < FEWEST:
        return 0.0
    newer = points[len(points) // 2 :]
    slope, fit = line(newer)
    late = line(newer[-max(len(newer) // 3, 2) :])[0]
    grows = slope > 0 and fit >= STEADY and late > 0 and backlog.last >= GROWN * max(newer[0][1], 1.0)
    return slope if grows else 0.0


def _observation(scene: Scene, top: KubeObject, backlog: Backlog, speed: float) -> Observation:
    metrics = scene.metrics
    came, done = produced(metrics, backlog), consumed(metrics, backlog)
    seen, parts = members(metrics, backlog), partitions(metrics, backlog)
    pods = len(scene.graph.pods_of(top))
    behind = f" behind topic {backlog.topic}" if backlog.topic else ""
    words = f"{name_of(top)} does not keep up: {backlog} lags {backlog.last:.0f} messages{behind} and {speed:.3g} more every second"
    if came is not None and done is not None:
        words += f": {came:.3g} a second are produced, {done:.3g} worked off"
    elif done is not None:
        words += f", while {done:.3g} a second are worked off"
    if seen is not None:
        words += f"; it has {seen:.0f} members ({pods} pods)" + (
            f" for {parts:.0f} partitions" if parts else ""
        )
    else:
        words += f"; {pods} pods work for it" + (f", of {parts:.0f} partitions" if parts else "")
    if parts is not None and (seen or pods) >= parts:
        words += ", and more than one member a partition would have nothing to do"
    elif parts is not None:
        words += f": too few to keep up, and up to {parts - (seen or pods):.0f} more could share the work"
    working = bool(done) or (done is None and bool(seen))
    lowest = min(backlog.points, key=lambda p: (p[1], -p[0]))
    return Observation(
        about=top,
        reason="ConsumersOutpaced" if working else "ConsumersStandStill",
        text=f"{words} (recorded metric `{backlog.series.query[:160]}`)",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism if working else Depth.symptom,
        certainty=0.75 if working and came is not None and done is not None and came > done else 0.5,
        facts=(evidence.metric(backlog.series, top),),
        basis=(
            f"a recorded backlog that grows, least at {clock(moment_of(lowest[0]))}",
            f"settings or name of {name_of(top)} name {backlog.group}",
        ),
        remediation=remedies.add_replicas(top, _enough(replicas(top), came, done, parts), replicas(top))
        if working and top.kind in ("Deployment", "StatefulSet")
        else remedies.look(top, f"Find out why {name_of(top)} works nothing off."),
        blames=() if working else blames(scene.deps, top, []),
        latent=True,
    )


def _enough(now: int, came: float | None, done: float | None, parts: float | None) -> int:
    """Replicas that would take what comes in at the present rate of each, and no more than there are partitions."""
    wanted = now + 1 if not came or not done or came <= done else -(-now * came // done) + 1
    return max(int(min(wanted, parts) if parts else wanted), now)
