"""One question of a chat: HolmesGPT asks a model, the model asks the desk, and its last answer is the answer.

As private to the run as an investigation is (`child.py`), and within the same bounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from holmes.core.prompt import PromptComponent
from holmes.core.tool_calling_llm import ToolCallingLLM
from holmes.core.tools_utils.tool_executor import ToolExecutor
from holmes.utils.stream import StreamEvents

from libs.redaction import Redactor
from services.holmesgpt_api.engine import chat_prompt
from services.holmesgpt_api.engine.context import Context
from services.holmesgpt_api.engine.desk import Desk
from services.holmesgpt_api.engine.failures import NoModel
from services.holmesgpt_api.engine.framing import Closed
from services.holmesgpt_api.engine.llm import BoundedLLM
from services.holmesgpt_api.engine.messages import (
    SAID,
    Answered,
    Failed,
    ModelAsked,
    Step,
    TalkRequest,
    ToolCalled,
    Usage,
)
from services.holmesgpt_api.engine.tools import DESK

OURS_ALONE = {one: one is PromptComponent.SYSTEM_PROMPT_ADDITIONS for one in PromptComponent}
"""HolmesGPT's own prompt is for its own tools; of its parts only the place for ours is kept."""


def opening(system: str, asked: str) -> list[dict[str, Any]]:
    """What HolmesGPT's `build_chat_messages` makes with `OURS_ALONE`, without compiling its template of 20 KB each time.
    A test holds the two to each other."""
    return [{"role": "system", "content": system.strip()}, {"role": "user", "content": asked}]


class Hears(Protocol):
    """As `ear.Ear`."""

    def leave(self, step: int, *, until: float) -> None: ...


Tell = Callable[[Step | ToolCalled | Usage | ModelAsked], None]


def talk(request: TalkRequest, tell: Tell, ear: Hears, executor: ToolExecutor) -> Answered | Failed:
    until = time.monotonic() + request.seconds

    def may(step: int) -> None:
        if request.metered:
            ear.leave(step, until=until)

    try:
        llm = BoundedLLM(request.model, fallbacks=request.fallbacks, until=until, tell=tell, leave=may)
        known = request.head_start.evidence if request.head_start else []
        with Context(request.context, until=until) as context:
            desk = Desk(
                context,
                cluster=request.context.cluster,
                namespaces=request.context.namespaces,
                room=llm.room,
                known=known,
                redactor=Redactor(bytes.fromhex(request.redaction_key)),
                tell=tell,
            )
            return Answered(text=_answer(request, llm, desk, executor), cut_off=llm.cut_off)
    except NoModel as error:
        return Failed(word=error.word, detail=error.detail)
    except Closed:
        raise
    except Exception as error:
        # HolmesGPT raises bare exceptions for many reasons; the run ends here either way, and its cause is told.
        return Failed(word="engine-failed", detail=f"{type(error).__name__}: {error}"[:SAID])


def _answer(request: TalkRequest, llm: BoundedLLM, desk: Desk, executor: ToolExecutor) -> str:
    ai = ToolCallingLLM(executor, request.max_steps, llm, None)
    begun = opening(chat_prompt.system(), chat_prompt.question(request, window=llm.window))
    messages = [begun[0], *chat_prompt.earlier(request), *begun[1:]]
    for event in ai.call_stream(msgs=messages, request_context={DESK: desk}):
        if event.event == StreamEvents.ANSWER_END:
            return _text(event.data.get("content"), llm)
    raise NoModel("engine-failed", "HolmesGPT ended without an answer")


def _text(content: Any, llm: BoundedLLM) -> str:
    if isinstance(content, str) and content.strip():
        return content
    raise NoModel("model-garbage", llm.how_far("the model's answer was empty"))
