"""Recorded shares of failed requests, jobs or messages among all.

Decides which queries are one; which share is too much for whom is an objective nobody wrote down here.

Rests on: https://sre.google/workbook/implementing-slos/ (bad events over all events),
https://prometheus.io/docs/practices/naming/#labels.
"""

from __future__ import annotations

import re

from services.context_api.domain.metrics import Series
from services.context_api.domain.trend import stepped

FAILED = 0.05
"""Share of failed requests that breaks any objective people set. A guess; most are 99 % and more."""

_ERRORS = re.compile(
    r"=~?\"5(?:\.\.|\.\*|xx|\\\\d)|code=\"5|error_?ratio|errors?:ratio|"
    r"\b(?:outcome|result|status|state)=~?\"(?:fail|failed|failure|failures|error|errors)\"",
    re.IGNORECASE,
)

RISEN, LEAST = 10.0, 0.01
"""Times as many failures as before from which a smaller share is too much as well, and the share from which that counts:
a hundred failing where one did is trouble for whoever promises 99.9 %."""


def fails(series: Series) -> bool:
    """Whether too many fail now: by any objective, or ten times as many as before and still."""
    if not is_failed_share(series) or not 0 <= series.last <= 1:
        return False
    step = stepped(series.points, RISEN)
    return series.last >= FAILED or (step is not None and step.after >= LEAST and series.last >= LEAST)


def is_failed_share(series: Series) -> bool:
    """Whether it is a share of what failed among all."""
    said = f"{series.name} {series.query}"
    return _ERRORS.search(said) is not None and ("/" in series.query or "ratio" in said)
