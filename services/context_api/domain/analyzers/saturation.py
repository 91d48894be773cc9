"""Resources at their limit though every object looks well: throttled processors, memory, pools of connections.

Sees recorded metrics of the workloads an alert leads to, and of those that measured symptoms blame: throttled periods (as a ratio, or the two counters), usage
against the container's own limit, memory that rises steadily towards it with the time it gets there, and pairs of
metrics that differ only by "active" and "max" (or that a database's exporter names so).
Latent: being busy is no fault until an alert is about it. No fault is memory that reached as much a day before the alert
without having been killed for it, a pool that has held its level since then while nobody waits, nor one of which connections
lie idle: a pool of a fixed size is always full.
Cannot see what nobody queried, which load was expected, nor who holds a pool's connections.

Rests on: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/,
https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md (container_cpu_cfs_*, working set),
https://runbooks.prometheus-operator.dev/runbooks/kubernetes/cputhrottlinghigh/,
https://github.com/brettwooldridge/HikariCP#frequently-used (minimumIdle is the maximum unless it is set),
https://sre.google/sre-book/monitoring-distributed-systems/ (saturation).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import Container, containers_of
from services.context_api.domain.endings import out_of_memory
from services.context_api.domain.focus import alerted
from services.context_api.domain.kube import at, listing, quantity, text
from services.context_api.domain.latency import times
from services.context_api.domain.metric_questions import KNOWN_POOLS
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import COMPARED, forecast, increase, is_held, stepped, was_reached
from services.context_api.domain.wording import clock, name_of, size, span

NAME = "saturation"
THROTTLED = 0.25
"""Share of periods throttled from which latency suffers; Kubernetes' own alert (CPUThrottlingHigh) fires there."""

FULL = 0.95
SOON = 6 * 3600.0
"""Seconds. Memory that reaches its limit within six hours at its present rate is worth saying."""

NEARLY, LATER = 0.9, 3 * 24 * 3600.0
"""From this share of the limit on, days are looked ahead: a slow leak leaves little room at the end of its way."""

LONG = 6 * 3600.0
"""Seconds of one level from which it is how a program works, not what happened to it."""

RISEN = 1.3
"""Times as much as before from which throttling has become more."""

RELEASED = 0.1
"""A rise that began within this part of its length of a rollout began with it."""

HALF = 0.5
"""Share of the limit below which a rise is a start-up, not a leak."""

_IDLE = ("idle", "free", "available")
_WAITING = ("pending", "waiting", "queued")
"""How pools name what nobody uses, and who waits for one."""

_USED = re.compile(r"_(?:active|used|in_use|current|busy|open)(?=_|$)")
_THROTTLED = "container_cpu_cfs_throttled_periods_total"
_PERIODS = "container_cpu_cfs_periods_total"
_CERTAIN = re.compile(r"_(?:max|limit|capacity)(?=_|$)")
_THINGS = re.compile(r"connections?|pool|clients?|sessions?|threads?|workers?|slots?|queue")
_MOST = re.compile(r"_(?:max|limit|capacity|total|size)(?=_|$)")


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload and resource that is at its limit."""
    if scene.metrics.all:
        for top in alerted(scene):
            yield from _of_workload(scene, top)
        for top in _measured(scene) if scene.target is None else ():
            # Being busy is no fault where nobody complains; running out is one.
            yield from (o for o in _of_workload(scene, top) if o.reason in _RUNS_OUT)


_RUNS_OUT = frozenset({"PoolExhausted", "MemoryTrendingToLimit"})


def _measured(scene: Scene) -> list[KubeObject]:
    """Where nobody says what the question is about: every workload of whose pods anything was recorded."""
    pods = [p for p in scene.graph.pods if scene.metrics.of_pod(p.namespace, p.name)]
    return list({id(top): top for top in map(scene.graph.top, pods)}.values())


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """The same of the workloads that are measured to keep others waiting, or are called by those that wait."""
    known = {id(top) for top in alerted(scene)}
    for one in seen:
        for blame in one.blames if one.measured and one.latent else ():
            for top in scene.deps.behind(blame.on) if blame.on.kind == "Service" else [blame.on]:
                if id(top) not in known:
                    known.add(id(top))
                    yield from _of_workload(scene, top)


def _of_workload(scene: Scene, top: KubeObject) -> Iterator[Observation]:
    told: dict[str, tuple[str, Series]] = {}
    for pod in scene.graph.pods_of(top):
        for reason, words, series in _findings(scene, pod):
            if not _is_ordinary(scene, pod, reason, series):
                told.setdefault(reason, (words, series))
    if "CpuThrottled" in told and _as_ever(scene, top, told["CpuThrottled"][1]):
        del told["CpuThrottled"]
    if "CpuThrottled" in told:
        told.pop("CpuAtLimit", None)  # the same thing, and throttling is what is felt of it
    for reason, (words, series) in told.items():
        if reason == "PoolExhausted" and series.points[0][1] <= HALF * series.last:
            words += _since_release(scene, top, series, f"{series.points[0][1]:.6g}")
        yield _observation(scene, top, reason, words, series)


def _as_ever(scene: Scene, top: KubeObject, throttled: Series) -> bool:
    """Whether it was throttled no less long before the alert, and answers as fast as ever by the record: then nobody waits.

    A program that computes in bursts meets its limit in each of them, and may be done in time all the same.
    """
    points = throttled.points
    if len(points) < COMPARED or points[-1][0] - points[0][0] < LONG:
        return False
    if min(v for _, v in points) < THROTTLED or stepped(points, RISEN) is not None:
        return False
    own = [
        one
        for one in times(scene.graph, scene.metrics)
        if one.about is top or (one.about.kind == "Service" and top in scene.graph.behind(one.about))
    ]
    return bool(own) and not any(one.slow for one in own)


def _is_ordinary(scene: Scene, pod: KubeObject, reason: str, series: Series) -> bool:
    """Whether it was so a day before the alert already, and did no harm by the record: then it is how the program is set up."""
    moment = (scene.onset or scene.now).timestamp()
    if reason == "MemoryNearLimit":
        killed = any(out_of_memory(c) for c in containers_of(pod))
        return not killed and was_reached(series.points, moment)
    # Of a sum the largest part may be as ever while another one fills it.
    summed = any(series.name == used for used, _ in KNOWN_POOLS)
    if reason != "PoolExhausted" or summed or not is_held(series.points, moment):
        return False
    stem = _USED.sub("", series.name)
    waiting = [s for word in _WAITING for s in _sibling(scene, pod, series, f"{stem}_{word}")]
    return not any(s.last > 0 for s in waiting)


def _sibling(scene: Scene, pod: KubeObject, series: Series, name: str) -> list[Series]:
    """Series of that name, of the same pool of the same pod."""
    return [
        one
        for one in scene.metrics.of_pod(pod.namespace, pod.name)
        if one.name == name and _rest(one) == _rest(series)
    ]


def _findings(scene: Scene, pod: KubeObject) -> Iterator[tuple[str, str, Series]]:
    series = [s for s in scene.metrics.of_pod(pod.namespace, pod.name) if not s.has_ended]
    containers = {c.name: c for c in containers_of(pod)}
    for one in series:
        container = containers.get(one.labels.get("container", ""))
        if container is not None:
            yield from _of_container(container, one)
            yield from _rising(scene, container, one)
    yield from _throttled(series, containers)
    yield from _pools(series)
    yield from _known_pools(series)


def _of_container(container: Container, series: Series) -> Iterator[tuple[str, str, Series]]:
    said = f"{series.name} {series.query}"
    limits = {name: text(at(container.spec, "resources", "limits", name)) for name in ("cpu", "memory")}
    if "cfs_throttled" in said and "/" in series.query and THROTTLED <= series.last <= 1:
        yield (
            "CpuThrottled",
            f"{container} is throttled in {series.last:.0%} of its periods{_before(series)}; its cpu limit is {limits['cpu'] or 'unset'}",
            series,
        )
    elif "memory_working_set" in said or "memory_rss" in said or "memory_usage" in said:
        allowed = quantity(limits["memory"])
        if allowed and FULL <= series.last / allowed <= 1.2:
            yield (
                "MemoryNearLimit",
                f"{container} uses {size(series.last)} of its memory limit {limits['memory']}",
                series,
            )
    elif "cpu_usage_seconds" in said and "rate(" in series.query:
        allowed = quantity(limits["cpu"])
        if allowed and FULL <= series.last / allowed <= 1.5:
            yield "CpuAtLimit", f"{container} uses {series.last:.3g} of its cpu limit {limits['cpu']}", series


def _before(series: Series) -> str:
    """What share it was before, and since when it is what it is."""
    step = stepped(series.points, 2.0)
    return f" ({step.before:.0%} before {clock(moment_of(step.since))})" if step is not None else ""


def _rising(scene: Scene, container: Container, series: Series) -> Iterator[tuple[str, str, Series]]:
    """Memory on its way to the limit."""
    limit = text(at(container.spec, "resources", "limits", "memory"))
    allowed = quantity(limit)
    if not allowed or "memory_working_set" not in f"{series.name} {series.query}":
        return
    if "/" in series.query.partition(" and ")[0]:
        return  # a share, not bytes
    coming = forecast(series.points, allowed) if HALF * allowed <= series.last < FULL * allowed else None
    if coming is not None and coming.left <= (LATER if series.last >= NEARLY * allowed else SOON):
        yield (
            "MemoryTrendingToLimit",
            (
                f"{container} uses {size(series.last)} of its memory limit {limit} ({series.last / allowed:.0%}) and {size(coming.slope * 3600)} more every hour: "
                f"it reaches the limit in {span(coming.left)}, at {clock(moment_of(coming.at))}{_since_release(scene, container.pod, series, size(series.points[0][1]))}"
            ),
            series,
        )


def _since_release(scene: Scene, about: KubeObject, series: Series, began: str) -> str:
    """With which rollout the rise began, and what that changed. `began`: the first value, as it is told."""
    rollout = scene.rollouts.of(scene.graph.workload(about))
    first, last = series.points[0][0], series.points[-1][0]
    if rollout is None or abs(rollout.at.timestamp() - first) > RELEASED * (last - first):
        return ""
    changed = listing(rollout.told, 3)
    return f"; it has risen from {began} since the rollout of {clock(rollout.at)}" + (
        f" ({changed})" if changed else ""
    )


def _throttled(
    series: list[Series], containers: Mapping[str, Container]
) -> Iterator[tuple[str, str, Series]]:
    """The two counters as they are scraped: what share of the periods between first and last sample was throttled."""
    counters: dict[tuple[str, str], Series] = {}
    for one in series:
        for name in (_THROTTLED, _PERIODS):
            if name == one.name or (name == one.query.partition("{")[0] and "/" not in one.query):
                counters[name, one.labels.get("container", "")] = one
    for (name, called), one in counters.items():
        periods = counters.get((_PERIODS, called))
        if name != _THROTTLED or called not in containers or periods is None:
            continue
        passed = increase(periods.points)
        share = increase(one.points) / passed if passed else 0.0
        if THROTTLED <= share <= 1:
            limit = text(at(containers[called].spec, "resources", "limits", "cpu"))
            words = f"{containers[called]} was throttled in {share:.0%} of its periods; its cpu limit is {limit or 'unset'}"
            yield "CpuThrottled", words, one


def _known_pools(series: list[Series]) -> Iterator[tuple[str, str, Series]]:
    """Connections of a database, summed, at the maximum its exporter reports."""
    for used, most in KNOWN_POOLS:
        limit = next((s for s in series if s.name == most and s.last > 0), None)
        parts = [s for s in series if s.name == used]
        total = sum(s.last for s in parts)
        if limit is not None and parts and FULL * limit.last <= total <= 1.1 * limit.last:
            largest = max(parts, key=lambda s: s.last)
            whose = listing([f"{k}={v}" for k, v in sorted(_own(largest).items())], 4)
            told = f", most of them {whose}" if len(parts) > 1 and whose else ""
            yield "PoolExhausted", f"{used} is at {total:.6g} of {most} {limit.last:.6g}{told}", largest


def _own(series: Series) -> dict[str, str]:
    """Labels that tell one part of a sum from another."""
    return {
        k: v for k, v in series.labels.items() if k in ("datname", "usename", "state", "database", "user")
    }


def _pools(series: list[Series]) -> Iterator[tuple[str, str, Series]]:
    """`pool_connections_active` at `pool_connections_max`, with otherwise equal labels."""
    most: dict[tuple[str, frozenset[tuple[str, str]]], Series] = {}
    for one in series:
        if one.name and _MOST.search(one.name):
            most[_MOST.sub("", one.name), _rest(one)] = one
    idle = {(one.name, _rest(one)) for one in series if one.last > 0}
    for one in series:
        plain = not _USED.search(one.name)
        if plain and any((f"{one.name}_{word}", _rest(one)) in idle for word in _IDLE):
            continue
        limit = most.get((_USED.sub("", one.name), _rest(one)))
        if limit is not None and not _USED.search(one.name) and not _plain(one.name, limit.name):
            continue
        if limit is not None and limit.last > 0 and limit.last >= one.last >= FULL * limit.last:
            yield "PoolExhausted", f"{one.name} is at {one.last:.6g} of {limit.name} {limit.last:.6g}", one


def _plain(used: str, most: str) -> bool:
    """`db_connections` beside `db_max_connections`: no word for "used", so the limit's must leave no doubt."""
    return used != most and bool(_CERTAIN.search(most)) and bool(_THINGS.search(used))


def _rest(series: Series) -> frozenset[tuple[str, str]]:
    return frozenset((k, v) for k, v in series.labels.items() if k != "__name__")


def _observation(scene: Scene, top: KubeObject, reason: str, words: str, series: Series) -> Observation:
    return Observation(
        about=top,
        reason=reason,
        text=f"{name_of(top)}: {words} (recorded metric `{series.query[:160]}`)",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.7,
        facts=(evidence.metric(series, top),),
        basis=("a recorded metric against the limit it belongs to",),
        remediation=remedies.look(
            top, f"Find out what loads {name_of(top)}; raise the limit or add replicas."
        ),
        latent=True,
    )
