"""The desk answers everything with a sentence, counts what was asked, and remembers what it has shown."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.evidence import EvidenceItem, EvidencePage
from libs.redaction import Redactor
from services.holmesgpt_api.engine.asking import NOT_JSON
from services.holmesgpt_api.engine.context import Context
from services.holmesgpt_api.engine.desk import MOST_CALLS, Desk
from services.holmesgpt_api.engine.elsewhere import Elsewhere
from services.holmesgpt_api.engine.foreign import CustomTool, ToolAnswered, ToolAsked
from services.holmesgpt_api.engine.messages import ContextAccess, ToolCalled
from tests.support.investigations import CHECKOUT, CONFIG, NOW, cause, evidence, found

pytestmark = pytest.mark.requirement("HAPI-032", "HAPI-029")

ID, KNOWN = "ev-00000000000000e1", "ev-00000000000000e0"


def desk(
    body: bytes | None = None,
    told: list[ToolCalled] | None = None,
    *,
    calls: list[str] | None = None,
    namespaces: Sequence[str] = ("*",),
    frozen: Sequence[EvidenceItem] | None = None,
    room: int = 8_000,
) -> Desk:
    answer = found(cause(evidence_ids=[ID]), evidence=[evidence(ID)]).model_dump_json().encode()

    def said(request: httpx.Request) -> httpx.Response:
        (calls if calls is not None else []).append(str(request.url))
        return httpx.Response(200, content=answer if body is None else body)

    transport = httpx.MockTransport(said)
    access = ContextAccess(url="http://context", timeout_s=5)
    context = Context(access, until=time.monotonic() + 60, transport=transport)
    tell = (told if told is not None else []).append
    return Desk(
        context,
        cluster="local",
        room=room,
        known=[evidence(KNOWN)] if frozen is None else frozen,
        redactor=Redactor(b"0123456789abcdef"),
        namespaces=namespaces,
        frozen=frozen is not None,
        tell=tell,
    )


def test_what_it_has_shown_may_be_cited_and_so_may_what_was_known_before():
    told: list[ToolCalled] = []
    there = desk(told=told)

    answered = there.answer("get_causes", {"target": "Pod/shop/a"})

    assert answered.ok
    assert [item.id for item in there.seen] == [KNOWN, ID]
    assert [(one.tool, one.ok, [item.id for item in one.evidence]) for one in told] == [
        ("get_causes", True, [ID])
    ]


SEEN = [evidence(f"ev-{number:016x}", CHECKOUT if number % 2 else CONFIG) for number in range(200)]


def asked_of_a_replay(tool: str, **arguments: str) -> tuple[Any, list[ToolCalled], list[str]]:
    told, calls = list[ToolCalled](), list[str]()
    answered = desk(told=told, calls=calls, frozen=SEEN).answer(tool, arguments)
    return (json.loads(answered.text) if answered.ok else answered.text), told, calls


@pytest.mark.requirement("HAPI-161")
def test_a_replay_shows_a_fact_that_was_seen_then_and_asks_nobody():
    answer, told, calls = asked_of_a_replay("get_evidence", of=SEEN[7].id)

    assert [one["id"] for one in answer["evidence"]] == [SEEN[7].id]
    assert [(one.ok, one.evidence) for one in told] == [(True, [])]
    assert calls == []


@pytest.mark.requirement("HAPI-161")
@given(
    sizes=st.lists(st.integers(0, 4_000), min_size=1, max_size=40),
    room=st.integers(900, 9_000),
    ids=st.sampled_from([16, 40, 64]),
)
def test_a_replay_shows_all_that_was_seen_of_an_object_once_page_by_page(
    sizes: list[int], room: int, ids: int
):
    seen = [
        evidence(f"ev-{number:0{ids}x}", CHECKOUT, summary="x" * size) for number, size in enumerate(sizes)
    ]
    there, got, cursor = desk(calls=(calls := list[str]()), frozen=seen, room=room), list[str](), None
    for _ in range(len(seen) + 1):
        given = {"of": "Deployment.apps/shop/checkout", "kind": "change"} | (
            {"cursor": cursor} if cursor else {}
        )
        answered = there.answer("get_evidence", given)
        assert len(answered.text) <= room
        got += re.findall(r'"id":"(ev-[0-9a-f]+)"', answered.text)
        if (found := re.search(r'"next_cursor":"(ev-[0-9a-f]+)"', answered.text)) is None:
            break
        cursor = found[1]

    assert got == [one.id for one in seen]
    assert calls == []


@pytest.mark.requirement("HAPI-161")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_evidence", {"of": "ev-00000000ffffffff"}),
        ("get_evidence", {"of": "Pod/shop/never-seen"}),
        ("get_evidence", {"of": "Deployment/shop/checkout", "kind": "log"}),
        ("get_causes", {"target": "Deployment/shop/checkout"}),
        ("get_logs", {"namespace": "shop", "pod": "a"}),
    ],
)
def test_a_replay_is_told_where_else_to_look_for_what_was_not_seen(tool: str, arguments: dict[str, str]):
    answer, told, calls = asked_of_a_replay(tool, **arguments)

    assert "replay" in answer
    assert "get_evidence" in answer
    assert [one.ok for one in told] == [False]
    assert calls == []


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
    for number in range(MOST_CALLS):
        there.answer("get_causes", {"target": f"Pod/shop/a-{number}"})

    answered = there.answer("get_causes", {"target": "Pod/shop/a"})

    assert not answered.ok
    assert "conclude" in answered.text


def test_the_same_question_is_answered_once():
    there = desk()

    first = there.answer("get_causes", {"target": "Pod/shop/a"})
    again = there.answer("get_causes", {"target": "Pod/shop/a"})

    assert (first.ok, again.ok) == (True, False)
    assert "asked before" in again.text


def test_a_question_that_got_no_answer_may_be_asked_again():
    answers = iter([httpx.Response(503), httpx.Response(200, content=found().model_dump_json().encode())])
    transport = httpx.MockTransport(lambda _: next(answers))
    context = Context(
        ContextAccess(url="http://context", timeout_s=5), until=time.monotonic() + 60, transport=transport
    )
    there = Desk(
        context, cluster="local", room=8_000, known=[], redactor=Redactor(b"k" * 16), tell=lambda _: None
    )

    assert [there.answer("get_causes", {"target": "Pod/shop/a"}).ok for _ in range(2)] == [False, True]


def test_a_tool_there_is_none_of_is_told_with_those_there_are():
    answered = desk().answer("kubectl_exec", {"command": "id"})

    assert (answered.ok, answered.text) == (
        False,
        "there is no tool of this name; there are: get_causes, get_evidence, get_logs",
    )


@pytest.mark.parametrize(
    "body",
    [
        {"status": "success", "data": {"stdout": "", "stderr": "connection refused"}},
        {"status": "success", "stderr": "no such host"},
        {"error": "boom"},
        {"data": {"return_code": 1}},
    ],
)
@pytest.mark.requirement("HAPI-029")
def test_a_success_that_tells_of_a_failure_is_a_failure(body: dict[str, Any]):
    told: list[ToolCalled] = []
    whole = {**json.loads(found().model_dump_json()), **body}

    answered = desk(json.dumps(whole).encode(), told).answer("get_causes", {"target": "Pod/shop/a"})

    assert not answered.ok
    assert "tells of a failure" in answered.text
    assert told[0].evidence == []


@pytest.mark.requirement("HAPI-110", "HAPI-073")
def test_what_the_model_reads_holds_no_secret_and_the_service_gets_the_facts_as_they_were():
    told: list[ToolCalled] = []
    secret = secrets.token_hex(12)
    item = evidence(ID, CHECKOUT, summary=f"login failed, password={secret}")
    page = EvidencePage(target=CHECKOUT, items=[item], total=1, snapshot_at=NOW)
    there = desk(page.model_dump_json().encode(), told)

    answered = there.answer("get_evidence", {"of": "Deployment.apps/shop/checkout"})

    assert answered.ok
    assert secret not in answered.text
    assert "[SECRET-" in answered.text
    assert secret not in there.seen[1].summary
    assert told[0].evidence == [item]


@pytest.mark.requirement("HAPI-110", "HAPI-073")
def test_a_refusal_and_the_arguments_that_are_told_hold_no_secret_either():
    told: list[ToolCalled] = []
    secret = secrets.token_hex(12)

    answered = desk(told=told).answer("get_logs", {"namespace": "shop", "pod": "a", "token": secret})

    assert not answered.ok
    assert secret not in told[0].model_dump_json()


@pytest.mark.requirement("HAPI-110")
def test_arguments_are_cleared_before_they_are_shortened():
    told: list[ToolCalled] = []
    secret = secrets.token_hex(12)
    pod = f"{'x' * 170} postgres://app:{secret}@db/shop"  # its 200th character stands in the secret

    desk(told=told).answer("get_logs", {"namespace": "shop", "pod": pod})

    assert secret[:8] not in told[0].model_dump_json()
    assert "[SECRET-" in str(told[0].arguments["pod"])


@pytest.mark.requirement("HAPI-073")
def test_an_answer_that_cannot_be_cleared_is_not_shown():
    told: list[ToolCalled] = []
    secret = "s" * 2_000_000

    answered = desk(
        found(cause(text=f"password={secret}", evidence_ids=[ID])).model_dump_json().encode(), told
    ).answer("get_causes", {"target": "Pod/shop/a"})

    assert not answered.ok
    assert "could not be cleared" in answered.text
    assert "sss" not in told[0].model_dump_json()


@pytest.mark.requirement("HAPI-075", "HAPI-073")
@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("get_causes", {"target": "Pod/payments/a"}),
        ("get_evidence", {"of": "Pod/payments/a"}),
        ("get_logs", {"namespace": "payments", "pod": "a"}),
        ("get_logs", {"namespace": "shop-2", "pod": "a"}),
    ],
)
def test_about_a_namespace_the_asker_may_not_read_nobody_is_asked(tool: str, given: dict[str, Any]):
    calls: list[str] = []

    answered = desk(calls=calls, namespaces=["shop", "team-*"]).answer(tool, given)

    assert (answered.ok, calls) == (False, [])
    assert "may not read" in answered.text


def test_globs_of_namespaces_are_within_reach():
    there = desk(namespaces=["shop", "team-*"])

    assert there.answer("get_causes", {"target": "Pod/team-a/x"}).ok
    assert there.answer("get_causes", {"target": "Pod/shop/x"}).ok


class Abroad:
    """The service's end: answers every question, or none."""

    def __init__(self, answered: ToolAnswered | None) -> None:
        self.asked: list[ToolAsked] = []
        self._answered = answered

    def answer(self, number: int, *, until: float) -> ToolAnswered | None:
        return self._answered and self._answered.model_copy(update={"number": number})


def going_abroad(
    answered: ToolAnswered | None, *, frozen: bool = False
) -> tuple[Desk, Abroad, list[ToolCalled]]:
    there, told = Abroad(answered), list[ToolCalled]()
    access = ContextAccess(url="http://context", timeout_s=5)
    transport = httpx.MockTransport(lambda _: httpx.Response(500))
    made = Desk(
        Context(access, until=time.monotonic() + 60, transport=transport),
        cluster="local",
        room=200,
        known=[],
        redactor=Redactor(b"0123456789abcdef"),
        frozen=frozen,
        tell=told.append,
        elsewhere=Elsewhere(
            [CustomTool(name="cmdb__owner", description="x")], there.asked.append, there, until=0
        ),
    )
    return made, there, told


@pytest.mark.requirement("HAPI-012")
def test_a_question_to_a_foreign_system_is_asked_of_the_service_and_its_fact_may_be_cited():
    answered = ToolAnswered(number=1, ok=True, text="y" * 300, evidence=[evidence(ID)])
    made, there, told = going_abroad(answered)

    answer = made.answer("cmdb__owner", {"host": "web-1", "none": None})

    assert (answer.ok, len(answer.text)) == (True, 200)
    assert [(one.tool, one.arguments) for one in there.asked] == [("cmdb__owner", {"host": "web-1"})]
    assert [item.id for item in made.seen] == [ID]
    assert told == []  # the service tells of it: what this process says of it would count for nothing


@pytest.mark.requirement("HAPI-012")
@pytest.mark.parametrize(
    "given", [None, [], "x", {NOT_JSON: "{"}, {"a": object()}, {"a": "\ud800"}, {"a": "x" * 30_000}]
)
def test_arguments_that_are_no_json_object_never_leave_the_process(given: Any):
    made, there, _ = going_abroad(None)

    answer = made.answer("cmdb__owner", given)

    assert not answer.ok
    assert there.asked == []


@pytest.mark.requirement("HAPI-012")
def test_a_refusal_no_answer_in_time_and_a_replay_are_sentences():
    refused, _, _ = going_abroad(ToolAnswered(number=1, ok=False, text="not approved in time"))
    silent, _, _ = going_abroad(None)
    frozen, there, _ = going_abroad(None, frozen=True)

    assert refused.answer("cmdb__owner", {}).text == "not approved in time"
    assert "time is up" in silent.answer("cmdb__owner", {}).text
    assert "replay" in frozen.answer("cmdb__owner", {}).text
    assert there.asked == []
