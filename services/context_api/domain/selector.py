"""Read a label selector as `kubectl -l` takes it, equality and existence only, and match labels with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.context_api.domain.errors import BadSelector

MOST_REQUIREMENTS = 32

_KEY = r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_EQUALITY = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTENCE = re.compile(rf"(!?)\s*({_KEY})")


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    value: str | None
    """None: only whether the label is there counts."""
    wanted: bool

    def met_by(self, labels: Mapping[str, str]) -> bool:
        has = self.key in labels if self.value is None else labels.get(self.key) == self.value
        return has is self.wanted


@dataclass(frozen=True, slots=True)
class Selector:
    """Every requirement has to be met; without any, everything matches."""

    requirements: Sequence[Requirement] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.met_by(labels) for requirement in self.requirements)

    @property
    def equalities(self) -> dict[str, str]:
        """The `key=value` requirements, as older callers get them back."""
        return {one.key: one.value for one in self.requirements if one.wanted and one.value is not None}

    def __str__(self) -> str:
        """One spelling for one meaning, so that equal selectors are one entry of a cache."""
        return ",".join(sorted(_spelled(one) for one in set(self.requirements)))


def parse_selector(text: str) -> Selector:
    """Raises BadSelector, which names the part that cannot be read."""
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if len(parts) > MOST_REQUIREMENTS:
        raise BadSelector(f"{len(parts)} requirements (at most {MOST_REQUIREMENTS})")
    return Selector(tuple(_requirement(part) for part in parts))


def _requirement(part: str) -> Requirement:
    if equality := _EQUALITY.fullmatch(part):
        key, sign, value = equality.groups()
        return Requirement(key, value, wanted=sign != "!=")
    if existence := _EXISTENCE.fullmatch(part):
        return Requirement(existence[2], None, wanted=not existence[1])
    raise BadSelector(part)


def _spelled(one: Requirement) -> str:
    if one.value is None:
        return one.key if one.wanted else f"!{one.key}"
    return f"{one.key}{'=' if one.wanted else '!='}{one.value}"
