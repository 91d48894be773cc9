"""What chat needs from the world. Adapters fulfil it; tests use fakes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import Protocol

from libs.contracts.chat import ChatEvent
from services.holmesgpt_api.domain.chat.session import Key, Owner, Question, Reply, Session, TakenTurn, Turn
from services.holmesgpt_api.domain.verdict import Verdict

Report = Callable[[ChatEvent], Awaitable[None]]
"""What a question's asker may see of how far it is. Its number is given where it is kept."""


class Sessions(Protocol):
    """The record of all chats. A turn that has ended never changes.

    Everything raises `StorageUnavailable` when the database does not serve.
    """

    async def find(self, session_id: str, owner: Owner) -> Session | None:
        """None: unknown, ended by its idle timeout, or somebody else's."""
        ...

    async def asked_before(self, owner: Owner, key: Key) -> Turn | None:
        """What this caller asked with the key, ended or not; None: nothing, or it is no longer kept.

        Raises:
            KeyReused: something else was asked with it.
        """
        ...

    async def answered(self, question: Question, reply: Reply) -> Turn:
        """Record a question together with its answer. One that was asked before with its key is given as it is.

        Raises:
            UnknownSession, StillAnswering, TooManySessions, KeyReused
        """
        ...

    async def open(
        self, question: Question, *, interim: Reply | None, verdict: Verdict | None, life: timedelta
    ) -> Turn:
        """Record a question together with the jobs that will have a model answer it, and end it. One that was asked
        before with its key is given as it is, ended or not.

        Args:
            interim: triage's answer, which counts when no other comes.
            life: until its deadline.

        Raises:
            TooManyQuestions, beside what `answered` raises.
        """
        ...

    async def look(self, ids: Collection[str]) -> Sequence[Turn]:
        """These turns as they are, with their events. One query, however many wait."""
        ...

    async def take(self, turn_id: str, *, ends_by: int | None = None) -> TakenTurn | None:
        """Begin to have it answered; runs begun before lose their say. None: it has ended, or is unknown.

        `ends_by`: the job that would end it at its deadline, which is not needed any more once it has ended.
        """
        ...

    async def note(self, taken: TakenTurn, event: ChatEvent) -> bool:
        """Add an event. False: this run has no say any more."""
        ...

    async def end(self, taken: TakenTurn, reply: Reply | None, *, code: str = "", error: str = "") -> bool:
        """End it with an answer, or with the reason why there is none. False as above."""
        ...

    async def end_overdue(self, turn_id: str, *, now: bool = False) -> Turn | None:
        """End it, past its deadline or (`now`) whoever runs it, with triage's answer where there is one.

        None: nothing to end.
        """
        ...

    async def page(self, session: Session, *, before: int | None, limit: int) -> Sequence[Turn]:
        """Newest first, without events."""
        ...

    async def delete(self, session_id: str, owner: Owner) -> bool:
        """The session with all its turns; what runs of it loses its say. False: there is none."""
        ...

    async def tidy(self, session_id: str) -> bool:
        """Delete the session if nobody has used it for the idle timeout, else look again then. True: deleted."""
        ...


class Talker(Protocol):
    """Where a model's answers come from. May be cancelled at any time; then nothing of it goes on."""

    async def talk(self, taken: TakenTurn, *, within: timedelta, report: Report) -> Reply:
        """The model's answer, checked, within that time.

        Raises:
            ModelFailed: there is none, or none in time.
        """
        ...
