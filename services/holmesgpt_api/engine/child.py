"""A child: one run after the other. In each HolmesGPT asks a model, the model asks the desk, and a last question makes it
a document.

Private to its reach: text that some asker of its runs could not read has never been in this process. What a run has for
itself (token, keys, desk, steps, connections) is made for it and dropped after it (`resident.py`), and the service
kills the process at the run's deadline.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
import time
from typing import Any

from holmes.core.tool_calling_llm import ToolCallingLLM
from holmes.core.tools_utils.tool_executor import ToolExecutor
from holmes.utils.stream import StreamEvents
from pydantic import BaseModel

from libs.redaction import Redactor
from services.holmesgpt_api.engine import prompt, tools
from services.holmesgpt_api.engine.confinement import narrow, ports
from services.holmesgpt_api.engine.context import Context
from services.holmesgpt_api.engine.desk import Desk
from services.holmesgpt_api.engine.ear import Ear
from services.holmesgpt_api.engine.elsewhere import Elsewhere
from services.holmesgpt_api.engine.failures import NoModel
from services.holmesgpt_api.engine.framing import Closed, send
from services.holmesgpt_api.engine.llm import BoundedLLM, forget, probe
from services.holmesgpt_api.engine.messages import (
    SAID,
    Concluded,
    Failed,
    Opinion,
    ProbeRequest,
    RunRequest,
    TalkRequest,
)
from services.holmesgpt_api.engine.resident import OtherReach, Resident
from services.holmesgpt_api.engine.steps import Steps, messages_of
from services.holmesgpt_api.engine.talking import opening, talk
from services.holmesgpt_api.engine.tools import DESK
from services.holmesgpt_api.engine.writing import NoDocument, opinion

FIRST_TRY = 2
"""Messages of the last question, before anything had to be mended."""


GARBAGE_AFTER = 20_000
"""Objects made before the collector looks at the young ones. After each run it looks at all of them."""


def live(sock: socket.socket, executor: ToolExecutor, more_ports: list[int] | None = None) -> int:
    """A child's whole life; returns its exit code.

    Args:
        more_ports: that it may connect to, beside those its runs need; None: to any.
    """
    gc.enable()
    gc.set_threshold(GARBAGE_AFTER, 20, 100)
    logging.disable(logging.CRITICAL)  # what is to be known goes over the socket; logs might repeat telemetry
    resident = Resident(forget=forget)

    def narrowed(request: RunRequest | TalkRequest | ProbeRequest) -> None:
        if more_ports is not None:
            narrow(_ports(request, more_ports))

    # Each thread gives up its own rights: the one that listens, and here the one that runs and begins all others.
    ear, tell = Ear(sock, first=narrowed), _Telling(sock)

    def one() -> None:
        request = ear.request()
        resident.begin("" if isinstance(request, ProbeRequest) else request.reach)
        if not resident.runs:
            narrowed(request)
        match request:
            case ProbeRequest():
                tell(probe(request, tell))
            case TalkRequest():
                tell(talk(request, tell, ear, executor))
            case RunRequest():
                tell(_investigate(request, tell, ear, executor))

    try:
        while True:
            resident.run(one)
            ear.over()
            tell(resident.rest())
    except OtherReach:
        return os.EX_DATAERR
    except Closed:
        return os.EX_IOERR


def _ports(request: RunRequest | TalkRequest | ProbeRequest, more: list[int]) -> frozenset[int]:
    if isinstance(request, ProbeRequest):
        return ports([request.model], None, more)
    return ports([request.model, *request.fallbacks], request.context, more)


class _Telling:
    """Tools answer in threads of their own; frames must not mix."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._lock = sock, threading.Lock()

    def __call__(self, message: BaseModel) -> None:
        with self._lock:
            send(self._sock, message)


def _investigate(request: RunRequest, tell: _Telling, ear: Ear, executor: ToolExecutor) -> Concluded | Failed:
    until = time.monotonic() + request.seconds
    resume = request.resume

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
            steps=Steps(tell, ear.recorded, until=until, resume=resume),
            usage=request.usage,
        )
        with Context(request.context, until=until) as context:
            desk = Desk(
                context,
                cluster=request.context.cluster,
                namespaces=request.context.namespaces,
                room=llm.room,
                known=[*request.head_start.evidence, *(resume.evidence if resume else [])],
                redactor=Redactor(bytes.fromhex(request.redaction_key)),
                frozen=request.frozen,
                tell=tell,
                calls=resume.calls if resume else 0,
                elsewhere=Elsewhere(request.custom, tell, ear, until=until) if request.custom else None,
            )
            if resume is not None and resume.phase == "document":
                asked = messages_of(resume)
            else:
                own = request.tools is None and not request.custom
                given = executor if own else tools.executor(request.tools, request.custom)
                answer = _converse(request, llm, desk, given)
                asked = _last_question(answer, request, llm, desk)
        said, repaired = _document(asked, llm, request.prompt)
        return Concluded(opinion=said, repaired=repaired)
    except NoModel as error:
        return Failed(word=error.word, detail=error.detail)
    except Closed:
        raise
    except Exception as error:
        # HolmesGPT raises bare exceptions for many reasons; the run ends here either way, and its cause is told.
        return Failed(word="engine-failed", detail=f"{type(error).__name__}: {error}"[:SAID])


def _converse(request: RunRequest, llm: BoundedLLM, desk: Desk, executor: ToolExecutor) -> str:
    """HolmesGPT's loop: questions and tools until the model has concluded. It goes on where it was broken off."""
    ai = ToolCallingLLM(executor, request.max_steps, llm, None)
    done = llm.steps.number
    messages = messages_of(request.resume) if request.resume else _first_question(request, llm)
    for event in ai.call_stream(msgs=messages, request_context={DESK: desk}, iteration_offset=done):
        if event.event == StreamEvents.ANSWER_END:
            return _text(event.data.get("content"), llm)
    raise NoModel("engine-failed", "HolmesGPT ended without an answer")


def _first_question(request: RunRequest, llm: BoundedLLM) -> list[dict[str, Any]]:
    asked = prompt.question(
        request.alert,
        request.head_start,
        window=llm.window,
        steps=request.max_steps,
        others=[one.name for one in request.custom],
        version=request.prompt,
    )
    return opening(prompt.system(request.prompt), asked)


def _text(content: Any, llm: BoundedLLM) -> str:
    if isinstance(content, str) and content.strip():
        return content
    raise NoModel("model-garbage", llm.how_far("the model's last answer was empty"))


def _last_question(answer: str, request: RunRequest, llm: BoundedLLM, desk: Desk) -> list[dict[str, Any]]:
    """The conclusion as a document is asked for on its own: beside tools some models stop using those."""
    asked = prompt.last(answer, desk.seen, request.head_start, window=llm.window)
    return [
        {"role": "system", "content": prompt.formatting(request.prompt)},
        {"role": "user", "content": asked},
    ]


def _document(messages: list[dict[str, Any]], llm: BoundedLLM, version: str) -> tuple[Opinion, bool]:
    """The conclusion, and whether it took a second try.

    Raises:
        NoModel: it was none twice.
    """
    llm.steps.phase = "document"
    while True:
        again = len(messages) > FIRST_TRY  # a run may have been broken off between the two
        written = _written(llm, messages)
        try:
            return opinion(written), again
        except NoDocument as fault:
            why = llm.how_far(str(fault))
            if again:
                raise NoModel(
                    "model-garbage", f"its conclusion was no valid document, twice: {why}"
                ) from None
            messages = [
                *messages,
                {"role": "assistant", "content": (written or "(empty)")[: llm.room]},
                {"role": "user", "content": prompt.repair(why, version)},
            ]


def _written(llm: BoundedLLM, messages: list[dict[str, Any]]) -> str | None:
    answer = llm.completion(messages, response_format={"type": "json_object"}, drop_params=True)
    content = answer.choices[0].message.content
    return content if isinstance(content, str) else None
