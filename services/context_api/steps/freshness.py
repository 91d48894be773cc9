"""How long an answer may be kept and pass for current. Pure: by what it is about and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from libs.cache.provenance import Provenance
from libs.contracts.bundle import ContextSource
from libs.web.page import Lifetime

EVIDENCE = "evidence"
"""What is made of everything: causes, findings, facts, topology, and bundles."""

SOURCES = (EVIDENCE, *(source.value for source in ContextSource))


@dataclass(frozen=True, slots=True)
class Freshness:
    """Decides by the operator's figures."""

    ttl: Mapping[str, timedelta]
    """By source; every one of `SOURCES`."""
    fixed: timedelta
    """What cannot change is kept so long."""
    gaps: timedelta
    """What was made while something could not be read: no longer than until it is read again."""
    partial: timedelta
    """What lacks something that may be there in a moment."""
    stale: timedelta
    """What is too old is given so long while it is made anew."""

    def lifetime(self, source: str, made_of: Provenance) -> Lifetime:
        ttl = self.ttl[source].total_seconds()
        if made_of.partial:
            return Lifetime(ttl, at_most=min(ttl, self.partial.total_seconds()))
        if made_of.fixed:
            return Lifetime(self.fixed.total_seconds())
        if made_of.gaps:
            ttl = min(ttl, self.gaps.total_seconds())
        return Lifetime(ttl, self.stale.total_seconds())
