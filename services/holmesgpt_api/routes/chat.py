"""`/api/v1/chat`: ask a question about an incident, read what a session has said, end it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from libs.auth.guards import require_permission
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.chat import ChatAnswer, ChatEvent, ChatHistory, ChatRequest
from libs.contracts.problem import Problem
from libs.storage.errors import StorageUnavailable
from libs.web import TimeLeft, TimeSpent
from services.holmesgpt_api.adapters.chat_meters import ChatMeters
from services.holmesgpt_api.domain.chat.answer import PATH
from services.holmesgpt_api.domain.chat.errors import ChatError
from services.holmesgpt_api.domain.chat.session import Turn
from services.holmesgpt_api.domain.patience import answer_by
from services.holmesgpt_api.routes.chat_problems import document
from services.holmesgpt_api.steps.chat import Chat, told

router = APIRouter(prefix=PATH, tags=["chat"])

Caller = Annotated[Principal, Depends(require_permission(Permission.chat_interactive))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="the same key and question give the same answer; 422 for another question",
    ),
]
SessionId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]

_YAML: dict[str, Any] = {"requestBody": {"content": {"application/yaml": {"schema": {"type": "object"}}}}}
_Responses = dict[int | str, dict[str, Any]]
_PROBLEMS: _Responses = {
    code: {"model": Problem, "description": said}
    for code, said in {
        403: "No permission, or no right to read the namespace",
        404: "No such session or investigation, or not yours",
        409: "The session's question before is not answered yet, or it is about another investigation",
        422: "Invalid input, or an Idempotency-Key used for another question",
        429: "As many questions or sessions of this caller as there may be",
        503: "`no-model`: triage cannot answer this, and there is no model that does; or nothing was recorded",
    }.items()
}
_STREAM: _Responses = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "The answer; with `stream: true` server-sent events `step`, `tool`, `restarted`, then `answer` "
        "(the answer object) or `problem`",
    }
}


async def _chat_of(request: Request) -> Chat:
    chat: Chat = request.app.state.ports.chat
    return chat


async def _meters_of(request: Request) -> ChatMeters:
    meters: ChatMeters = request.app.state.ports.chat_meters
    return meters


AtChat = Annotated[Chat, Depends(_chat_of)]
AtMeters = Annotated[ChatMeters, Depends(_meters_of)]


@router.post("", response_model=ChatAnswer, responses={**_PROBLEMS, **_STREAM}, openapi_extra=_YAML)
async def ask(
    body: ChatRequest,
    caller: Caller,
    chat: AtChat,
    meters: AtMeters,
    left: TimeLeft,
    spent: TimeSpent,
    key: Key = None,
) -> Response:
    """Ask a question; answered by a model where one is configured, else by triage from its findings.

    By REST the answer comes within 25 s of the request (`SYNC_ANSWER_TIMEOUT`, or the caller's deadline): when no model has
    answered by then it is triage's, and says so (`metadata.engine`, `metadata.degraded_reason`). A stream may take
    longer (`HOLMESGPT_CHAT_TIMEOUT`). A question that is repeated with its `Idempotency-Key` gets the first one's answer,
    or waits for it, for as long as its session lives.
    """
    if not body.stream:
        answer = await chat.ask(body, caller, left, key, spent=spent)
        meters.answered("rest", answer)
        return _json(answer)
    turn = await chat.open(body, caller, answer_by(chat.longest_stream, left, spent=spent), key)
    return StreamingResponse(
        _events(chat, turn, meters), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@router.get("/{session_id}", responses=_PROBLEMS)
async def read(
    session_id: SessionId,
    caller: Caller,
    chat: AtChat,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=20)] = None,
) -> ChatHistory:
    """What the session has said, newest first."""
    return await chat.history(session_id, caller, limit=limit, cursor=cursor)


@router.delete("/{session_id}", status_code=204, responses=_PROBLEMS)
async def end(session_id: SessionId, caller: Caller, chat: AtChat) -> None:
    """End the session and forget what it has said; a question under way ends without an answer."""
    await chat.delete(session_id, caller)


async def _events(chat: Chat, turn: Turn, meters: ChatMeters) -> AsyncIterator[str]:
    """As server-sent events; what goes wrong once they have begun is one too."""
    try:
        async with aclosing(chat.follow(turn)) as events:
            async for seen in events:
                match seen:
                    case None:
                        yield ": still at it\n\n"
                    case Turn():
                        answer = told(seen)
                        meters.answered("stream", answer)
                        yield _event("answer", answer.model_dump_json())
                    case ChatEvent(kind=kind):
                        yield _event(kind.value, seen.model_dump_json(exclude_none=True))
    except (ChatError, StorageUnavailable) as error:
        yield _event("problem", document(error).decode())


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"


def _json(body: ChatAnswer) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")
