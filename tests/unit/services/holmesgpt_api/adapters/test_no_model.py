from __future__ import annotations

from datetime import timedelta

import pytest

from libs.contracts.chat import ChatEvent
from services.holmesgpt_api.adapters.no_model import NoModelConfigured
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.model import ModelFailed
from services.holmesgpt_api.domain.triage import conclude
from tests.fakes.chat_sessions import MemorySessions
from tests.support.chats import question
from tests.support.investigations import CHECKOUT, claimed, found


@pytest.mark.requirement("HAPI-029")
async def test_what_another_worker_held_falls_back_at_once_where_there_is_no_model():
    async def report(progress: int, stage: str, happened: Happening | None = None, /) -> None:
        raise AssertionError(stage)

    interim = conclude(found(), CHECKOUT, claimed(), "model-still-running")
    with pytest.raises(ModelFailed) as failed:
        await NoModelConfigured().ask(claimed(), interim, within=timedelta(seconds=9), report_progress=report)

    assert failed.value.word == "no-model-configured"


@pytest.mark.requirement("HAPI-006")
async def test_a_question_asked_where_there_was_a_model_falls_back_at_once_too():
    async def report(event: ChatEvent) -> None:
        raise AssertionError(event)

    sessions = MemorySessions()
    turn = await sessions.open(question(), interim=None, verdict=None, life=timedelta(seconds=9))
    taken = await sessions.take(turn.id)
    assert taken is not None
    with pytest.raises(ModelFailed) as failed:
        await NoModelConfigured().talk(taken, within=timedelta(seconds=9), report=report)

    assert failed.value.word == "no-model-configured"
