"""Recorded shares of failed requests, jobs or messages among all.

Decides which queries are one; which share is too much for whom is an objective nobody wrote down here.

Rests on: https://sre.google/workbook/implementing-slos/ (bad events over all events),
https://prometheus.io/docs/practices/naming/#labels.
"""

from __future__ import annotations

import re

from services.context_api.domain.metrics import Series

FAILED = 0.05
"""Share of failed requests that breaks any objective people set. A guess; most are 99 % and more."""

_ERRORS = re.compile(
    r"=~?\"5(?:\.\.|\.\*|xx|\\\\d)|code=\"5|error_?ratio|errors?:ratio|"
    r"\b(?:outcome|result|status|state)=~?\"(?:fail|failed|failure|failures|error|errors)\"",
    re.IGNORECASE,
)


def is_failed_share(series: Series) -> bool:
    """Whether it is a share of what failed among all."""
    said = f"{series.name} {series.query}"
    return _ERRORS.search(said) is not None and ("/" in series.query or "ratio" in said)
