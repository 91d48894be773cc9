"""Asks a foreign system over HTTP as a document says: one request, made of what is fixed and of checked arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.holmesgpt_api.adapters.outbound import Door, Head, NoAnswer
from services.holmesgpt_api.domain.custom import reading, template
from services.holmesgpt_api.domain.custom.document import HttpTool
from services.holmesgpt_api.domain.custom.errors import Unfit
from services.holmesgpt_api.domain.custom.words import plain

SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    body: bytes | None

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `failure`: what it tells of one, though it may look like a success; empty: nothing."""

    result: Any
    failure: str = ""
    maybe: bool = False
    """Of a failure: whether what was asked may have been done all the same."""


def request(tool: HttpTool, arguments: Mapping[str, Any]) -> Request:
    """Raises Unfit: with these arguments it would be another request than the document's."""
    path = template.path(tool.path).filled(arguments)
    query = template.query(tool.query).filled(arguments)
    body = None if tool.body is None else json.dumps(template.body(tool.body, arguments)).encode()
    target = f"{path}?{query}" if query else path
    if len(target) > template.LONGEST:
        raise Unfit("the arguments are too long for a request")
    return Request(tool.method, target, body)


async def ask(
    door: Door,
    tool: HttpTool,
    wanted: Request,
    *,
    headers: Sequence[tuple[str, str]],
    within: float,
    idempotency_key: str | None,
) -> Answer:
    """Raises NoAnswer."""
    given = [("Accept", "application/json, text/plain;q=0.5"), *headers]
    given += [("Content-Type", "application/json")] if wanted.body is not None else []
    given += [("Idempotency-Key", idempotency_key)] if idempotency_key else []
    head, body = await door.ask(
        wanted.method, wanted.target, headers=given, content=wanted.body, within=within
    )
    return _answer(tool, head, body)


def _answer(tool: HttpTool, head: Head, body: bytes) -> Answer:
    if head.status not in SUCCESS:
        # What an error page says may be anything; a problem document's words are worth having.
        return Answer(None, f"HTTP {head.status} {_said(head, body)}".strip(), maybe=head.status >= 500)
    if not body:
        return Answer({"status": head.status})
    if not reading.is_text(head.media_type):
        kind = plain(head.media_type, 60) or "nothing that it says of its kind"
        raise NoAnswer("bad-content", f"its answer is {kind}, neither JSON nor text", maybe=True)
    try:
        answer = reading.parsed(body, head.media_type)
    except ValueError as error:
        raise NoAnswer(
            "bad-content", f"its answer is not what it says: {_named(error)}", maybe=True
        ) from None
    if failed := reading.failure(answer):
        return Answer(None, failed, maybe=True)
    try:
        return Answer(reading.selected(answer, tool.result))
    except reading.NotThere as error:
        raise NoAnswer("bad-content", str(error), maybe=True) from None


def _said(head: Head, body: bytes) -> str:
    if not reading.is_json(head.media_type):
        return ""
    try:
        problem = reading.parsed(body, head.media_type)
    except ValueError:
        return ""
    if not isinstance(problem, Mapping):
        return ""
    words = [problem.get(name) for name in ("title", "detail", "message", "error")]
    return plain(": ".join(one for one in words if isinstance(one, str)), 200)


def _named(error: ValueError) -> str:
    return "no UTF-8" if isinstance(error, UnicodeDecodeError) else "no JSON"
