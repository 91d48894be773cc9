"""Over how long a time a recorded value looks back, and which values speak of now.

Decides which series speak of now. A quantile or a share over an hour goes on firing for an hour after the trouble: of one
question that was asked over several windows only the shortest speaks of now.

Rests on: https://prometheus.io/docs/prometheus/latest/querying/basics/#range-vector-selectors,
https://sre.google/workbook/alerting-on-slos/ ("multiwindow, multi-burn-rate": the short window tells whether it goes on).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

from services.context_api.domain.kube import text
from services.context_api.domain.metrics import Series

_WINDOW = re.compile(r"\[(?P<range>(?:\d+[smhdw])+)\]|(?<=[a-z_])(?P<named>\d+[smhd])(?![\w])")
"""`[1h]` of a range, and the end of a recording rule's name: `ratio_rate1h`."""

_MATCHER = re.compile(r"(?<=[{,])\s*(?P<key>[A-Za-z_]\w*)=\"(?P<value>[^\"]*)\",?")
"""`service="gate",` of a selector."""

_PART = re.compile(r"(\d+)([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def window_of(series: Series) -> timedelta:
    """The longest time that its query looks back; zero where it says none."""
    said = f"{series.query} {series.name} {text(series.labels.get('window'))}"
    found = [_length(m["range"] or m["named"]) for m in _WINDOW.finditer(said)]
    return max(found, default=timedelta(0))


def _length(words: str) -> timedelta:
    # Beyond a year nobody looks back, and no calendar holds every number that fits in a text.
    return timedelta(seconds=min(sum(int(n[:9]) * _UNITS[u] for n, u in _PART.findall(words)), 366 * 86_400))


def of_now(series: Iterable[Series]) -> list[Series]:
    """All but those that ask over a longer time what another asks of the same over a shorter one."""
    every = list(series)
    shortest: dict[tuple[str, frozenset[tuple[str, str]]], timedelta] = {}
    for one in every:
        key, length = _question(one), window_of(one)
        shortest[key] = min(shortest.get(key, length), length)
    return [one for one in every if window_of(one) <= shortest[_question(one)]]


def _question(series: Series) -> tuple[str, frozenset[tuple[str, str]]]:
    """What is asked of what, whatever the window; a matcher that says no more than the series' own label says nothing."""
    labels = {k: v for k, v in series.labels.items() if k not in ("__name__", "window")}
    asked = f"{series.query} {series.name}"
    if labels:
        asked = _MATCHER.sub(lambda m: "" if labels.get(m["key"]) == m["value"] else m[0], asked)
    return _WINDOW.sub("[]", asked).replace(",}", "}").replace("{}", ""), frozenset(labels.items())
