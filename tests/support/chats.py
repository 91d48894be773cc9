"""Makes the values that tests of chat talk about."""

from __future__ import annotations

from typing import Any

from services.holmesgpt_api.domain.chat.session import About, Owner, Question, Reply

ANA = Owner("default", "ana")
BEN = Owner("default", "ben")


def question(message: str = "why?", **fields: Any) -> Question:
    values: dict[str, Any] = {
        "owner": ANA,
        "reads": ("*",),
        "session_id": None,
        "investigation_id": None,
        "about": About(),
        "message": message,
    }
    return Question(**(values | fields))


def reply(text: str = "Because.", **fields: Any) -> Reply:
    return Reply(**({"text": text, "engine": "triage", "topic": "why", "degraded_reason": "x"} | fields))
