"""Recorded series of the alerting object that rose from their level and stay there, whatever they measure.

Sees series whose labels name the alert's object or its pods, and of each query the one that rose most: from which level
to which, since when, where that began within two hours before the alert. Latent, and the least of all reasons: it says
that something is wrong with what is measured, and not why.
Cannot know whether what rose is bad, nor tell a cause from an effect. Silent about series that came back, about what
rose long before, and about counts that grow all the time.

Rests on: prometheus.io/docs, "HTTP API" (range answers); prometheus.io/docs/practices/naming (`_total` is a count).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from statistics import median

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.logs import cut
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.observation import AGAINST, Depth, Observation
from services.context_api.domain.portrait import of_object
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import COMPARED, FEWEST, Step, stepped
from services.context_api.domain.wording import clock, name_of

NAME = "level_left"
RISEN = 2.0
"""Times as much as before. A guess: what people alert on moves more than the ups and downs of a day."""

SAME = 1.3
"""Times as much as before up to which a series is where it was."""

BEFORE, AFTER = timedelta(hours=2), timedelta(minutes=5)
MOST = 3


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation, about the alert's object or the workload that it belongs to."""
    if scene.target is None or not scene.metrics.all:
        return
    about = scene.graph.top(scene.target)
    best: dict[str, tuple[Step, Series]] = {}
    known = [s for obj in {id(o): o for o in (scene.target, about)}.values() for s in of_object(scene, obj)]
    if any(_came_back(series) for series in known):
        return
    for series in known:
        step = stepped(series.points, RISEN)
        if step is None or series.name.endswith("_total") or not _then(scene, step):
            continue
        held = best.get(series.query)
        if held is None or _times(held[0]) < _times(step):
            best[series.query] = step, series
    found = sorted(best.values(), key=lambda one: (-_times(one[0]), one[1].query))[:MOST]
    if found:
        yield _observation(scene, about, found)


def _came_back(series: Series) -> bool:
    """Whether it rose and is where it was: then what is reckoned over a longer time will follow it."""
    values = [v for _, v in series.points]
    if len(values) < COMPARED:
        return False
    before, now = median(values[: len(values) // 3]), median(values[-FEWEST:])
    return max(values) >= RISEN * before > 0 and now <= SAME * before


def _then(scene: Scene, step: Step) -> bool:
    since, onset = moment_of(step.since), scene.onset or scene.now
    return since is not None and onset - BEFORE <= since <= onset + AFTER


def _times(step: Step) -> float:
    return step.after / step.before if step.before > 0 else 1e6


def _observation(scene: Scene, about: KubeObject, found: list[tuple[Step, Series]]) -> Observation:
    words = [
        f"{cut(series.query, 160)} rose from {step.before:.4g} to {step.after:.4g} at {clock(moment_of(step.since))}"
        for step, series in found
    ]
    onsets = [m for step, _ in found if (m := moment_of(step.since))]
    return Observation(
        about=about,
        reason="LevelLeft",
        text=f"What is measured of {name_of(about)} left its level and stays: {'; '.join(words)}",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.symptom,
        certainty=0.3,
        facts=tuple(evidence.metric(series, about) for _, series in found),
        basis=("recorded metrics of the alerting object", f"{AGAINST}no object, event or log says why"),
        onset=min(onsets, default=None),
        remediation=remedies.look(about, f"Look at what {name_of(about)} does since then."),
        latent=True,
    )
