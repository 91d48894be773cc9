"""Every error of a chat is told by a code, with the remedy, over HTTP and where the status has been sent already."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.chat.errors import (
    ChatError,
    EvidenceAway,
    NothingKnown,
    StillAnswering,
    TooManyQuestions,
    UnknownSession,
)
from services.holmesgpt_api.domain.errors import NotReadable
from services.holmesgpt_api.routes.chat_problems import PROBLEMS, document

pytestmark = pytest.mark.requirement("HAPI-043", "HAPI-103")


@pytest.mark.parametrize(
    ("error", "status", "code", "said"),
    [
        (UnknownSession(), 404, "unknown-session", "leave session_id out"),
        (StillAnswering(), 409, "still-answering", "another session"),
        (TooManyQuestions(3), 429, "too-many-questions", "3 questions"),
        (NothingKnown("no-model-configured", "Ask this."), 503, "no-model", "Ask this."),
        (EvidenceAway("The Context API is away."), 503, "context-unavailable", "away"),
        (NotReadable("data"), 403, "namespace-not-readable", "data"),
        (
            StorageUnavailable("busy", "secret", retry_after=timedelta(seconds=1)),
            503,
            "storage-unavailable",
            "again",
        ),
    ],
)
def test_a_document_says_status_code_and_remedy(error: Exception, status: int, code: str, said: str):
    told = json.loads(document(error))

    assert (told["status"], told["code"]) == (status, code)
    assert said in told["detail"]
    assert "secret" not in told["detail"]


def test_every_chat_error_has_its_problem():
    assert set(ChatError.__subclasses__()) == set(PROBLEMS)


def test_who_may_come_again_is_told_when():
    away = PROBLEMS[EvidenceAway].retry_after
    assert away is not None
    assert away(EvidenceAway("x", retry_after=timedelta(seconds=7))) == timedelta(seconds=7)
    assert away(EvidenceAway("x")) == timedelta(seconds=2)
