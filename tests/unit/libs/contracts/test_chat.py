"""What may be asked: zero values count as left out, unknown fields are ignored, and what cannot be kept is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from libs.contracts.chat import LONGEST_QUESTION, ChatFrame, ChatRequest

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-045", "HAPI-073")


def test_zero_values_count_as_left_out_and_unknown_fields_are_ignored():
    body = {"message": " why? ", "session_id": "", "namespace": None, "investigation_id": "", "user": "x"}

    asked = ChatRequest.model_validate(body)

    assert asked == ChatRequest(message="why?")
    assert (asked.include_context, asked.include_metrics, asked.stream) == (True, False, False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": ""},
        {"message": " \n "},
        {"message": "x" * (LONGEST_QUESTION + 1)},
        {"message": "a\0b"},
        {"message": "\ud800"},
        {"message": "why?", "session_id": "../x"},
        {"message": "why?", "namespace": "Shop"},
        {"message": "why?", "investigation_id": "x" * 65},
        [],
        "why?",
    ],
)
def test_what_is_no_question_or_cannot_be_kept_is_refused(body: object):
    with pytest.raises(ValidationError):
        ChatRequest.model_validate(body)


def test_a_frame_is_the_same_question_in_its_sockets_session():
    frame = ChatFrame.model_validate({"message": "why?", "context": {"namespace": "shop"}})

    assert frame.request("session-1") == ChatRequest(message="why?", session_id="session-1", namespace="shop")


def test_a_frame_may_name_another_session():
    frame = ChatFrame.model_validate({"message": "why?", "context": {"session_id": "session-2"}})

    assert frame.request("session-1").session_id == "session-2"
    assert ChatFrame.model_validate({"message": "why?", "context": None}).request(None).session_id is None


@pytest.mark.parametrize("frame", [[], 7, {"context": {}}, {"message": "why?", "context": "shop"}])
def test_what_is_no_frame_is_refused(frame: object):
    with pytest.raises(ValidationError):
        ChatFrame.model_validate(frame)
