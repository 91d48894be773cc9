"""What a person would still name of a cause: the decisive words about it and about what it makes fail, and since when.

Decides which of the words that are recorded beside an observation's own text are told along with it; never makes any. Of
the same object the messages of its other observations count, then those of what it accounts for, the alert's own first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.context_api.domain.causality import Causality
from services.context_api.domain.kube import listing
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.ranking import Ranked
from services.context_api.domain.relation import Relations
from services.context_api.domain.settled import ITSELF
from services.context_api.domain.wording import clock, name_of

MOST = 2
"""Messages told of the object itself, and of others that it makes fail."""

_MESSAGE = re.compile(r"`([^`]{12,}?)`")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
_FLAT = re.compile(r"\W+|\d+")
SAME = 60
"""Letters at which two messages are taken for the same: what follows are addresses, counts and names of pods."""


def spelled(words: str, one: Ranked, tree: Causality, relations: Relations) -> Iterator[str]:
    """Clauses to follow the words of a cause; none where those say it all."""
    seen = one.observation
    if seen.onset is not None and not _TIME.search(words):
        yield f"since {clock(seen.onset)}"
    told = _shape(words)
    own = [a.observation for a in one.also if a.observation.depth < Depth.change]
    if found := list(_untold(own, told)):
        yield f"it says {listing([f'`{said}`' for _, said in found[:MOST]], MOST)}"
        told += "".join(_shape(said) for _, said in found[:MOST])
    others = [tree.observations[i] for i in one.effects if tree.observations[i].about is not seen.about]
    others.sort(key=lambda o: (relations.nearness(o.about) < ITSELF, -relations.nearness(o.about), -o.depth))
    for other, said in list(_untold(others, told))[:MOST]:
        yield f"of {name_of(other.about)}: `{said}`"


def _untold(observations: list[Observation], told: str) -> Iterator[tuple[Observation, str]]:
    """Messages that the words do not hold yet, each once; a value without a blank is none."""
    for one in observations:
        for said in _MESSAGE.findall(one.text):
            shape = _shape(said)[:SAME]
            if " " in said.strip() and shape and shape not in told:
                told += shape
                yield one, quote(said)


def _shape(words: str) -> str:
    return _FLAT.sub("", words).casefold()
