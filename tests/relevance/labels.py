"""Reads labels and says which evidence they match. How to write them: the package's own docstring."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from libs.contracts.bundle import InvestigationType, RankedEvidence
from libs.contracts.evidence import EvidenceItem, EvidenceKind

CASES = Path(__file__).resolve().parent / "cases"

ROUTINE = frozenset(
    {"Scheduled", "Pulling", "Pulled", "Created", "Started", "SuccessfulCreate", "SuccessfulDelete"}
)
"""Reasons of events that every pod's life is full of."""

_EVENT = re.compile(r"event (\w+)")


class Half(StrEnum):
    """Which part of the labels a case is counted with."""

    seen = "seen"
    """The ranking may be improved until it agrees."""
    blind = "blind"
    """Never tuned on."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One fact as a matcher looks at it."""

    kind: EvidenceKind
    about: str
    text: str
    reason: str = ""
    """Of an event."""


def of_item(item: EvidenceItem) -> Shown:
    """A fact of the dossier, whole."""
    about = str(item.target) if item.target else ""
    return _shown(item.kind, about, item.summary, json.dumps(item.body, default=str, ensure_ascii=False))


def of_ranked(item: RankedEvidence) -> Shown:
    """A fact of a bundle: only what its reader sees of it."""
    detail = json.dumps(item.detail, default=str, ensure_ascii=False) if item.detail else ""
    return _shown(item.kind, item.about, item.text, detail, *(line.text for line in item.lines or ()))


def _shown(kind: EvidenceKind, about: str, text: str, *more: str) -> Shown:
    named = _EVENT.match(text) if kind is EvidenceKind.event else None
    return Shown(kind, about, "\n".join([text, *more]).casefold(), named[1] if named else "")


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(min_length=1)]
Place = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]\w+/[a-z0-9_-]+/[^*/]+\*?$|^[A-Z]\w+/[a-z0-9_-]+/\*$")
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Matcher(_Strict):
    """Says of a fact whether it is one of those meant."""

    about: Annotated[tuple[Place, ...], BeforeValidator(_several)] = ()
    kind: Annotated[tuple[EvidenceKind, ...], BeforeValidator(_several)] = ()
    words: Annotated[tuple[Text, ...], BeforeValidator(_several)] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Matcher:
        if not self.about and not self.words:
            raise ValueError("a matcher names an object or words")
        return self

    def matches(self, fact: Shown) -> bool:
        if self.kind and fact.kind not in self.kind:
            return False
        if self.about and not any(_is_at(place, fact.about) for place in self.about):
            return False
        if not self.words and fact.reason in ROUTINE:
            return False
        return all(any(word in fact.text for word in group) for group in self.alternatives)

    @cached_property
    def alternatives(self) -> list[list[str]]:
        """The words in small letters; of each list one has to be there."""
        return [group.casefold().split("|") for group in self.words]


def _is_at(place: str, about: str) -> bool:
    return about.startswith(place[:-1]) if place.endswith("*") else about == place


class Case(_Strict):
    """What matters about one incident."""

    incident: Text
    asks: InvestigationType = InvestigationType.root_cause
    about: Place | None = None
    """What is asked about, where the alert's labels name no object."""
    must_have: tuple[Matcher, ...] = Field(min_length=1, max_length=4)
    relevant: tuple[Matcher, ...] = ()

    def is_relevant(self, fact: Shown) -> bool:
        return any(matcher.matches(fact) for matcher in (*self.must_have, *self.relevant))

    def missing_from(self, facts: Iterable[Shown]) -> list[Matcher]:
        """What nobody can do without and is not among the facts."""
        among = list(facts)
        return [need for need in self.must_have if not any(need.matches(fact) for fact in among)]


def cases(half: Half, directory: Path = CASES) -> Mapping[str, Case]:
    """The labels of one half, by their incident.

    Raises:
        ValueError: a label is none, or an incident is labelled twice.
    """
    raw: Any = yaml.safe_load((directory / f"{half}.yaml").read_text("utf-8"))
    found: dict[str, Case] = {}
    for one in raw:
        case = Case.model_validate(one)
        if case.incident in found:
            raise ValueError(f"{half}.yaml: {case.incident} is there twice")
        found[case.incident] = case
    return found
