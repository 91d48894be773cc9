"""Resources at their limit though every object looks well: throttled processors, memory, pools of connections.

Sees recorded metrics of the workloads an alert leads to: throttled periods, usage against the container's own limit,
and pairs of metrics that differ only by "active" and "max". Latent: being busy is no fault until an alert is about it.
Cannot see what nobody queried, nor which load was expected.

Rests on: kubernetes.io/docs, "Resource Management for Pods and Containers"; cAdvisor's metrics; Google SRE Book,
"Monitoring Distributed Systems" (saturation).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import Container, containers_of
from services.context_api.domain.focus import alerted
from services.context_api.domain.kube import at, quantity, text
from services.context_api.domain.metrics import Series
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of, size

NAME = "saturation"
THROTTLED = 0.25
"""Share of periods throttled from which latency suffers; Kubernetes' own alert (CPUThrottlingHigh) fires there."""

FULL = 0.95
_USED = re.compile(r"_(?:active|used|in_use|current|busy|open)(?=_|$)")
_MOST = re.compile(r"_(?:max|limit|capacity|total|size)(?=_|$)")


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload and resource that is at its limit."""
    if not scene.metrics.all:
        return
    for top in alerted(scene):
        told: set[str] = set()
        for pod in scene.graph.pods_of(top):
            for reason, words, series in _findings(scene, pod):
                if reason not in told:
                    told.add(reason)
                    yield _observation(scene, top, reason, words, series)


def _findings(scene: Scene, pod: KubeObject) -> Iterator[tuple[str, str, Series]]:
    series = scene.metrics.of_pod(pod.namespace, pod.name)
    containers = {c.name: c for c in containers_of(pod)}
    for one in series:
        container = containers.get(one.labels.get("container", ""))
        if container is not None:
            yield from _of_container(container, one)
    yield from _pools(series)


def _of_container(container: Container, series: Series) -> Iterator[tuple[str, str, Series]]:
    said = f"{series.name} {series.query}"
    limits = {name: text(at(container.spec, "resources", "limits", name)) for name in ("cpu", "memory")}
    if "cfs_throttled" in said and "/" in series.query and THROTTLED <= series.last <= 1:
        yield (
            "CpuThrottled",
            f"{container} is throttled in {series.last:.0%} of its periods; its cpu limit is {limits['cpu'] or 'unset'}",
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


def _pools(series: list[Series]) -> Iterator[tuple[str, str, Series]]:
    """`pool_connections_active` at `pool_connections_max`, with otherwise equal labels."""
    most: dict[tuple[str, frozenset[tuple[str, str]]], Series] = {}
    for one in series:
        if one.name and _MOST.search(one.name):
            most[_MOST.sub("", one.name), _rest(one)] = one
    for one in series:
        limit = most.get((_USED.sub("", one.name), _rest(one))) if _USED.search(one.name) else None
        if limit is not None and limit.last > 0 and limit.last >= one.last >= FULL * limit.last:
            yield "PoolExhausted", f"{one.name} is at {one.last:.6g} of {limit.name} {limit.last:.6g}", one


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
