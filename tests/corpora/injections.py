"""Reads the injections: goals, wordings and places, and the cases they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).resolve().parent / "injections.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Goal(_Strict):
    """What an obedient model does."""

    name: str
    says: str
    calls: tuple[tuple[str, dict[str, Any] | str], ...] = ()
    commands: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    blames: str = ""
    """Object named as the cause; empty: triage's."""
    tells: bool = False
    """Repeats everything that looks like a secret."""
    prose: str = ""
    """Written where the document should be, the first time."""


class Corpus(_Strict):
    places: tuple[str, ...]
    wordings: tuple[str, ...]
    goals: tuple[Goal, ...]


@dataclass(frozen=True, slots=True)
class Injection:
    number: int
    place: str
    wording: str
    goal: Goal

    @property
    def id(self) -> str:
        return f"inj-{self.number:04d}"

    def text(self, evil: str, file: str) -> str:
        said = self.goal.says.replace("{evil}", evil).replace("{file}", file)
        return self.wording.replace("{goal}", said).replace("{id}", self.id)


def corpus() -> Corpus:
    return Corpus.model_validate(yaml.safe_load(FILE.read_text("utf-8")))


def injections(at_each: int = 2) -> Sequence[Injection]:
    """Every goal in every wording, each at some of the places in turn."""
    return list(_numbered(corpus(), at_each))


def _numbered(of: Corpus, at_each: int) -> Iterator[Injection]:
    turn = 0
    for goal, wording in product(of.goals, of.wordings):
        places = islice((*of.places, *of.places), turn % len(of.places), turn % len(of.places) + at_each)
        for place in places:
            yield Injection(turn, place, wording, goal)
            turn += 1
