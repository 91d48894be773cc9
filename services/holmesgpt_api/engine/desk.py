"""Answers a model's questions during one run, and remembers which facts it has been shown.

Several questions of one step arrive at once, each in a thread of HolmesGPT's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from libs.contracts.evidence import EvidenceItem
from services.holmesgpt_api.engine.asking import QUESTIONS, BadArguments, Shown, parse, question, shown
from services.holmesgpt_api.engine.context import Context, NoAnswer
from services.holmesgpt_api.engine.messages import EVIDENCE_AT_MOST, SAID, ToolCalled

MOST_CALLS = 60
"""Questions in one run. A model that has asked so often is going round in circles."""

MOST_AT_ONCE = 6
"""Questions answered side by side, so that one run does not take all of the Context API."""


@dataclass(frozen=True, slots=True)
class Answered:
    ok: bool
    text: str


class Desk:
    def __init__(
        self,
        context: Context,
        *,
        cluster: str,
        room: int,
        known: Iterable[EvidenceItem],
        tell: Callable[[ToolCalled], None],
        calls: int = 0,
    ) -> None:
        """Args:
        room: characters of one answer.
        known: facts the model has been told before its first question.
        calls: questions answered before the run was taken up again.
        """
        self._context, self._cluster, self._room, self._tell = context, cluster, room, tell
        self._lock, self._few = threading.Lock(), threading.Semaphore(MOST_AT_ONCE)
        self._calls = calls
        self._seen: dict[str, EvidenceItem] = {item.id: item for item in known}

    @property
    def seen(self) -> list[EvidenceItem]:
        with self._lock:
            return list(self._seen.values())

    def answer(self, tool: str, given: object) -> Answered:
        """Never raises what a model or the Context API can cause: both get a sentence."""
        began = time.monotonic()
        try:
            self._count()
            arguments = parse(QUESTIONS[tool], given)
            with self._few:
                body = self._context.ask(question(arguments, cluster=self._cluster))
            found = shown(arguments, body, room=self._room)
        except (BadArguments, NoAnswer) as refusal:
            return self._told(tool, given, began, Shown(str(refusal)), ok=False)
        except ValueError:
            said = Shown("the Context API's answer could not be read")
            return self._told(tool, given, began, said, ok=False)
        self._remember(found.evidence)
        return self._told(tool, given, began, found, ok=True)

    def _count(self) -> None:
        with self._lock:
            self._calls += 1
            if self._calls > MOST_CALLS:
                raise NoAnswer(f"more than {MOST_CALLS} questions in one run; conclude with what is known")

    def _remember(self, items: Iterable[EvidenceItem]) -> None:
        with self._lock:
            for item in items:
                self._seen.setdefault(item.id, item)

    def _told(self, tool: str, given: object, began: float, found: Shown, *, ok: bool) -> Answered:
        arguments = given if isinstance(given, dict) else {}
        self._tell(
            ToolCalled(
                tool=tool,
                arguments={str(name)[:40]: str(value)[:200] for name, value in list(arguments.items())[:10]},
                ok=ok,
                detail="" if ok else found.text[:SAID],
                seconds=round(time.monotonic() - began, 3),
                evidence=found.evidence[:EVIDENCE_AT_MOST],
            )
        )
        return Answered(ok, found.text)
