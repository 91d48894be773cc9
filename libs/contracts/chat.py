"""Chat on the wire: questions about an incident, their answers, and what a session has said."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from libs.contracts.base import Contract, Foreign, UtcTime
from libs.contracts.target import Namespace

LONGEST_QUESTION = 4_000
"""Characters. A question with a stack trace in it has fewer; a log belongs into the evidence."""

_UNSTORABLE = re.compile("[\\0\ud800-\udfff]")

Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_QUESTION)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]


class ChatRequest(Foreign):
    """One question. Unknown fields are ignored; a field sent as null or as an empty text counts as left out."""

    message: Question
    session_id: Id | None = Field(
        default=None, description="of the session to go on with; left out: a new one"
    )
    namespace: Namespace | None = Field(default=None, description="where the objects are that it names")
    investigation_id: Id | None = Field(
        default=None, description="the investigation that the session is about; one you may see"
    )
    include_context: bool = Field(default=True, description="tell in `context_used` what the answer rests on")
    include_metrics: bool = Field(
        default=False, description="name evidence from metrics in `context_used` as well"
    )
    stream: bool = Field(default=False, description="server-sent events: steps, then the answer")

    @model_validator(mode="before")
    @classmethod
    def _zero_values_count_as_left_out(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {key: value for key, value in body.items() if value is not None and value != ""}

    @model_validator(mode="after")
    def _can_be_stored(self) -> ChatRequest:
        if _UNSTORABLE.search(self.message):
            raise ValueError("message: it contains a NUL character or an unpaired surrogate; leave it out")
        return self


class ChatFrameContext(Foreign):
    """What a frame may say beside the question."""

    session_id: Id | None = None
    namespace: Namespace | None = None
    investigation_id: Id | None = None
    include_context: bool = True
    include_metrics: bool = False


class ChatFrame(Foreign):
    """One question on a WebSocket. The session goes on by itself; `context` names another one, or its subject."""

    message: Question
    context: ChatFrameContext = Field(default_factory=ChatFrameContext)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {key: value for key, value in body.items() if value is not None}

    def request(self, session_id: str | None) -> ChatRequest:
        """As the same question by REST, in the socket's session unless it names one."""
        asked = self.context.model_dump()
        return ChatRequest(message=self.message, **{**asked, "session_id": asked["session_id"] or session_id})


class ChatAnswer(Contract):
    """The answer to one question, by REST, as a stream's last event, and on a WebSocket."""

    response: str
    session_id: str
    context_used: dict[str, Any] | None = Field(
        default=None, description="what the answer rests on: investigation, target, evidence"
    )
    suggestions: list[str] = Field(
        default_factory=list, description="questions that can be answered next, from the findings"
    )
    timestamp: UtcTime
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description="`engine` (`triage` or `holmesgpt`), `degraded_reason`, `tokens_used`, `response_time` in seconds, "
        "`turn`, `topic`, `evidence_ids`, `unsupported`",
    )


class ChatEventKind(StrEnum):
    step = "step"
    tool = "tool"
    restarted = "restarted"


class ChatEvent(Contract):
    """How far a question is: the model is asked, a tool has answered, or another worker goes on where one was lost."""

    number: int = Field(description="counts from 1 within a question")
    kind: ChatEventKind
    text: str
    tool: str | None = None
    arguments: dict[str, str] = Field(default_factory=dict)
    ok: bool | None = None
    seconds: float | None = None


class ChatTurn(Contract):
    """One question of a session's history with its answer, if there is one."""

    number: int
    message: str
    asked_at: UtcTime
    status: str = Field(description="`running`, `answered` or `failed`")
    answer: ChatAnswer | None = None
    error_code: str | None = None
    error: str | None = None


class ChatHistory(Contract):
    """A page of a session's history, newest first."""

    session_id: str
    investigation_id: str | None = None
    namespace: str | None = None
    created_at: UtcTime
    last_used_at: UtcTime
    expires_at: UtcTime = Field(description="when the session ends if nothing is asked any more")
    turns: list[ChatTurn]
    folded: int = Field(
        default=0, description="older questions that are no longer kept, because a session is bounded"
    )
    next_cursor: str | None = Field(default=None, description="pass as `?cursor=`; absent on the last page")
