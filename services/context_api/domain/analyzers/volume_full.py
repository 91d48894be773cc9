"""Volumes without room: programs that cannot write, and volumes whose metrics say that they are or will be full.

Sees "no space left" in the logs of failing workloads beside the claims they mount, and kubelet volume metrics
(bytes or inodes; used, available, capacity, or ratios of them), with the time a volume fills by the line fitted to them.
A volume that is emptied again and again before it is full gets no forecast (`trend`). No fault is one that is only read,
nor one that was as full a day before the alert and has room left: it keeps its own measure, as caches and archives do.
Cannot see who writes, nor a volume whose driver reports no statistics.

Rests on: https://kubernetes.io/docs/reference/instrumentation/metrics/ (kubelet_volume_stats_*),
https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims,
https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/alerts/storage_alerts.libsonnet (leaves out read-only claims).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta

from libs.contracts.causes import FindingSeverity, Remediation
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import is_ready
from services.context_api.domain.evidence import Fact
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import at, strings, text
from services.context_api.domain.logs import cut, last_lines, time_of
from services.context_api.domain.metrics import moment_of
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.references import Reference, references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import forecast, was_reached
from services.context_api.domain.uses import users_of_claim
from services.context_api.domain.volumes import FULL, measured
from services.context_api.domain.wording import clock, name_of, span

NAME = "volume_full"
_NO_SPACE = re.compile(
    r"no space left on device|ENOSPC|disk full|disk quota exceeded|insufficient disk space", re.IGNORECASE
)
BRIM = 0.99
"""From here on there is no room left, however long that has been so."""

LATELY = timedelta(minutes=15)
"""As errors in logs are counted: what was written before may be over."""

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
            # Of a pod that is ready a line counts that says when it was written, and that was lately.
            lines = (x for x in reversed(last_lines(log.text)) if _NO_SPACE.search(x))
            line = next((x for x in lines if not is_ready(pod) or _lately(scene, x)), "")
            claim = _mounted(scene, pod, claims, line) if line else None
            if claim is not None:
                shown = redact(cut(line))
                yield (
                    claim,
                    evidence.log_line(pod, log.container, shown, 1),
                    f"{name_of(top)} cannot write to it: `{cut(shown, 240)}`",
                )


def _lately(scene: Scene, line: str) -> bool:
    moment = time_of(line)
    return moment is not None and timedelta(0) <= scene.now - moment <= LATELY


def _mounted(scene: Scene, pod: KubeObject, claims: list[Reference], line: str) -> KubeObject | None:
    """The claim whose mount path the line names; the only one when it names none."""
    named = [c for c in claims if any(path and path in line for path in c.paths)]
    chosen = named or (claims if len(claims) == 1 else [])
    return scene.graph.get("PersistentVolumeClaim", pod.namespace, chosen[0].name) if chosen else None


def _by_metrics(scene: Scene, told: set[int]) -> Iterator[Observation]:
    for claim, series, shares in measured(scene):
        if id(claim) in told:
            continue
        used, coming = shares[-1][1], forecast(shares, 1.0)
        inodes = "inodes" in f"{series.name} {series.query}"
        full = "has no inodes left for new files" if inodes else "is full"
        of = " of its inodes used" if inodes else " full"
        state = judged(scene, claim, shares)
        if state == "VolumeFull":
            told.add(id(claim))
            words = f"{_sized(claim)} is {used:.0%}{of}"
            yield _observation(
                scene, claim, "VolumeFull", words, 0.85, [evidence.metric(series, claim)], None
            )
        elif state and coming is not None:
            told.add(id(claim))
            words = (
                f"{_sized(claim)} is {used:.0%}{of} and rises by {coming.slope * 3600:.1%} an hour: "
                f"it {full} in {span(coming.left)}, at {clock(moment_of(coming.at))}"
            )
            yield _observation(
                scene, claim, "VolumeFilling", words, 0.7, [evidence.metric(series, claim)], None
            )


def judged(scene: Scene, claim: KubeObject, shares: Sequence[tuple[float, float]]) -> str:
    """`VolumeFull`, `VolumeFilling` or nothing, by the share used over time."""
    used, coming = shares[-1][1], forecast(shares, 1.0)
    if strings(claim.spec.get("accessModes")) == ["ReadOnlyMany"]:
        return ""
    if used >= FULL:
        moment = (scene.onset or scene.now).timestamp()
        return "" if used < BRIM and was_reached(shares, moment, 1.0) else "VolumeFull"
    return "VolumeFilling" if coming is not None and coming.left <= SOON and used > 0.5 else ""


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
    users = (
        [top]
        if top is not None
        else users_of_claim(scene.graph, claim.namespace, claim.name)
        if reason == "VolumeFull"
        else []
    )
    strength, deepest = (0.93, Depth.mechanism) if top is not None else (0.8, Depth.process)
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
            undo="None for a larger volume: only a new, smaller one that the data is copied to.",
        ),
        explains=tuple(Explains(u, strength, "it cannot write to its volume", deepest) for u in users),
    )
