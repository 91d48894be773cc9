"""Recorded Prometheus answers of a test: values one step apart, the last at the snapshot's time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from libs.contracts.causes import CausesAnswer
from libs.contracts.target import Target
from services.context_api.domain.metrics import Series, read
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import ContainerLog, MetricAnswer
from services.context_api.domain.triage import find_causes
from tests.support.kube import NOW, snapshot

MINUTE = 60.0


def recorded(query: str, values: Sequence[float], step: float = MINUTE, /, **labels: str) -> MetricAnswer:
    """One series of a range query."""
    start = NOW.timestamp() - step * (len(values) - 1)
    samples = [[start + step * n, str(value)] for n, value in enumerate(values)]
    return MetricAnswer(
        query, "range", NOW, {"resultType": "matrix", "result": [{"metric": labels, "values": samples}]}
    )


def series(query: str, values: Sequence[float], step: float = MINUTE, /, **labels: str) -> Series:
    """The same, read."""
    (one,) = read(recorded(query, values, step, **labels))
    return one


def scene(*objects: Any, metrics: Sequence[MetricAnswer], onset: datetime | None = None) -> Scene:
    return Scene(replace(snapshot(*objects), metrics=list(metrics)), onset=onset)


def answered(
    target: str,
    *objects: Any,
    metrics: Sequence[MetricAnswer],
    logs: Sequence[ContainerLog] = (),
    onset: datetime | None = None,
) -> CausesAnswer:
    """The triage's answer about a target written as KIND/NAMESPACE/NAME, with these metrics recorded."""
    whole = replace(snapshot(*objects, logs=logs), metrics=list(metrics))
    return find_causes(whole, target=Target.parse(target), onset=onset)
