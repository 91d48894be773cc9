"""Error budgets that burn: the service fails its callers, whatever its objects look like.

Sees recorded burn rates (any metric that calls itself one) and ratios of failed to all requests, for the workload or
Service their labels name. A symptom, and latent: it says that the alert is true and how fast the budget goes, not why.
A share of a handful of requests, where their number was recorded, says nothing. What breaks any objective is told though
it does so each day.
Cannot see the objective behind a plain ratio, nor which requests matter.

Rests on: https://sre.google/workbook/alerting-on-slos/ (burn rates 14.4 and 6),
https://sloth.dev/introduction/architecture/ and https://github.com/pyrra-dev/pyrra (recorded burn rates).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.failures import fails, few
from services.context_api.domain.metric_questions import SLOW
from services.context_api.domain.metrics import Series
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.past_trouble import outlasted
from services.context_api.domain.resolve import resolve_in
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.windows import of_now
from services.context_api.domain.wording import name_of, span

NAME = "error_budget"
FAST = 14.4
"""A burn rate that spends 2 % of a month's budget in an hour; `SLOW` spends 5 % in six: the workbook's two pages."""

MONTH = 30 * 24 * 3600.0
_BURN = re.compile(r"burn[-_]?rate", re.IGNORECASE)


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per object whose callers are failed."""
    told: set[int] = set()
    for series in of_now(scene.metrics.all):
        words = _burning(series)
        about = _object(scene, series) if words else None
        if about is not None and id(about) not in told and not outlasted(scene, series, about):
            if few(scene.metrics.all, series):
                continue
            told.add(id(about))
            yield _observation(scene, about, words, series)


def _burning(series: Series) -> str:
    said, value = f"{series.name} {series.query}", series.last
    if _BURN.search(said) and value >= SLOW:
        left = span(MONTH / value)
        speed = "fast" if value >= FAST else "slowly"
        return f"its error budget burns {speed}: at {value:.3g} times the rate that lasts a month, it is gone in {left}"
    if fails(series):
        return f"{value:.1%} of its requests fail"
    return ""


def _object(scene: Scene, series: Series) -> KubeObject | None:
    """The workload or Service the series is about."""
    found = resolve_in(scene.graph, series.labels, scene.snapshot.cluster)
    target = found.target
    obj = (
        scene.graph.find(target.kind, target.namespace, target.name)
        if target is not None and found.exists
        else None
    )
    return scene.graph.top(obj) if obj is not None and obj.kind not in ("Node", "Namespace") else None


def _observation(scene: Scene, about: KubeObject, words: str, series: Series) -> Observation:
    behind = scene.graph.behind(about) if about.kind == "Service" else []
    return Observation(
        about=about,
        reason="ErrorBudgetBurning",
        text=f"{name_of(about)}: {words} (recorded metric `{series.query[:160]}`)",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.symptom,
        certainty=0.4,
        facts=(evidence.metric(series, about),),
        basis=("a recorded metric of failed requests",),
        remediation=remedies.look(about, f"Look at what {name_of(about)} and those it calls log."),
        blames=tuple(Blame(t, 0.9, f"its pods stand behind Service {about.name}") for t in behind),
        latent=True,
    )
