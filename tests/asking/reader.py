"""A model's stand-in: what it has read, what that cost, and whether what is needed is among it. Deterministic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.context_api.domain.bundle import tokens

CALL_S = 0.5
"""Of a call whatever its prompt. A guess; it weighs on whoever calls more often, which is our way."""

READ_PER_S = 2_000
"""Tokens of prompt a second. A guess, between a model on a machine of one's own (hundreds) and a hosted one (ten
thousand); nothing is taken to be remembered from the call before."""

WRITTEN, WRITE_PER_S = 120, 60
"""Tokens of a call's answer (the next question, or the verdict), and how fast they come. Guesses too."""


STEP_S = CALL_S + WRITTEN / WRITE_PER_S
"""Of a call without its prompt."""


@dataclass(frozen=True, slots=True)
class Need:
    """What has to be in view before the incident can be understood.

    Attributes:
        objects: KIND/NAMESPACE/NAME; one of them has to be named.
        facts: of each group at least one text, in any case.
    """

    objects: Sequence[str]
    facts: Sequence[Sequence[str]]

    def missing_from(self, text: str) -> list[str]:
        """What is not there, in words."""
        seen = text.casefold()
        there = not self.objects or any(_named(one, text) for one in self.objects)
        lacking = [] if there else [" | ".join(self.objects)]
        return lacking + [
            " | ".join(group) for group in self.facts if not any(word.casefold() in seen for word in group)
        ]

    def held_by(self, text: str) -> Need:
        """As much of it as stands there at all. The rest is what a reader concludes."""
        return Need(
            [one for one in self.objects if _named(one, text)],
            [group for group in self.facts if not Need((), [group]).missing_from(text)],
        )


def _named(target: str, text: str) -> bool:
    """Whether somebody who reads it finds the object: by kind and name, as words of their own."""
    kind, _, name = target.split("/")
    return all(re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", text) for word in (kind, name))


@dataclass
class Reader:
    """Reads all of its prompt at each step, as a model without a memory does."""

    need: Need
    prompt: str
    steps: int = 0
    read: int = 0
    """Tokens of all prompts together."""
    seconds: float = 0.0
    missing: list[str] = field(default_factory=lambda: ["everything"])
    evidence: str = ""
    """What was added to the prompt: the question itself proves nothing."""

    @property
    def size(self) -> int:
        """Tokens of the prompt as it is now."""
        return tokens(len(self.prompt.encode()))

    @property
    def done(self) -> bool:
        return not self.missing

    def add(self, answer: str) -> None:
        """Something that was asked for, or given, is in the prompt from now on."""
        self.prompt += f"\n{answer}"
        self.evidence += f"\n{answer}"

    def think(self) -> None:
        """One call of the model: the next question, or the verdict when all is there."""
        self.steps += 1
        self.read += self.size
        self.seconds += STEP_S + self.size / READ_PER_S
        self.missing = self.need.missing_from(self.evidence)
