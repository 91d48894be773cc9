"""What of a chat crosses to the process in which a model's client runs holds no secret, whatever is recorded."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from libs.contracts.chat import ChatEventKind
from libs.redaction import Redactor, Unredactable
from libs.redaction.redactor import LONGEST
from services.holmesgpt_api.adapters.holmes_chat import HolmesTalker, _of_tool
from services.holmesgpt_api.adapters.run_course import Course, taken_up
from services.holmesgpt_api.adapters.steps import LastStep
from services.holmesgpt_api.adapters.zygote import Zygote
from services.holmesgpt_api.domain.chat.session import Owner, Said, TakenTurn
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.model import ModelFailed
from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.engine.messages import ModelAccess, TalkRequest, ToolCalled, Usage
from tests.fakes.purse import FakePurse
from tests.fakes.steps import MemorySteps
from tests.support.investigations import CHECKOUT, cause, claimed, evidence, found

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-075", "HAPI-110")

S = secrets.token_hex(14)
KEY = bytes(16)
ACCESS = ModelAccess(
    model="openai/x",
    api_base="http://model",
    api_key="none",
    context_tokens=32_000,
    output_tokens=1_000,
    request_timeout_s=5,
    attempts=1,
)


CLUSTERS = Clusters("http://context", {"eu": "http://context-eu"})


def asked(message: str = "why?", earlier: tuple[Said, ...] = ()) -> TakenTurn:
    verdict = conclude(
        found(cause(text=f"secret={S}"), evidence=[evidence("e1", summary=f"PGPASSWORD={S}")]),
        CHECKOUT,
        claimed(),
        "no-model-configured",
    )
    return TakenTurn(
        id="chat-1",
        fence=1,
        owner=Owner("default", "ana"),
        reads=("*",),
        message=message,
        namespace=None,
        interim=None,
        verdict=verdict,
        time_left=timedelta(seconds=9),
        earlier=earlier,
    )


def request(taken: TakenTurn, last: LastStep | None = None) -> TalkRequest:
    talker = HolmesTalker(
        cast(Zygote, None),  # nothing is sent
        Roster([]),
        clusters=CLUSTERS,
        mint=lambda taken, within: "token",
        steps=MemorySteps(),
        max_steps=4,
        tool_timeout=timedelta(seconds=5),
        start_within=timedelta(seconds=5),
        purse=FakePurse(),
    )
    course = taken_up({"": "openai/x"}, Redactor(KEY), last)
    return talker._request(taken, talker._access(taken), 9.0, [ACCESS], KEY, course, "", last)


def test_a_question_what_was_said_before_and_what_triage_found_are_told_without_their_secrets():
    old = [Said(f"is token={S} right?", f"No: postgres://app:{S}@db/shop") for _ in range(12)]

    told = request(asked(f"does password={S} work?", tuple(old)))

    assert S not in told.model_dump_json()
    assert "[SECRET-" in told.question
    assert all("[SECRET-" in one.question and "[SECRET-" in one.answer for one in told.earlier)
    assert (len(told.earlier), len(told.folded)) == (10, 2)
    assert all("[SECRET-" in one for one in told.folded)
    assert told.head_start is not None
    assert "[SECRET-" in told.head_start.causes[0].text


def test_what_cannot_be_looked_at_is_not_sent():
    with pytest.raises(Unredactable):
        request(asked(f"password={S} {'x' * LONGEST}"))


@pytest.mark.requirement("HAPI-009")
def test_a_tools_event_holds_no_secret_of_its_arguments_or_of_its_refusal():
    called = ToolCalled(tool="get_logs", arguments={"pod": f"token={S}"}, ok=False, detail=f"no password={S}")

    event = _of_tool(called, Redactor(KEY))

    assert event.kind is ChatEventKind.tool
    assert S not in event.model_dump_json()
    assert "[SECRET-" in event.text


@pytest.mark.requirement("HAPI-179")
def test_a_questions_tools_ask_in_the_cluster_of_its_session():
    unbound, bound = (request(replace(asked(), verdict=None, cluster=one)).context for one in (None, "eu"))

    assert (unbound.url, unbound.cluster) == ("http://context", "local")
    assert (bound.url, bound.cluster) == ("http://context-eu", "eu")


@pytest.mark.requirement("HAPI-179")
def test_a_question_about_a_cluster_that_nobody_configures_any_more_is_put_to_no_model():
    with pytest.raises(ModelFailed) as failed:
        request(replace(asked(), cluster="us"))

    assert failed.value.word == "unknown-cluster"


@pytest.mark.requirement("HAPI-029")
def test_a_question_that_goes_on_is_told_its_last_step_and_what_it_had_seen_and_cost():
    before = Course({"": "openai/x"}, 0.0, Redactor(KEY))
    before.called(ToolCalled(tool="get_causes", arguments={}, ok=True, evidence=[evidence("e1")]))
    before.usage = Usage(requests=2, prompt_tokens=20)

    whole = request(asked(), LastStep(3, "talk", b"said", None, before.packed()))
    told = whole.resume

    assert told is not None
    assert (told.number, told.messages, told.answer) == (3, b"said", None)
    assert [one.id for one in told.evidence] == ["e1"]
    assert (told.calls, whole.usage.requests, whole.usage.prompt_tokens) == (1, 2, 20)
    assert request(asked()).resume is None
