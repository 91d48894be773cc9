"""What the first question makes anew, made in the zygote, once: imports, tables of the libraries, compiled schemas.

The question is put to nobody: an answer that is known is handed to the client in the place of a connection. So the zygote
still talks to no model, and its children begin as if they had asked one.
"""

from __future__ import annotations

import json
import threading
import time

import httpx
from holmes.core.tools_utils.tool_executor import ToolExecutor
from pydantic import BaseModel

from libs.contracts.causes import CausesAnswer
from libs.contracts.target import Target
from libs.redaction import Redactor
from services.holmesgpt_api.engine import prompt
from services.holmesgpt_api.engine.asking import CAUSES
from services.holmesgpt_api.engine.context import Context
from services.holmesgpt_api.engine.desk import Desk
from services.holmesgpt_api.engine.framing import encode
from services.holmesgpt_api.engine.llm import answered_by, forget
from services.holmesgpt_api.engine.messages import Alert, ContextAccess, HeadStart, ModelAccess, TalkRequest
from services.holmesgpt_api.engine.talking import talk

SECONDS = 60.0

_ABOUT = Target(kind="Pod", namespace="warm", name="up")


class _Deaf:
    """In the place of the ear: nobody has anything to say."""

    def leave(self, step: int, *, until: float) -> None:
        return None

    def recorded(self, until: float) -> None:
        return None


def warm(executor: ToolExecutor) -> None:
    """Raises RuntimeError: a thread is left, which children would not inherit and libraries would count on."""
    with answered_by(httpx.MockTransport(_model)):
        talk(_question(), _unheard, _Deaf(), executor)
    _desk()
    head_start = HeadStart(target=_ABOUT, summary="", causes=[], evidence=[], not_looked_at=[])
    prompt.question(Alert(name="warm", priority="normal"), head_start, window=8_000, steps=2)
    prompt.last("", [], head_start, window=8_000)
    forget()
    left = [one.name for one in threading.enumerate() if one is not threading.main_thread()]
    if left:
        raise RuntimeError(f"threads are left after the first question: {', '.join(left)}")


def _question() -> TalkRequest:
    return TalkRequest(
        run="warm",
        seconds=SECONDS,
        max_steps=3,
        question="warm?",
        model=ModelAccess(
            model="openai/warm",
            api_base="http://model.invalid/v1",
            api_key="none",
            context_tokens=16_000,
            output_tokens=1_000,
            request_timeout_s=SECONDS,
            attempts=1,
        ),
        # About no namespace may be asked, so that the tool answers without asking anybody.
        context=ContextAccess(url="http://context.invalid", timeout_s=1.0, namespaces=[]),
    )


def _model(request: httpx.Request) -> httpx.Response:
    """Asks for a tool once, and concludes."""
    said = json.loads(request.content)["messages"]
    call = {"name": CAUSES, "arguments": json.dumps({"target": str(_ABOUT)})}
    asks = {"tool_calls": [{"id": "call_1", "type": "function", "function": call}], "content": None}
    message = {"role": "assistant", **({"content": "warm"} if said[-1]["role"] == "tool" else asks)}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "warm", "choices": [choice]}
    return httpx.Response(200, json={**answer, "usage": usage})


def _desk() -> None:
    """A tool's question that is answered, up to what is told of it."""
    empty = CausesAnswer(target=_ABOUT, ranked=[], no_cause=True).model_dump_json()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=empty))
    access = ContextAccess(url="http://context.invalid", timeout_s=1.0)
    with Context(access, until=time.monotonic() + SECONDS, transport=transport) as context:
        desk = Desk(
            context, cluster="local", room=1_000, known=[], redactor=Redactor(bytes(16)), tell=_unheard
        )
        desk.answer(CAUSES, {"target": str(_ABOUT)})


def _unheard(message: BaseModel) -> None:
    encode(message)
