"""Trouble that is over: shares of failures, response times and backlogs that were too high and came back, what was down and
is up, failures that are counted no more, volumes that were full and have room, and spells of complaints in a log that has
held none since.

Decides which series are about an object, and when one of them was in trouble around the alert. A rule that looks back
half an hour still fires when what it measures is well again.
What is so each day or week at that hour (`ordinary`) is no trouble.
What names no object but a namespace counts for what lies in that namespace: an alert about text messages names the
program that sends them, the ratio only where it runs.

Rests on: https://prometheus.io/docs/prometheus/latest/querying/functions/#aggregation_over_time (max_over_time),
https://sre.google/workbook/alerting-on-slos/ (long windows reset slowly).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from services.context_api.domain.dependencies import trouble_in
from services.context_api.domain.failures import FAILED, RISEN, fails, is_failed_share
from services.context_api.domain.failures import LEAST as MANY
from services.context_api.domain.latency import LEAST, SLOWER, is_timed, seconds, slow, subject, unit_of
from services.context_api.domain.logs import readable, time_of, weigh
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.ordinary import comes_again
from services.context_api.domain.queues import backlogs, is_backlog
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import COMPARED, Points, past_spell
from services.context_api.domain.volumes import FULL, usages
from services.context_api.domain.windows import window_of

FEWEST = 100.0
"""Messages below which a backlog is a batch on its way, as `analyzers.consumer_lag` judges."""

HIGHER = 10.0
"""Times its usual level from which a backlog was one."""

LONG = timedelta(minutes=15)
"""A window from which on a value lags behind what people notice. A guess; rules that page look at five minutes beside an hour."""

QUIET = timedelta(minutes=5)
"""How long logs have to be without errors for those to have ended."""

FEWEST_LINES, LINES_READ, PODS = 5, 400, 3

_STATE = re.compile(r"(?:^|_)(?:up|success|connected|established|healthy|alive)$")
_FAILURES = re.compile(r"\b\w*(?:fail|error)\w*_total\b", re.IGNORECASE)
_RATES = re.compile(r"\b(?:i?rate|increase|i?delta)\s*\(|/")

MOST = 60
"""Workloads of a namespace whose logs are read for it, however many lie there."""

SPELL = timedelta(minutes=30)
"""Errors spread over longer than this are how a program speaks, and no spell."""

AFTER = timedelta(minutes=5)
"""How long after the alert trouble may have begun: evaluation and clocks are coarse."""


@dataclass(frozen=True, slots=True)
class Passed:
    """One series that was in trouble and is no more."""

    series: Series
    began: datetime
    ended: datetime
    words: str
    """`a share of failed requests of 100.0%`."""


def passed(scene: Scene, about: KubeObject | None, since: datetime) -> Iterator[Passed]:
    """Trouble of this object that ended after `since`, and began before the alert or just after it."""
    if about is None or not scene.metrics.all:
        return
    until = (scene.onset or scene.now) + AFTER
    for series, points, limit, unit in _measured(scene):
        spell = past_spell(points, limit) if limit else None
        if spell is None or not _is_about(scene, series, about):
            continue
        if comes_again(points, spell.began, spell.most):
            continue
        began, ended = moment_of(spell.began), moment_of(spell.ended)
        if began is not None and ended is not None and ended >= since and began <= until:
            yield Passed(series, began, ended, _words(unit, spell.most))


def is_over(scene: Scene, about: KubeObject | None, since: datetime) -> bool:
    """Whether what was measured of the object was in trouble and is well, and nothing that is measured of it is worse now."""
    if about is None or not any(passed(scene, about, since)):
        return False
    return not any(
        (fails(series) or (is_timed(series) and slow(series) is not None))
        and window_of(series) < LONG
        and _is_about(scene, series, about)
        for series in scene.metrics.all
    )


def _measured(scene: Scene) -> Iterator[tuple[Series, Points, float, str]]:
    """What measures trouble: the series, its samples, from which value on it is trouble, and in what."""
    for series in scene.metrics.all:
        if is_failed_share(series):
            yield series, series.points, _too_many(series.points), "share"
        elif is_timed(series) and len(series.points) >= COMPARED:
            unit = unit_of(series)
            usual = _usual(series.points)
            yield (
                series,
                [(t, v * unit) for t, v in series.points],
                max(SLOWER * usual * unit, LEAST),
                "seconds",
            )
        elif is_of_up_or_down(series):
            yield series, [(t, 1 - v) for t, v in series.points], 1.0, "down"
        elif counts_failures(series):
            yield series, grown(series.points), _least(series.points), "failures"
    for _, series, shares in usages(scene):
        yield series, shares, FULL, "full"
    for backlog in backlogs(scene.metrics):
        if len(backlog.points) >= COMPARED and is_backlog(backlog.series):
            yield backlog.series, backlog.points, max(HIGHER * _usual(backlog.points), FEWEST), "messages"


def is_of_up_or_down(series: Series) -> bool:
    """Whether it says of something that it is up or down, and that it is up as a rule."""
    # Asked of every recorded series: the name first, and the values of those alone that it lets through.
    if len(series.points) < COMPARED or _STATE.search(series.name) is None:
        return False
    return all(v in (0.0, 1.0) for _, v in series.points) and _usual(series.points) == 1


def counts_failures(series: Series) -> bool:
    """Whether it counts failures, as they are and not by the second, and counted none in the first third of what was recorded."""
    points = series.points
    # Where the answer has a name, that is what was counted, whatever else the query looks at.
    said = series.name or series.query
    return (
        len(points) >= COMPARED
        and "_total" in said
        and _FAILURES.search(said) is not None
        and _RATES.search(series.query) is None
        and points[0][1] == points[len(points) // 3][1] < series.last
        and all(before <= after for (_, before), (_, after) in pairwise(points))
    )


def grown(points: Points) -> list[tuple[float, float]]:
    """How much a counter has grown from one sample to the next."""
    return [(t, after - before) for (_, before), (t, after) in pairwise(points)]


def _least(points: Points) -> float:
    return min(more for _, more in grown(points) if more > 0)


def _too_many(points: Points) -> float:
    """From which share on failures were trouble: as many as break any objective, or many times the usual few."""
    usual = _usual(points) if len(points) >= COMPARED else FAILED
    return min(FAILED, max(RISEN * usual, MANY))


def outlasted(scene: Scene, series: Series, about: KubeObject) -> bool:
    """Whether a series that looks back far still tells of errors that have ended: the logs of whoever answers have none
    since, and say that work goes on."""
    began = moment_of(series.points[0][0])
    if window_of(series) < LONG or began is None:
        return False
    tops = scene.graph.behind(about) if about.kind == "Service" else [scene.graph.top(about)]
    return _quiet_again(scene, [pod for top in tops for pod in scene.graph.pods_of(top)[:PODS]], began)


def lagging(scene: Scene, about: KubeObject) -> Iterator[Series]:
    """Series about the object that look back far and are still too high."""
    for series in scene.metrics.all:
        high = fails(series) or (is_timed(series) and slow(series) is not None)
        if high and window_of(series) >= LONG and _is_about(scene, series, about):
            yield series


def _quiet_again(scene: Scene, pods: Iterable[KubeObject], began: datetime) -> bool:
    erred, well = False, 0
    for pod in pods:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            for line in log.text.splitlines()[-LINES_READ:]:
                moment = time_of(line)
                if moment is None or not began <= moment <= scene.now:
                    continue
                bad = weigh(readable(line)) > 0
                if bad and scene.now - moment <= QUIET:
                    return False
                erred = erred or bad
                well += not bad and scene.now - moment <= 2 * QUIET
    return erred and well >= FEWEST_LINES


@dataclass(frozen=True, slots=True)
class Hushed:
    """Complaints that a log was full of for a while, and is no more."""

    top: KubeObject
    began: datetime
    ended: datetime
    count: int


def hushed(scene: Scene, about: KubeObject, since: datetime) -> Hushed | None:
    """One spell of complaints in the log of whoever answers for it: none before, none for ten minutes, and work goes on."""
    graph = scene.graph
    tops = [graph.top(about)]
    if about.kind == "Service":
        tops = graph.behind(about)
    elif about.kind == "Namespace":
        tops = list({id(t): t for t in map(graph.top, graph.workloads_in(about.name))}.values())
    return next((spell for top in tops[:MOST] if (spell := _spell_of(scene, top, since)) is not None), None)


def _spell_of(scene: Scene, top: KubeObject, since: datetime) -> Hushed | None:
    bad: list[datetime] = []
    well: list[datetime] = []
    for pod in scene.graph.pods_of(top)[:PODS]:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            for line in log.text.splitlines()[-LINES_READ:]:
                moment, said = time_of(line), readable(line)
                if moment is not None and moment <= scene.now:
                    (bad if weigh(said) or trouble_in(said) else well).append(moment)
    if len(bad) < FEWEST_LINES or min(bad) < since or max(bad) > scene.now - 2 * QUIET:
        return None
    goes_on = any(moment > max(bad) for moment in well)
    return Hushed(top, min(bad), max(bad), len(bad)) if goes_on and max(bad) - min(bad) <= SPELL else None


def _usual(points: Points) -> float:
    """The level before: the median of the first third."""
    return median(v for _, v in points[: len(points) // 3])


def _words(unit: str, most: float) -> str:
    match unit:
        case "share":
            return f"{most:.1%} of all failed"
        case "seconds":
            return f"{seconds(most)} were taken"
        case "down":
            return "it was down"
        case "failures":
            return f"{most:.0f} failures from one sample to the next"
        case "full":
            return f"{most:.1%} of its room was used"
        case _:
            return f"{most:.0f} messages waited"


def _is_about(scene: Scene, series: Series, about: KubeObject) -> bool:
    graph = scene.graph
    top = graph.top(about)
    found = subject(graph, series)
    if found is not None:
        own = [about, top, *graph.pods_of(top), *(graph.behind(about) if about.kind == "Service" else [])]
        behind = graph.behind(found) if found.kind == "Service" else _led_to(scene, found)
        return any(o is one for o in (found, *behind) for one in own)
    namespace = series.labels.get("exported_namespace") or series.labels.get("namespace", "")
    place = about.name if about.kind == "Namespace" else about.namespace
    return bool(namespace) and namespace == place


def _led_to(scene: Scene, route: KubeObject) -> list[KubeObject]:
    """The workloads that a route's requests end at."""
    services = [e.to for e in scene.needs.of(route) if e.relation == "backend"]
    return [top for service in services for top in scene.graph.behind(service)]
