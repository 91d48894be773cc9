"""What was seen and spent outlives the process that did it."""

from __future__ import annotations

from typing import Any

import pytest

from libs.redaction import Redactor
from services.holmesgpt_api.adapters.holmes import HEAD_START
from services.holmesgpt_api.adapters.run_course import (
    EVIDENCE_AT_MOST,
    Course,
    fitting,
    resume,
    so_far,
    taken_up,
)
from services.holmesgpt_api.adapters.steps import LastStep
from services.holmesgpt_api.domain.verdict import ToolUse
from services.holmesgpt_api.engine.framing import LARGEST
from services.holmesgpt_api.engine.messages import ANSWER_AT_MOST, MESSAGES_AT_MOST, ToolCalled, Usage
from services.holmesgpt_api.engine.packing import pack
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION
from tests.support.investigations import evidence

pytestmark = pytest.mark.requirement("HAPI-029", "HAPI-163")

MODELS, KEY = {"first": "m"}, bytes(16)
USAGE = Usage(requests=3, prompt_tokens=3000, completion_tokens=150, cost_usd=0.5)


def spent() -> Course:
    course = Course(MODELS, 0.0, Redactor(KEY), usage=USAGE, steps=3, before=7.0)
    for number in (1, 2):
        course.called(
            ToolCalled(tool="get_logs", arguments={"n": number}, ok=True, evidence=[evidence(f"ev-{number}")])
        )
    return course


def last(course: Course, **fields: object) -> LastStep:
    values: dict[str, Any] = {
        "number": 3,
        "phase": "talk",
        "messages": b"m",
        "answer": None,
        "course": course.packed(),
    }
    return LastStep(**(values | fields))


def test_a_run_taken_up_again_knows_what_it_has_seen_spent_and_asked():
    again = taken_up(MODELS, Redactor(KEY), last(spent()))

    assert (again.usage, again.steps, again.calls, again.resumed) == (USAGE, 3, 2, 1)
    assert list(again.evidence) == ["ev-1", "ev-2"]
    assert [one.arguments for one in again.tools] == [{"n": "1"}, {"n": "2"}]
    assert again.before > 7.0
    assert again.use().requests == 3


def test_every_time_it_is_taken_up_counts():
    once = taken_up(MODELS, Redactor(KEY), last(spent()))

    assert taken_up(MODELS, Redactor(KEY), last(once)).resumed == 2


@pytest.mark.requirement("HAPI-161")
def test_the_words_it_was_asked_under_are_told_whether_it_begins_or_goes_on():
    begun = taken_up(MODELS, Redactor(KEY), None, prompt="brief")
    again = taken_up(MODELS, Redactor(KEY), last(begun), prompt="brief")

    assert (begun.use().prompt, again.use().prompt) == ("brief", "brief")
    assert spent().use().prompt == PROMPT_VERSION


@pytest.mark.requirement("HAPI-003")
def test_a_reader_is_told_what_has_been_seen_and_spent_by_a_step():
    course = spent()
    told = so_far(3, course.packed())

    assert [one.id for one in told.evidence] == ["ev-1", "ev-2"]
    assert told.use.model_copy(update={"seconds": 0.0}) == course.use().model_copy(update={"seconds": 0.0})
    assert told.use.seconds >= 7.0


@pytest.mark.parametrize(
    "packed",
    [b"torn", pack({"usage": {}}, at_most=1000), pack({**spent()._known(), "model": 7}, at_most=10**6)],
)
def test_a_step_of_another_release_is_refused(packed: bytes):
    with pytest.raises(ValueError):
        so_far(3, packed)


def test_a_run_that_begins_knows_nothing():
    begun = taken_up(MODELS, Redactor(KEY), None)

    assert (begun.usage, begun.steps, begun.evidence, begun.resumed) == (Usage(), 0, {}, 0)


def test_the_next_process_is_handed_the_step_and_the_evidence():
    course = spent()
    handed = resume(last(course, answer=b"a"), course)

    assert (handed.number, handed.messages, handed.answer, handed.calls) == (3, b"m", b"a", 2)
    assert [one.id for one in handed.evidence] == ["ev-1", "ev-2"]


def test_evidence_beyond_the_room_is_left_out_from_the_end():
    items = [evidence(f"ev-{number}") for number in range(10)]
    room = sum(len(one.model_dump_json()) for one in items[:4])

    assert fitting(items, room) == items[:4]
    assert fitting(items, 0) == []


def test_the_largest_step_fits_into_a_frame_beside_the_largest_head_start():
    in_base64 = (MESSAGES_AT_MOST + ANSWER_AT_MOST) * 4 // 3

    assert in_base64 + EVIDENCE_AT_MOST + HEAD_START < LARGEST


@pytest.mark.requirement("HAPI-012")
def test_what_foreign_systems_answered_is_kept_with_their_toolsets_version():
    course = Course(MODELS, 0.0, Redactor(KEY))
    use = ToolUse(tool="cmdb__owner", arguments={"host": "web-1"}, ok=True, toolset="cmdb@1.2.0")
    course.abroad(use, evidence("ev-1"))
    course.abroad(use.model_copy(update={"ok": False}), None)

    again = taken_up(MODELS, Redactor(KEY), last(course))

    assert [(one.toolset, one.ok) for one in again.use().tools] == [
        ("cmdb@1.2.0", True),
        ("cmdb@1.2.0", False),
    ]
    assert (list(again.evidence), again.calls) == (["ev-1"], 2)
