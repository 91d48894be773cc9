"""Programs that complain of old data, and who should have renewed it.

Sees, in the logs of the alert's workloads, lines that call data stale, too old or not refreshed, and which store their
settings name (a Service, a claim). Whoever else names that store and does not work (a cron job whose runs fail or
do not start, a suspended one, a feed that is down) is why the data is old. What is wrong there was seen by others; this
ties it to those who wait for the result. A line that its writer calls news (INFO, DEBUG) and that says no more than that
nothing new came, or when the last came, is how a reader speaks who asks again and again.
Cannot know who writes and who reads; a program that says its data is old is taken for a reader.

Rests on: https://sre.google/workbook/data-processing/ (freshness),
https://prometheus.io/docs/practices/instrumentation/#offline-processing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.dependencies import PODS_READ
from services.context_api.domain.focus import listened
from services.context_api.domain.logs import cut, is_narrative, last_lines, quote, time_of
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.uses import CLAIM, used_by
from services.context_api.domain.wording import name_of

NAME = "stale_data"
FEWEST = 3
"""Lines that say so: one may be about a single late record."""

SHARED = 0.75
"""How surely one that does not work is why: it names the same store, and nobody knows what it writes there."""

_STALE = re.compile(
    r"\bstale\b|\bolder than\b|\bout[- ]of[- ]date\b|\boutdated\b|\btoo old\b|"
    r"\b(?:not|never|n't) (?:been )?(?:updated|refreshed|renewed|imported)\b",
    re.IGNORECASE,
)
_AS_NEWS = re.compile(
    r"\W*(?:[\w.,:/-]+\W+){0,3}?(?:level=|lvl=)?\W?(?:INFO|NOTICE|DEBUG|TRACE)\b", re.IGNORECASE
)
_IDLE_WORDS = re.compile(
    r"\bno (?:new|fresh|recent) (?:data|rows|records|entries|values|events)\b|"
    r"\b(?:last|latest) (?:update|refresh|import|sync|load)\w*\b.{0,40}\bago\b",
    re.IGNORECASE,
)
_IDLE = frozenset({"Suspended", "ScaledToZero"})


@dataclass(frozen=True, slots=True)
class _Complaint:
    pod: KubeObject
    container: str
    line: str
    count: int
    first: datetime | None


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """What is wrong with writers of old data again, tied to their readers; and one latent observation per reader."""
    idle = [o for o in seen if (not o.latent or o.reason in _IDLE) and scene.graph.workloads_of(o.about)]
    for reader in listened(scene, seen) if idle else ():
        complaint = _complaint(scene, reader)
        stores = _stores(scene, reader) if complaint is not None else {}
        guilty = [
            (o, next(iter(shared)))
            for o in idle
            if o.about is not reader and (shared := sorted(stores.keys() & _stores(scene, o.about).keys()))
        ]
        if complaint is None or not guilty:
            continue
        yield _symptom(reader, complaint)
        for one, store in guilty:
            why = f"{name_of(reader)} says that its data is old, and both use {name_of(stores[store])}"
            yield replace(one, explains=(*one.explains, Explains(reader, SHARED, why)))


def _complaint(scene: Scene, top: KubeObject) -> _Complaint | None:
    """The first kind of line that calls data old, where there are enough of them."""
    found: list[tuple[KubeObject, str, str]] = []
    for pod in scene.graph.pods_of(top)[:PODS_READ]:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            lines = last_lines(log.text) if not log.previous else []
            found += [(pod, log.container, x) for x in lines if _calls_old(x) and not is_narrative(x)]
    if len(found) < FEWEST:
        return None
    pod, container, line = found[0]
    times = [moment for _, _, x in found if (moment := time_of(x)) is not None]
    return _Complaint(pod, container, redact(cut(line)), len(found), min(times, default=None))


def _calls_old(line: str) -> bool:
    return _STALE.search(line) is not None or (
        _IDLE_WORDS.search(line) is not None and _AS_NEWS.match(line) is None
    )


def _stores(scene: Scene, top: KubeObject) -> dict[tuple[str, str, str], KubeObject]:
    """Services that its settings name and claims that it mounts."""
    found = [m.found for m in scene.deps.configured(top) if m.found is not None]
    for workload in scene.graph.workloads_of(top):
        found += [claim for _, claim in used_by(scene.graph, workload, CLAIM)]
    return {(f.kind, f.namespace or "", f.name): f for f in found}


def _symptom(reader: KubeObject, complaint: _Complaint) -> Observation:
    return Observation(
        about=reader,
        reason="ReadsStaleData",
        text=f"{name_of(reader)} runs, but its log says that its data is old: `{quote(complaint.line)}` (×{complaint.count})",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.45,
        facts=(
            evidence.log_line(complaint.pod, complaint.container, complaint.line, complaint.count),
        ),
        basis=("lines of its log that call data old",),
        onset=complaint.first,
        remediation=remedies.look(reader, f"Look at who renews the data that {name_of(reader)} reads."),
        latent=True,
    )  # fmt: skip
