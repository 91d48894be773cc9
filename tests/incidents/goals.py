"""What the corpus shows that triage does not do yet: each is an expected failure, and one that succeeds has to be struck off.

The goals themselves stand in the tests; docs/benchmarks.md has the figures. Of the blind half only numbers are looked
at, never which incidents they are.
"""

from __future__ import annotations

import pytest

TUNED_WRONG: frozenset[str] = frozenset()
"""Incidents of the tuned half whose first cause, or whose words, are not yet those of a person."""

ELSEWHERE_WRONG: frozenset[str] = frozenset({"desk_behind_a_pooler"})
"""Those of which an alert about another failing workload of the story does not lead to its cause yet.

What was changed in front of a database is found from the program that uses it, and not from the database itself.
"""

GOALS_MISSED: frozenset[str] = frozenset({"two-faults"})
"""Of the goals over the whole corpus."""


RENAMED_WRONG: frozenset[str] = frozenset()
"""Incidents in which other names for everything lead to another first cause."""

SHUFFLED_WRONG: frozenset[str] = frozenset()
"""Incidents in which another order of the evidence changes something in the answer."""

HOSTILE_WRONG: frozenset[str] = frozenset()
"""Hostile recordings (odd times) in which the cause of the incident beneath is lost, and nothing is said to be missing."""


def not_yet(name: str, missed: frozenset[str]) -> list[pytest.MarkDecorator]:
    """Marks of a test's parameter."""
    return [pytest.mark.xfail(reason="not reached yet", strict=True)] if name in missed else []
