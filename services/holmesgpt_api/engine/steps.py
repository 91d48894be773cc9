"""The child's side of a run that can go on: each step is with the service before the model is asked, and each
answer before anything is done with it.

A run that is taken up again is handed its last step. Where that one was answered already, the answer is used
again instead of asking twice; where it was not, the question is put again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litellm import ModelResponse

from services.holmesgpt_api.engine.messages import (
    ANSWER_AT_MOST,
    MESSAGES_AT_MOST,
    Checkpoint,
    Phase,
    Resume,
)
from services.holmesgpt_api.engine.packing import TooLarge, pack, unpack


class Counting:
    """Counts steps that nobody records: of a probe."""

    def __init__(self) -> None:
        self.number = 0
        self.phase: Phase = "talk"

    def asks(self, messages: list[dict[str, Any]]) -> None:
        self.number += 1

    def answered(self, answer: ModelResponse) -> None:
        return None


class Steps:
    """Records a run's steps. `phase` is set by the run."""

    def __init__(
        self,
        tell: Callable[[Checkpoint], None],
        recorded: Callable[[float], None],
        *,
        until: float,
        resume: Resume | None = None,
        sparing: bool = False,
    ) -> None:
        """Args:
        recorded: waits until the service has recorded what it was told last.
        resume: the step to go on from.
        sparing: only what cannot be had again for little. Not the first question, which the request makes again, and
            not the answers: the next question holds all but the last, after which nothing comes.
        """
        self._tell, self._recorded, self._until, self._sparing = tell, recorded, until, sparing
        self._given = resume.answer if resume else None
        self._kept = False
        self.phase: Phase = resume.phase if resume else "talk"
        self.number = resume.number - 1 if resume else 0

    def asks(self, messages: list[dict[str, Any]]) -> ModelResponse | None:
        """The next step: recorded when this returns. The answer, where it was given before a kill."""
        self.number += 1
        given, self._given = self._given, None
        if given is not None:
            return ModelResponse(**unpack(given))
        if self._sparing and self.number == 1:
            return None
        try:
            packed = pack(messages, at_most=MESSAGES_AT_MOST)
        except TooLarge:
            self._kept = False  # the step before stays the last one
            return None
        self._tell(Checkpoint(number=self.number, phase=self.phase, messages=packed))
        self._recorded(self._until)
        self._kept = True
        return None

    def answered(self, answer: ModelResponse) -> None:
        """The model's answer to this step."""
        if self._sparing or not self._kept:
            return
        try:
            packed = pack(answer.model_dump(mode="json"), at_most=ANSWER_AT_MOST)
        except TooLarge:
            return
        self._tell(Checkpoint(number=self.number, phase=self.phase, answer=packed))
        self._recorded(self._until)


def messages_of(resume: Resume) -> list[dict[str, Any]]:
    """As they went to the model."""
    messages: list[dict[str, Any]] = unpack(resume.messages)
    return messages
