"""What an answer under way is made of: told by who reads the evidence, read by who decides how long to keep the answer.

A context variable, as between the two lie routes and steps that have no business with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta


@dataclass(slots=True)
class Provenance:
    """All parts of one answer together."""

    age: timedelta = timedelta(0)
    """Of the oldest part, when it was looked at."""
    fixed: bool | None = None
    """Every part is of a kind that cannot change any more; None: nothing was told."""
    gaps: bool = False
    """Something could not be read, perhaps for long."""
    partial: bool = False
    """Something is missing that may be there in a moment."""

    def add(self, *, age: timedelta, fixed: bool, gaps: bool, partial: bool) -> None:
        self.age = max(self.age, age)
        self.fixed = fixed and self.fixed is not False
        self.gaps |= gaps
        self.partial |= partial


_current: ContextVar[Provenance | None] = ContextVar("provenance", default=None)


@contextmanager
def noted() -> Iterator[Provenance]:
    """Collect what `made_of` is told within, by this task."""
    provenance = Provenance()
    token = _current.set(provenance)
    try:
        yield provenance
    finally:
        _current.reset(token)


def made_of(
    *, age: timedelta = timedelta(0), fixed: bool = False, gaps: bool = False, partial: bool = False
) -> None:
    """Say what the answer under way is made of. Nobody may be listening."""
    provenance = _current.get()
    if provenance is not None:
        provenance.add(age=age, fixed=fixed, gaps=gaps, partial=partial)
