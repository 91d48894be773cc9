"""The desk answers everything with a sentence, counts what was asked, and remembers what it has shown."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from services.holmesgpt_api.engine.context import Context
from services.holmesgpt_api.engine.desk import MOST_CALLS, Desk
from services.holmesgpt_api.engine.messages import ContextAccess, ToolCalled
from tests.support.investigations import cause, evidence, found

pytestmark = pytest.mark.requirement("HAPI-032", "HAPI-029")

ID, KNOWN = "ev-00000000000000e1", "ev-00000000000000e0"


def desk(body: bytes | None = None, told: list[ToolCalled] | None = None) -> Desk:
    answer = found(cause(evidence_ids=[ID]), evidence=[evidence(ID)]).model_dump_json().encode()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=answer if body is None else body))
    access = ContextAccess(url="http://context", timeout_s=5)
    context = Context(access, until=time.monotonic() + 60, transport=transport)
    tell = (told if told is not None else []).append
    return Desk(context, cluster="local", room=8_000, known=[evidence(KNOWN)], tell=tell)


def test_what_it_has_shown_may_be_cited_and_so_may_what_was_known_before():
    told: list[ToolCalled] = []
    there = desk(told=told)

    answered = there.answer("get_causes", {"target": "Pod/shop/a"})

    assert answered.ok
    assert [item.id for item in there.seen] == [KNOWN, ID]
    assert [(one.tool, one.ok, [item.id for item in one.evidence]) for one in told] == [
        ("get_causes", True, [ID])
    ]


@pytest.mark.parametrize("given", [None, {}, [1], {"target": "x"}, {"target": "Pod/shop/a", "x": object()}])
def test_bad_arguments_get_a_sentence_and_are_told_shortened(given: Any):
    told: list[ToolCalled] = []

    answered = desk(told=told).answer("get_causes", given)

    assert not answered.ok
    assert answered.text == told[0].detail
    assert not told[0].ok


def test_an_unreadable_answer_gets_a_sentence():
    answered = desk(b"<html>").answer("get_logs", {"namespace": "shop", "pod": "a"})

    assert (answered.ok, answered.text) == (False, "the Context API's answer could not be read")


def test_a_model_that_asks_for_ever_is_told_to_conclude():
    there = desk()
    for _ in range(MOST_CALLS):
        there.answer("get_causes", {"target": "Pod/shop/a"})

    answered = there.answer("get_causes", {"target": "Pod/shop/a"})

    assert not answered.ok
    assert "conclude" in answered.text
