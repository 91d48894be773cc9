"""An answer carries the seed's keys and says how it came about; a page of history is newest first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.holmesgpt_api.domain.chat.answer import answer, history
from services.holmesgpt_api.domain.chat.session import About, Owner, Reply, Session, Turn
from services.holmesgpt_api.domain.verdict import ModelUse
from tests.support.investigations import NOW

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-007")

TURN = Turn("chat-1", "session-1", 2, "why?", True, False, NOW, ended_at=NOW + timedelta(seconds=1.5))
REPLY = Reply(
    text="Because.",
    engine="triage",
    topic="why",
    evidence_ids=["e1", "m1"],
    metric_ids=["m1"],
    suggestions=["What next?"],
)
SESSION = Session("session-1", Owner("default", "ana"), "inv-1", About(namespace="shop"), NOW, NOW, NOW, 3)


def test_the_seeds_keys_are_there():
    told = answer(TURN, REPLY)

    assert (told.response, told.session_id, told.suggestions) == ("Because.", "session-1", ["What next?"])
    assert told.timestamp == TURN.ended_at
    assert (told.metadata["response_time"], told.metadata["tokens_used"], told.metadata["engine"]) == (
        1.5,
        0,
        "triage",
    )


def test_tokens_are_the_models():
    use = ModelUse(model="openai/x", sdk="1", prompt="p", prompt_tokens=5, completion_tokens=2)

    assert answer(TURN, REPLY.model_copy(update={"model": use})).metadata["tokens_used"] == 7


def test_context_and_metrics_are_told_to_who_wants_them():
    assert answer(replace(TURN, include_context=False), REPLY).context_used is None
    assert answer(TURN, REPLY).context_used == {"evidence": ["e1", "m1"]}
    assert (answer(replace(TURN, include_metrics=True), REPLY).context_used or {})["metrics"] == ["m1"]


def test_history_tells_what_runs_what_was_answered_and_what_was_not():
    running = replace(TURN, number=4, ended_at=None)
    failed = replace(TURN, number=3, error_code="model-timeout", error="No answer.")
    page = history(SESSION, [running, failed, replace(TURN, reply=REPLY)], "2")

    assert [one.status for one in page.turns] == ["running", "failed", "answered"]
    assert (page.folded, page.investigation_id, page.namespace, page.next_cursor) == (3, "inv-1", "shop", "2")
