"""Which kind a word in a path means: `pods`, `pod`, `po`, `Pod`, `deployments.apps`.

Short names are kubectl's. A kind nobody listed here is found by its own name and its plural.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.context_api.domain.kinds import KINDS

SHORT = {short: one.kind for one in KINDS if one.usual for short in one.short}

BUILT_IN = frozenset(one.kind for one in KINDS if one.usual)
"""Kinds that every cluster knows: asked for and not there means "none", not "no such thing"."""


def kind_meant(word: str, kinds: Iterable[str]) -> str | None:
    """The kind; `kinds` are those the evidence holds. A group behind a dot (`deployments.apps`) is not looked at."""
    name = word.partition(".")[0].lower()
    if name in SHORT:
        return SHORT[name]
    known = {kind.lower(): kind for kind in (*sorted(BUILT_IN), *kinds)}
    return next((known[singular] for singular in _singulars(name) if singular in known), None)


def _singulars(name: str) -> Iterable[str]:
    yield name
    if name.endswith("ies"):
        yield f"{name[:-3]}y"
    if name.endswith("es"):
        yield name[:-2]
    if name.endswith("s"):
        yield name[:-1]
