"""Recorded shares of failed requests, jobs or messages among all.

Decides which queries are one; which share is too much for whom is an objective nobody wrote down here.

Rests on: https://sre.google/workbook/implementing-slos/ (bad events over all events),
https://prometheus.io/docs/practices/naming/#labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.context_api.domain.metrics import Series
from services.context_api.domain.ordinary import comes_again
from services.context_api.domain.trend import stepped
from services.context_api.domain.windows import window_of

FAILED = 0.05
"""Share of failed requests that breaks any objective people set. A guess; most are 99 % and more."""

_ERRORS = re.compile(
    r"=~?\"5(?:\.\.|\.\*|xx|\\\\d)|code=\"5|error_?ratio|errors?:ratio|"
    r"\b(?:outcome|result|status|state)=~?\"(?:fail|failed|failure|failures|error|errors)\"",
    re.IGNORECASE,
)

HANDFUL = 20
"""Requests of which one or two that fail are no share that breaks an objective: nobody promises 99 % of ten."""

_COUNTED = re.compile(r"\bincrease\(\s*([A-Za-z_:][\w:]*)\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')

RISEN, LEAST = 10.0, 0.01
"""Times as many failures as before from which a smaller share is too much as well, and the share from which that counts:
a hundred failing where one did is trouble for whoever promises 99.9 %."""


def fails(series: Series) -> bool:
    """Whether too many fail now: by any objective, or ten times as many as before and still.

    A few more than usual are none where it was so at this time of each day or week before; what breaks any objective breaks
    it each day.
    """
    if not is_failed_share(series) or series.has_ended or not 0 <= series.last <= 1:
        return False
    points = series.points
    step = stepped(points, RISEN)
    more = step is not None and step.after >= LEAST and not comes_again(points, points[-1][0], step.after)
    return series.last >= FAILED or (more and series.last >= LEAST)


def few(every: Iterable[Series], share: Series) -> bool:
    """Whether the share is one of a handful: as many were counted over the same time by a series of the same object."""
    counted = [one for one in every if _counts_all(one, share)]
    return bool(counted) and sum(one.last for one in counted) < HANDFUL


def _counts_all(one: Series, share: Series) -> bool:
    """An `increase()` of what the share is a share of, whole or apart by labels that the share does not have.

    One that is asked of a part alone (`method="PUT"`) counts too few.
    """
    divisor = share.query.rpartition("/")[2]
    metric, told = _COUNTED.search(divisor), _COUNTED.search(one.query)
    if metric is None or told is None or metric[1] != told[1] or window_of(one) != window_of(share):
        return False
    known = {*_MATCHER.findall(metric[2] or ""), *((key, "=", value) for key, value in share.labels.items())}
    return (
        known.issuperset(_MATCHER.findall(told[2] or ""))
        and "/" not in one.query
        and not _ERRORS.search(one.query)
        and all(one.labels.get(key) == value for key, value in share.labels.items() if key != "__name__")
    )


def is_failed_share(series: Series) -> bool:
    """Whether it is a share of what failed among all."""
    said = f"{series.name} {series.query}"
    return _ERRORS.search(said) is not None and ("/" in series.query or "ratio" in said)
