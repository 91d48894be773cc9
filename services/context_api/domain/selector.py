"""Read a label selector as `kubectl -l` takes it, and match labels with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.context_api.domain.errors import BadSelector

MOST_REQUIREMENTS = 32

_KEY = r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_SPACE = " \t\r\n"
"""What separates words, as for kubectl; other signs that take room are signs like any other."""
_S = rf"[{_SPACE}]"
_EQUALITY = re.compile(rf"({_KEY}){_S}*(==|=|!=){_S}*({_VALUE})")
_EXISTENCE = re.compile(rf"(!?){_S}*({_KEY})")
_SET = re.compile(rf"({_KEY}){_S}+(in|notin){_S}*\(([^()]*)\)")
_ONE_VALUE = re.compile(_VALUE)
_COMPARISON = re.compile(rf"({_KEY}){_S}*([<>]){_S}*(-?[0-9]{{1,18}})")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


class Operator(StrEnum):
    one_of = "in"
    none_of = "notin"
    exists = ""
    absent = "!"
    above = ">"
    below = "<"


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    operator: Operator
    values: Sequence[str] = ()
    """Sorted, each once; of `above` and `below` the one number."""

    def met_by(self, labels: Mapping[str, str]) -> bool:
        """A label that is not there is none of any values, and neither above nor below any number."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.one_of:
                return value in self.values
            case Operator.none_of:
                return value not in self.values
            case Operator.exists:
                return self.key in labels
            case Operator.absent:
                return self.key not in labels
        if value is None or not _INTEGER.fullmatch(value):
            return False
        bound = int(self.values[0])
        return int(value) > bound if self.operator is Operator.above else int(value) < bound


@dataclass(frozen=True, slots=True)
class Selector:
    """Every requirement has to be met; without any, everything matches."""

    requirements: Sequence[Requirement] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.met_by(labels) for requirement in self.requirements)

    @property
    def equalities(self) -> dict[str, str]:
        """The `key=value` requirements, as older callers get them back."""
        return {
            one.key: one.values[0]
            for one in self.requirements
            if one.operator is Operator.one_of and len(one.values) == 1
        }

    def __str__(self) -> str:
        """One spelling for one meaning, so that equal selectors are one entry of a cache."""
        return ",".join(sorted(_spelled(one) for one in set(self.requirements)))


def parse_selector(text: str) -> Selector:
    """Raises BadSelector, which names the part that cannot be read."""
    parts = [part.strip(_SPACE) for part in _parts(text)] if text.strip(_SPACE) else []
    if len(parts) > MOST_REQUIREMENTS:
        raise BadSelector(f"{len(parts)} requirements (at most {MOST_REQUIREMENTS})")
    return Selector(tuple(_requirement(part) for part in parts))


def _parts(text: str) -> Iterator[str]:
    """What stands between commas, those within parentheses apart."""
    begin = depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth <= 0:
            yield text[begin:at]
            begin = at + 1
    yield text[begin:]


def _requirement(part: str) -> Requirement:
    if equality := _EQUALITY.fullmatch(part):
        key, sign, value = equality.groups()
        return Requirement(key, Operator.none_of if sign == "!=" else Operator.one_of, (value,))
    if existence := _EXISTENCE.fullmatch(part):
        return Requirement(existence[2], Operator.absent if existence[1] else Operator.exists)
    if chosen := _SET.fullmatch(part):
        values = sorted({value.strip(_SPACE) for value in chosen[3].split(",")})
        if all(_ONE_VALUE.fullmatch(value) for value in values):
            return Requirement(chosen[1], Operator(chosen[2]), tuple(values))
    if comparison := _COMPARISON.fullmatch(part):
        return Requirement(comparison[1], Operator(comparison[2]), (comparison[3],))
    raise BadSelector(part)


def _spelled(one: Requirement) -> str:
    match one.operator:
        case Operator.exists | Operator.absent:
            return f"{one.operator}{one.key}"
        case Operator.above | Operator.below:
            return f"{one.key}{one.operator}{one.values[0]}"
    if len(one.values) == 1:
        return f"{one.key}{'=' if one.operator is Operator.one_of else '!='}{one.values[0]}"
    return f"{one.key} {one.operator} ({','.join(one.values)})"
