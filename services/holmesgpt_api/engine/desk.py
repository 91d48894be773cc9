"""Answers a model's questions during one run, and remembers which facts it has been shown.

Several questions of one step arrive at once, each in a thread of HolmesGPT's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from libs.contracts.evidence import EvidenceItem
from libs.redaction import Redactor
from services.holmesgpt_api.engine.asking import (
    QUESTIONS,
    Arguments,
    BadArguments,
    Shown,
    among,
    failure_in,
    namespace_in,
    originals,
    parse,
    question,
    shown,
)
from services.holmesgpt_api.engine.context import Context, NoAnswer
from services.holmesgpt_api.engine.elsewhere import Elsewhere
from services.holmesgpt_api.engine.messages import EVIDENCE_AT_MOST, SAID, ToolCalled

MOST_CALLS = 60
"""Questions in one run. A model that has asked so often is going round in circles."""

FROZEN = (
    "this is a replay: there is nothing more than the facts that you are given from then; get_evidence shows each of them,"
    " by its id or its object. Conclude from them"
)

MOST_AT_ONCE = 6
"""Questions answered side by side, so that one run does not take all of the Context API."""

UNREADABLE = "the Context API's answer could not be read"
NOT_CLEARED = "the answer could not be cleared of secrets, so it is not shown; ask for less"


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
        redactor: Redactor,
        namespaces: Sequence[str] = ("*",),
        tell: Callable[[ToolCalled], None],
        frozen: bool = False,
        calls: int = 0,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Args:
        room: characters of one answer.
        known: facts the model has been told before its first question.
        namespaces: what the asker may read (globs); about others the Context API is not even asked.
        redactor: takes secrets out of everything the model is shown, and out of what is told of its questions.
        frozen: nothing may be asked of the cluster of today; the known facts are all there is, and are shown again.
        calls: questions answered before the run was taken up again.
        elsewhere: the tools of foreign systems; the service answers them, and tells of them itself.
        """
        self._context, self._cluster, self._room, self._tell = context, cluster, room, tell
        self._redactor, self._namespaces, self._frozen = redactor, tuple(namespaces), frozen
        self._lock, self._few = threading.Lock(), threading.Semaphore(MOST_AT_ONCE)
        self._calls, self._elsewhere = calls, elsewhere
        self._asked: set[tuple[str, str]] = set()
        self._seen: dict[str, EvidenceItem] = {item.id: item for item in known}

    @property
    def seen(self) -> list[EvidenceItem]:
        with self._lock:
            return list(self._seen.values())

    def answer(self, tool: str, given: object) -> Answered:
        """Never raises what a model or the Context API can cause: both get a sentence."""
        if self._elsewhere is not None and tool in self._elsewhere.names:
            return self._answer_elsewhere(self._elsewhere, tool, given)
        began = time.monotonic()
        try:
            self._count()
            arguments = parse(_named(tool), given)
            self._within_reach(arguments)
            self._once(tool, arguments)
            if self._frozen:
                found = self._of_what_was_seen(arguments)
                return self._told(tool, given, began, Answered(True, found.text), ())
            try:
                with self._few:
                    body = self._context.ask(question(arguments, cluster=self._cluster))
                found, facts = self._shown(arguments, body)
            except BaseException:
                self._may_be_asked_again(tool, arguments)
                raise
        except (BadArguments, NoAnswer) as refusal:
            return self._told(tool, given, began, Answered(False, str(refusal)), ())
        except ValueError:
            return self._told(tool, given, began, Answered(False, UNREADABLE), ())
        self._remember(found.evidence)
        return self._told(tool, given, began, Answered(True, found.text), facts)

    def _answer_elsewhere(self, elsewhere: Elsewhere, tool: str, given: object) -> Answered:
        if self._frozen:
            return Answered(False, FROZEN[: self._room])
        try:
            self._count()
            text, facts = elsewhere.ask(tool, given)
        except (BadArguments, NoAnswer) as refusal:
            return Answered(False, str(refusal)[: self._room])
        self._remember(facts)
        return Answered(True, text[: self._room])

    def _shown(self, arguments: Arguments, body: bytes) -> tuple[Shown, list[EvidenceItem]]:
        """What the model reads, and the same facts as the Context API made them.

        Raises:
            NoAnswer: it cannot be cleared of secrets, so nothing of it is shown.
            ValueError: it is none of the Context API's answers.
        """
        answer = json.loads(body)
        if failed := failure_in(answer):
            raise NoAnswer(f"the answer tells of a failure: {failed}")
        try:
            cleared = json.dumps(self._redactor.of(answer)).encode()
        except Exception as error:
            # Whatever goes wrong there: text that was not looked at is not let through.
            raise NoAnswer(f"{NOT_CLEARED} ({type(error).__name__})") from error
        facts = originals(arguments, body)
        found = shown(arguments, cleared, room=self._room)
        return found, [facts.get(item.id, item) for item in found.evidence]

    def _of_what_was_seen(self, arguments: Arguments) -> Shown:
        """Raises NoAnswer: the cluster of today is not asked."""
        found = among(arguments, self.seen, room=self._room)
        if found is None:
            raise NoAnswer(FROZEN)
        return found

    def _within_reach(self, arguments: Arguments) -> None:
        """Raises NoAnswer: the asker may not read there."""
        namespace = namespace_in(arguments)
        if namespace is not None and not any(fnmatchcase(namespace, glob) for glob in self._namespaces):
            raise NoAnswer(f"not allowed: whoever asked may not read namespace {namespace}")

    def _once(self, tool: str, arguments: Arguments) -> None:
        """Raises NoAnswer: this was asked before. The same question has the same answer, and costs the same."""
        asked = (tool, arguments.model_dump_json())
        with self._lock:
            if asked in self._asked:
                raise NoAnswer("this was asked before in this run; its answer stands above")
            self._asked.add(asked)

    def _may_be_asked_again(self, tool: str, arguments: Arguments) -> None:
        with self._lock:
            self._asked.discard((tool, arguments.model_dump_json()))

    def _count(self) -> None:
        with self._lock:
            self._calls += 1
            if self._calls > MOST_CALLS:
                raise NoAnswer(f"more than {MOST_CALLS} questions in one run; conclude with what is known")

    def _remember(self, items: Iterable[EvidenceItem]) -> None:
        with self._lock:
            for item in items:
                self._seen.setdefault(item.id, item)

    def _told(
        self, tool: str, given: object, began: float, answered: Answered, facts: Sequence[EvidenceItem]
    ) -> Answered:
        arguments = given if isinstance(given, dict) else {}
        some = {str(name): str(value) for name, value in list(arguments.items())[:10]}
        try:
            text = answered.text if answered.ok else self._redactor.text(answered.text)
            # Cleared, then shortened: half of a secret is known for one by no rule.
            kept = {name[:40]: str(value)[:200] for name, value in self._redactor.of(some).items()}
        except Exception:
            # As above; the model learns that it asked, and nothing else.
            text, kept = NOT_CLEARED, {}
        self._tell(
            ToolCalled(
                tool=tool[:80],
                arguments=kept,
                ok=answered.ok,
                detail="" if answered.ok else text[:SAID],
                seconds=round(time.monotonic() - began, 3),
                evidence=list(facts[:EVIDENCE_AT_MOST]),
            )
        )
        return Answered(answered.ok, text[: self._room])


def _named(tool: str) -> type[Arguments]:
    kind = QUESTIONS.get(tool)
    if kind is None:
        raise BadArguments(f"there is no tool of this name; there are: {', '.join(QUESTIONS)}")
    return kind
