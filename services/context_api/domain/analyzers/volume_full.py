"""Volumes without room: programs that cannot write, and volumes whose metrics say that they are or will be full.

Sees "no space left" in the logs of failing workloads beside the claims they mount, and kubelet volume metrics
(used, available, capacity, or ratios of them), with the time a volume fills at its present rate.
Cannot see inodes unless a query asks for them, nor who writes.

Rests on: kubernetes.io/docs, "Volume Health Monitoring", "Expanding Persistent Volumes Claims"; kubelet metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity, Remediation
from services.context_api.domain import evidence, remedies
from services.context_api.domain.evidence import Fact
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import at, quantity, text
from services.context_api.domain.logs import cut, last_lines
from services.context_api.domain.metrics import Series
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.references import Reference, references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of, span

NAME = "volume_full"
_NO_SPACE = re.compile(
    r"no space left on device|ENOSPC|disk full|disk quota exceeded|insufficient disk space", re.IGNORECASE
)
FULL = 0.95
SOON = 24 * 3600.0
"""A volume that fills within a day at its present rate is worth saying."""


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per claim that is full, by a log or by metrics."""
    told: set[int] = set()
    for top in concerned(scene, seen):
        for claim, fact, words in _complaints(scene, top):
            if id(claim) not in told:
                told.add(id(claim))
                yield _observation(
                    scene,
                    claim,
                    "VolumeFull",
                    f"{_sized(claim)} is full: {words}",
                    0.88,
                    [fact, *_metrics(scene, claim)],
                    top,
                )
    yield from _by_metrics(scene, told)


def _complaints(scene: Scene, top: KubeObject) -> Iterator[tuple[KubeObject, Fact, str]]:
    for pod in scene.graph.pods_of(top)[:6]:
        claims = [r for r in references(pod.spec) if r.kind == "PersistentVolumeClaim"]
        for log in scene.snapshot.logs_of(pod.namespace, pod.name) if claims else ():
            line = next((x for x in reversed(last_lines(log.text)) if _NO_SPACE.search(x)), "")
            claim = _mounted(scene, pod, claims, line) if line else None
            if claim is not None:
                shown = redact(cut(line))
                yield (
                    claim,
                    evidence.log_line(pod, log.container, shown, 1),
                    f"{name_of(top)} cannot write to it: `{cut(shown, 240)}`",
                )


def _mounted(scene: Scene, pod: KubeObject, claims: list[Reference], line: str) -> KubeObject | None:
    """The claim whose mount path the line names; the only one when it names none."""
    named = [c for c in claims if any(path and path in line for path in c.paths)]
    chosen = named or (claims if len(claims) == 1 else [])
    return scene.graph.get("PersistentVolumeClaim", pod.namespace, chosen[0].name) if chosen else None


def _by_metrics(scene: Scene, told: set[int]) -> Iterator[Observation]:
    for series in scene.metrics.all:
        name = series.labels.get("persistentvolumeclaim", "")
        claim = (
            scene.graph.get("PersistentVolumeClaim", series.labels.get("namespace"), name) if name else None
        )
        shares = _shares(series, claim) if claim is not None else []
        if claim is None or not shares or id(claim) in told:
            continue
        used, rate = shares[-1][1], _rate(shares)
        left = (1.0 - used) / rate if rate > 0 else None
        if used >= FULL:
            told.add(id(claim))
            yield _observation(
                scene,
                claim,
                "VolumeFull",
                f"{_sized(claim)} is {used:.0%} full",
                0.85,
                [evidence.metric(series, claim)],
                None,
            )
        elif left is not None and left <= SOON and used > 0.5:
            told.add(id(claim))
            words = f"{_sized(claim)} is {used:.0%} full and will be full in {span(left)} at its present rate"
            yield _observation(
                scene, claim, "VolumeFilling", words, 0.7, [evidence.metric(series, claim)], None
            )


def _shares(series: Series, claim: KubeObject) -> list[tuple[float, float]]:
    """(time, share used) by what the query asks for; nothing when it asks for something else."""
    said = f"{series.name} {series.query}"
    if "kubelet_volume_stats" not in said or "inodes" in said:
        return []
    whole = quantity(at(claim.status, "capacity", "storage")) or quantity(
        at(claim.spec, "resources", "requests", "storage")
    )
    ratio = "/" in series.query and all(0 <= v <= 1 for _, v in series.points)
    free = "available" in said and "used" not in said
    if ratio:
        return [(t, 1 - v if free else v) for t, v in series.points]
    if not whole or "capacity" in said or "/" in series.query:
        return []
    return [(t, 1 - v / whole if free else v / whole) for t, v in series.points]


def _rate(shares: list[tuple[float, float]]) -> float:
    """Share per second between the first and the last sample."""
    (began, first), (ended, last) = shares[0], shares[-1]
    return (last - first) / (ended - began) if ended > began else 0.0


def _metrics(scene: Scene, claim: KubeObject) -> list[Fact]:
    return [
        evidence.metric(s, claim)
        for s in scene.metrics.all
        if s.labels.get("persistentvolumeclaim") == claim.name
        and s.labels.get("namespace") == claim.namespace
    ][:2]


def _sized(claim: KubeObject) -> str:
    size = text(at(claim.status, "capacity", "storage")) or text(
        at(claim.spec, "resources", "requests", "storage")
    )
    return f"{name_of(claim)}{f' ({size})' if size else ''}"


def _observation(
    scene: Scene,
    claim: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    facts: list[Fact],
    top: KubeObject | None,
) -> Observation:
    users = [top] if top is not None else []
    return Observation(
        about=claim,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical if reason == "VolumeFull" else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=tuple(facts),
        basis=("a program's error when writing" if top is not None else "the kubelet's volume metrics",),
        remediation=Remediation(
            text=f"Free room on {name_of(claim)}, or make it larger (its StorageClass must allow expansion).",
            command=remedies.kubectl(
                claim,
                "patch",
                remedies.resource(claim),
                "--type=merge",
                "-p",
                '{"spec":{"resources":{"requests":{"storage":"<larger>"}}}}',
            ),
            risk="A volume can grow and never shrink.",
        ),
        explains=tuple(Explains(u, 0.93, "it cannot write to its volume") for u in users),
    )
