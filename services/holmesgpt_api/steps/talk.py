"""Have a model answer one question, with triage's answer in reserve; and end what is overdue.

Whatever the model does, the question ends by its deadline: with its answer, with triage's and a stable word for why,
or with that word alone where triage has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from libs.contracts.chat import ChatEvent, ChatEventKind
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.chat.ports import Sessions, Talker
from services.holmesgpt_api.domain.chat.questions import what_can_be_asked
from services.holmesgpt_api.domain.chat.session import Reply, TakenTurn
from services.holmesgpt_api.domain.model import CONCLUDED, ENGINE_FAILED, TIMEOUT, ModelFailed
from services.holmesgpt_api.domain.record import Asked

_log = logging.getLogger(__name__)

MARGIN = timedelta(seconds=1)
"""Kept back of the question's time for writing its end down, before who waits loses patience."""

LEAST = timedelta(seconds=2)
"""With less than this left a model is not asked any more."""

AGAIN = 0.3
"""Seconds between two tries to write an end down. What a model has answered is not asked for twice."""


class _NoSay(Exception):
    """The question has ended, or a later run has it: what this one would say is heard by nobody."""


class Talking:
    def __init__(
        self, sessions: Sessions, talker: Talker, *, observe_model: Callable[[Asked], None] = lambda _: None
    ) -> None:
        self._sessions, self._talker, self._observe_model = sessions, talker, observe_model

    async def talk(self, turn_id: str, ends_by: int | None = None) -> None:
        """Raises StorageUnavailable: call again later."""
        taken = await self._sessions.take(turn_id, ends_by=ends_by)
        if taken is None:
            return
        try:
            if taken.fence > 1:
                await self._note(taken, taken_up_again())
            async with asyncio.timeout(max(taken.time_left.total_seconds(), 0.0) + 1.0):
                await self._end(taken)
        except _NoSay:
            _log.info("question %s: it has ended, or a later run has the say", taken.id)

    async def _end(self, taken: TakenTurn) -> None:
        try:
            reply: Reply | None = await self._asked(taken)
            code = error = ""
        except ModelFailed as failed:
            _log.warning("question %s: %s: %s", taken.id, failed.word, failed.detail)
            self._observe_model(Asked(failed.word, failed.use))
            reply = in_its_place(taken.interim, failed)
            code, error = failed.word, f"{failed.word}: no model has answered. {what_can_be_asked()}"
        while True:
            try:
                ended = await self._sessions.end(taken, reply, code=code, error=error)
            except StorageUnavailable as trouble:
                _log.info("no end written for %s: %s", taken.id, trouble)
                await asyncio.sleep(AGAIN)
            else:
                break
        if not ended:
            raise _NoSay

    async def _asked(self, taken: TakenTurn) -> Reply:
        """Raises ModelFailed, _NoSay."""
        within = taken.time_left - MARGIN
        if within < LEAST:
            raise ModelFailed(TIMEOUT, "its turn at the model came too late")

        async def report(event: ChatEvent) -> None:
            await self._note(taken, event)

        try:
            reply = await self._talker.talk(taken, within=within, report=report)
        except (ModelFailed, _NoSay):
            raise
        except Exception as error:
            # A mistake of ours must not cost the asker the answer that is there.
            _log.exception("question %s: the model's part", taken.id)
            raise ModelFailed(ENGINE_FAILED, type(error).__name__) from error
        self._observe_model(Asked(CONCLUDED, reply.model))
        return reply

    async def _note(self, taken: TakenTurn, event: ChatEvent) -> None:
        try:
            heard = await self._sessions.note(taken, event)
        except StorageUnavailable as error:
            # A step that nobody sees is worth less than the answer.
            _log.info("no event noted for %s: %s", taken.id, error)
        else:
            if not heard:
                raise _NoSay


class Tidying:
    """Ends what nobody else has ended."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def end_turn(self, turn_id: str) -> None:
        """Raises StorageUnavailable: call again later."""
        if await self._sessions.end_overdue(turn_id) is not None:
            _log.warning("question %s: no answer by its deadline", turn_id)

    async def tidy(self, session_id: str) -> None:
        """Raises StorageUnavailable: call again later."""
        await self._sessions.tidy(session_id)


def taken_up_again() -> ChatEvent:
    return ChatEvent(
        number=0, kind=ChatEventKind.restarted, text="its worker was lost; another one goes on with it"
    )


def in_its_place(interim: Reply | None, failed: ModelFailed) -> Reply | None:
    """Triage's answer, saying why no model's stands in its place; None: triage has none."""
    if interim is None:
        return None
    return interim.model_copy(
        update={"degraded_reason": failed.word, "degraded_detail": failed.detail or None, "model": failed.use}
    )
