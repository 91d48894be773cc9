"""Tools of foreign systems, as a run's process knows them: it asks the service, which asks them. No way out of its own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from libs.contracts.evidence import EvidenceItem
from services.holmesgpt_api.engine.asking import NOT_JSON, BadArguments
from services.holmesgpt_api.engine.context import NoAnswer
from services.holmesgpt_api.engine.foreign import ARGUMENTS_AT_MOST, CustomTool, ToolAnswered, ToolAsked

TIME_IS_UP = "the run's time is up; conclude with what is known"


class Answers(Protocol):
    def answer(self, number: int, *, until: float) -> ToolAnswered | None: ...


class Elsewhere:
    """Of one run; its tools ask from threads of their own."""

    def __init__(
        self, tools: Sequence[CustomTool], tell: Callable[[ToolAsked], None], ear: Answers, *, until: float
    ) -> None:
        self._names = frozenset(one.name for one in tools)
        self._tell, self._ear, self._until = tell, ear, until
        self._numbers = itertools.count(1)

    @property
    def names(self) -> frozenset[str]:
        return self._names

    def ask(self, tool: str, given: object) -> tuple[str, list[EvidenceItem]]:
        """The answer as the model reads it, and what of it may be cited.

        Raises:
            BadArguments: what the model wrote is no JSON object, or too much.
            NoAnswer: none, or none that can be used; the text says why.
        """
        arguments = _object(given)
        number = next(self._numbers)
        self._tell(ToolAsked(number=number, tool=tool, arguments=arguments))
        answered = self._ear.answer(number, until=self._until)
        if answered is None:
            raise NoAnswer(TIME_IS_UP)
        if not answered.ok:
            raise NoAnswer(answered.text)
        return answered.text, list(answered.evidence)


def _object(given: object) -> dict[str, Any]:
    if not isinstance(given, dict) or NOT_JSON in given or not all(isinstance(name, str) for name in given):
        raise BadArguments("no arguments arrived as a JSON object; send one, `{}` where there are none")
    kept = {name: value for name, value in given.items() if value is not None}
    try:
        size = len(json.dumps(kept, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError):
        raise BadArguments("the arguments are no JSON") from None
    if size > ARGUMENTS_AT_MOST:
        raise BadArguments(f"the arguments have {size} characters, more than {ARGUMENTS_AT_MOST}")
    return kept
