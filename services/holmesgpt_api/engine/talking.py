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
    Checkpoint,
    Failed,
    ModelAsked,
    Step,
    TalkRequest,
    ToolCalled,
    Usage,
)
from services.holmesgpt_api.engine.steps import Steps, messages_of
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

    def recorded(self, until: float) -> None: ...


Tell = Callable[[Step | Checkpoint | ToolCalled | Usage | ModelAsked], None]


def talk(request: TalkRequest, tell: Tell, ear: Hears, executor: ToolExecutor) -> Answered | Failed:
    until, resume = time.monotonic() + request.seconds, request.resume

    def may(step: int) -> None:
        if request.metered:
            ear.leave(step, until=until)

    try:
        llm = BoundedLLM(
            request.model,
            fallbacks=request.fallbacks,
            until=until,
            tell=tell,
            leave=may,
            steps=Steps(tell, ear.recorded, until=until, resume=resume, sparing=True),
            usage=request.usage,
        )
        known = request.head_start.evidence if request.head_start else []
        with Context(request.context, until=until) as context:
            desk = Desk(
                context,
                cluster=request.context.cluster,
                namespaces=request.context.namespaces,
                room=llm.room,
                known=[*known, *(resume.evidence if resume else [])],
                redactor=Redactor(bytes.fromhex(request.redaction_key)),
                tell=tell,
                calls=resume.calls if resume else 0,
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
    done = llm.steps.number
    messages = messages_of(request.resume) if request.resume else _first_question(request, llm)
    for event in ai.call_stream(msgs=messages, request_context={DESK: desk}, iteration_offset=done):
        if event.event == StreamEvents.ANSWER_END:
            return _text(event.data.get("content"), llm)
    raise NoModel("engine-failed", "HolmesGPT ended without an answer")


def _first_question(request: TalkRequest, llm: BoundedLLM) -> list[dict[str, Any]]:
    system, asked = opening(chat_prompt.system(), chat_prompt.question(request, window=llm.window))
    return [system, *chat_prompt.earlier(request), asked]


def _text(content: Any, llm: BoundedLLM) -> str:
    if isinstance(content, str) and content.strip():
        return content
    raise NoModel("model-garbage", llm.how_far("the model's answer was empty"))
