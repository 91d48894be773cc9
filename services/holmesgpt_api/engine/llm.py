"""HolmesGPT's model client, bounded: a chain of models, few attempts, every one within the run's time and counted.

The client's own would take three attempts of up to ten minutes, and could not be stopped.
"""

from __future__ import annotations

import _json
import json
import json.encoder
import os
import random
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import holmes.core.llm as sdk
import httpx
import litellm
from holmes.core.llm import ContextWindowUsage, DefaultLLM
from holmes.core.llm_usage import RequestStats

from services.holmesgpt_api.engine.asking import strict
from services.holmesgpt_api.engine.failures import Fault, NoModel, fault, pause
from services.holmesgpt_api.engine.messages import (
    Failed,
    ModelAccess,
    ModelAsked,
    Probed,
    ProbeRequest,
    Step,
    Usage,
)
from services.holmesgpt_api.engine.prompt import PER_TOKEN
from services.holmesgpt_api.engine.steps import Counting, Steps
from services.holmesgpt_api.engine.wire import Wire, at_most, speaks

MARGIN = 1.0
"""Seconds kept back for telling the service; less is no time for a question."""

ROOM = 24_000
"""Characters of one tool's answer at most, however large the model's window is."""

OLLAMA = ("ollama/", "ollama_chat/")

Tell = Callable[[Step | Usage | ModelAsked], None]


PROBE_TOKENS = 512
"""Room for a probe's answer: models that think first need some before they call anything."""

ITS_OWN = frozenset(
    {
        *("model-unauthorized", "model-rate-limited", "model-error", "model-unreachable", "model-timeout"),
        *("model-garbage", "model-misconfigured"),
    }
)
"""Failures that say something about the model, and not about this one question."""


_wires: list[Wire] = []
"""The last one is asked. Of the zygote it is empty: a connection that children inherit would be one for all of them."""


def _wire() -> Wire:
    if not _wires:
        _wires.append(Wire())
    return _wires[-1]


@contextmanager
def answered_by(transport: httpx.BaseTransport) -> Iterator[None]:
    """While the block runs questions are put to this, and to no model."""
    _wires.append(Wire(transport))
    try:
        yield
    finally:
        _wires.pop().close()


_fine: set[tuple[str, bool, str | None, str | None]] = set()
"""Models whose names and settings the library has found to be of use."""


class Link(DefaultLLM):
    """One model of the chain, asked once at a time."""

    def __init__(self, access: ModelAccess) -> None:
        """Raises NoModel: the model's name or its settings are of no use."""
        self.access = access
        if access.model.startswith(OLLAMA) and access.api_base:
            os.environ["OLLAMA_API_BASE"] = access.api_base  # the library looks nowhere else for it
        _construct(self, access)
        self.on_wire = speaks(access.model)

    def check_llm(
        self,
        model: str,
        api_key: str | None,
        api_base: str | None,
        api_version: str | None,
        args: dict[str, Any] | None = None,
    ) -> None:
        """Once in a child: it is about the name and the address, and takes as long as a question does."""
        asked = (model, bool(api_key), api_base, api_version)
        if asked not in _fine:
            super().check_llm(model, api_key, api_base, api_version, args)
            _fine.add(asked)

    @property
    def window(self) -> int:
        """Tokens that a question may have."""
        return max(self.access.context_tokens - self.access.output_tokens, 1)

    def get_maximum_output_token(self) -> int:
        return self.access.output_tokens

    def ask(self, question: Mapping[str, Any], *, patience: float) -> Any:
        """Raises whatever the library does; `failures.fault` says what it means."""
        timeout = min(self.access.request_timeout_s, patience)
        if self.on_wire:
            return _wire().ask(
                self.access.model,
                api_base=self.access.api_base,
                api_key=self.access.api_key,
                question=question,
                settings=self.args,
                timeout_s=timeout,
            )
        sdk.LLM_REQUEST_TIMEOUT = timeout
        return self.completion(**question, stream=False)


def _construct(model: DefaultLLM, access: ModelAccess) -> None:
    args: dict[str, Any] = {
        "max_retries": 0,
        "max_tokens": access.output_tokens,
        "custom_args": {"max_context_size": access.context_tokens},
    }
    if access.model.startswith(OLLAMA):
        # Its own default is 4,096, and what goes beyond it is dropped from the question's beginning without a word.
        args["num_ctx"] = access.context_tokens
    if access.temperature is not None:
        args["temperature"] = access.temperature
    try:
        DefaultLLM.__init__(
            model,
            model=access.model,
            api_key=access.api_key,
            api_base=access.api_base,
            api_version=access.api_version,
            args=args,
        )
    except Exception as error:
        # Whatever the library raises here is about the name and the settings: nothing has been sent.
        raise NoModel("model-misconfigured", " ".join(str(error).split())) from None


class BoundedLLM(DefaultLLM):
    """What HolmesGPT takes for its model: the chain. Its bounds are the first one's."""

    access: ModelAccess

    def __init__(
        self,
        access: ModelAccess,
        *,
        until: float,
        tell: Tell,
        fallbacks: Sequence[ModelAccess] = (),
        leave: Callable[[int], None] = lambda _: None,
        steps: Steps | Counting | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Args:
            leave: waits until a step may be taken.
            steps: records them; by default they are counted.
            usage: what the run has cost before it was taken up again.

        Raises:
            NoModel: the names or the settings of all of them are of no use.
        """
        self._until, self._tell, self._leave = until, tell, leave
        self.usage, self.steps = usage or Usage(), steps or Counting()
        self.cut_off = False
        """Whether the last answer ended because it had reached the limit of its length."""
        self._links: list[Link] = []
        refused: NoModel | None = None
        for one in (access, *fallbacks):
            try:
                self._links.append(Link(one))
            except NoModel as error:
                refused = error
                tell(ModelAsked(step=0, model=one.name, word=error.word, detail=error.detail))
        if not self._links:
            raise refused or NoModel("model-misconfigured", "no model")
        # As the library's constructor would make it of the first one's settings.
        for name, value in vars(self._links[0]).items():
            setattr(self, name, value)

    @property
    def window(self) -> int:
        """Tokens that a question may have."""
        return max(self.access.context_tokens - self.access.output_tokens, 1)

    def how_far(self, said: str) -> str:
        """What is said of an answer, and that it was cut off, where it was."""
        limit = self.access.output_tokens
        return f"{said} (cut off after {limit} tokens: it has to be shorter)" if self.cut_off else said

    @property
    def room(self) -> int:
        """Characters of one tool's answer."""
        return min(ROOM, self.window * PER_TOKEN // 5)

    def get_maximum_output_token(self) -> int:
        return self.access.output_tokens

    def get_max_token_count_for_single_tool(self) -> int:
        return self.window  # our tools cut their answers themselves, so that the rest can be cited

    def count_tokens(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None
    ) -> ContextWindowUsage:
        """An estimate: counting exactly took 28 of the 67 ms of a run's CPU, and for some names a download."""
        counted = {"system": 0, "user": 0, "assistant": 0, "tool": 0, "other": 0}
        for message in messages:
            tokens = message.get("token_count")
            if tokens is None:
                tokens = message["token_count"] = _tokens(message)
            role = message.get("role")
            counted[role if role in counted else "other"] += tokens
        for_tools = _tokens(tools) if tools else 0
        return ContextWindowUsage(
            total_tokens=sum(counted.values()) + for_tools,
            system_tokens=counted["system"],
            user_tokens=counted["user"],
            tools_tokens=counted["tool"],
            tools_to_call_tokens=for_tools,
            assistant_tokens=counted["assistant"],
            other_tokens=counted["other"],
        )

    def completion(
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None = None,
        tool_choice: Any = None,
        response_format: Any = None,
        temperature: float | None = None,
        drop_params: bool | None = None,
        stream: bool | None = None,
    ) -> Any:
        """Raises NoModel."""
        tokens = self.count_tokens(messages, tools).total_tokens
        able = self._able(tokens, tools=bool(tools))
        answer: Any = self.steps.asks(messages)
        number = self.steps.number
        if answer is None:
            at_most = tokens + able[0].access.output_tokens
            self._tell(Step(number=number, tokens=at_most, cost_usd=_estimate(able[0].access, tokens)))
            self._leave(number)
            question = {
                "messages": messages,
                "tools": tools,
                "tool_choice": tool_choice,
                "response_format": response_format,
                "drop_params": drop_params,
            }
            answer = self._walk(able, question)
            _made_strict(answer)
            self.steps.answered(answer)
        else:
            self._tell(Step(number=number))
        message = answer.choices[0].message if answer.choices else None
        if message is None:
            raise NoModel("model-garbage", "the answer holds no choice")
        self.cut_off = answer.choices[0].finish_reason == "length"
        if message.tool_calls and not tools:
            raise NoModel("model-max-steps", f"still asks for tools after {self.steps.number} answers")
        return answer

    def _able(self, tokens: int, *, tools: bool) -> list[Link]:
        """Those of the chain that can take the question, in their order."""
        calling = [link for link in self._links if link.access.tools or not tools]
        if not calling:
            names = ", ".join(link.access.name or link.access.model for link in self._links)
            raise NoModel("model-without-tools", f"no configured model calls tools: {names}")
        able = [link for link in calling if tokens <= link.window]
        if not able:
            largest = max(link.window for link in calling)
            raise NoModel("model-context-exceeded", f"about {tokens} tokens, and {largest} fit")
        return able

    def _walk(self, links: Sequence[Link], question: Mapping[str, Any]) -> Any:
        """The first answer. One that fails is asked last from now on: it would cost every later step its wait."""
        for link in links[:-1]:
            try:
                return self._asked(link, question, last=False)
            except NoModel as error:
                if error.word in ITS_OWN:
                    self._links.remove(link)
                    self._links.append(link)
        return self._asked(links[-1], question, last=True)

    def _asked(self, link: Link, question: Mapping[str, Any], *, last: bool) -> Any:
        """Several attempts only where nobody else could answer, and half of the time where somebody could."""
        attempt, reason = 0, "no time was left for a question"
        while True:
            attempt += 1
            left = self._left()
            if left <= 0:
                raise NoModel("model-timeout", reason)
            began = time.monotonic()
            try:
                answer = link.ask(question, patience=left if last else left / 2)
            except Exception as error:
                found = fault(error, now=datetime.now(UTC))
                self._count(link, None, began, found)
                if found.word == "model-refused" and question["response_format"] is not None:
                    # Some servers refuse a format they do not know; the words alone ask for the same.
                    question = {**question, "response_format": None}
                    continue
                wait = pause(found, attempt, left=self._left(), jitter=random.random())
                if not last or attempt >= link.access.attempts or wait is None:
                    raise NoModel(found.word, found.detail) from None
                reason = found.detail
                threading.Event().wait(wait)
            else:
                self._count(link, answer, began, None)
                return answer

    def _left(self) -> float:
        return self._until - time.monotonic() - MARGIN

    def _count(self, link: Link, answer: Any, began: float, found: Fault | None) -> None:
        stats = RequestStats.from_response(answer) if answer is not None else RequestStats()
        access = link.access
        cost = stats.total_cost
        if access.input_price is not None and access.output_price is not None:
            cost = _price(access, stats.prompt_tokens, stats.completion_tokens)
        self._tell(
            ModelAsked(
                step=self.steps.number,
                model=access.name,
                word=found.word if found else None,
                detail=found.detail if found else "",
                pause_s=found.pause if found else None,
                seconds=round(time.monotonic() - began, 3),
                prompt_tokens=stats.prompt_tokens,
                completion_tokens=stats.completion_tokens,
                cost_usd=round(cost, 6),
            )
        )
        self.usage = Usage(
            requests=self.usage.requests + 1,
            prompt_tokens=self.usage.prompt_tokens + stats.prompt_tokens,
            completion_tokens=self.usage.completion_tokens + stats.completion_tokens,
            cost_usd=round(self.usage.cost_usd + cost, 6),
        )
        self._tell(self.usage)


def _made_strict(answer: Any) -> None:
    """Before anything is done with it, and before it is stored: arguments are JSON objects, or say that they are not."""
    for choice in answer.choices or ():
        for call in choice.message.tool_calls or ():
            call.function.arguments = strict(call.function.arguments)


def _price(access: ModelAccess, read: int, written: int) -> float:
    return (read * (access.input_price or 0.0) + written * (access.output_price or 0.0)) / 1e6


def _estimate(access: ModelAccess, tokens: int) -> float:
    return round(_price(access, tokens, access.output_tokens), 6)


PROBE_TOOL = {
    "type": "function",
    "function": {
        "name": "report",
        "description": "Reports a word.",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string", "description": "the word to report"}},
            "required": ["word"],
        },
    },
}


def probe(request: ProbeRequest, tell: Tell) -> Probed | Failed:
    """Ask a model to call a tool. An answer in words is an answer too: then it calls none."""
    access = request.model.model_copy(update={"attempts": 1, "output_tokens": PROBE_TOKENS, "tools": True})
    try:
        llm = BoundedLLM(access, until=time.monotonic() + request.seconds, tell=tell)
        question = [{"role": "user", "content": "Call the tool `report` with the word `ready`."}]
        answer = llm.completion(question, tools=[PROBE_TOOL], tool_choice="auto")
    except NoModel as error:
        if error.word == "model-refused" and "tool" in error.detail.lower():
            # So say servers of a model that knows none. Of one they do not have they speak otherwise.
            return Probed(tools=False)
        return Failed(word=error.word, detail=error.detail)
    return Probed(tools=bool(answer.choices[0].message.tool_calls))


def _tokens(value: Any) -> int:
    return len(json.dumps(value, default=str, ensure_ascii=False)) // PER_TOKEN + 4


class _Nobody:
    """In the place of litellm's thread for what is told to callbacks: there are none, and its first task would leave a
    thread behind that keeps the run's messages."""

    def submit(self, *_: Any, **__: Any) -> None:
        return None


def quieten() -> None:
    """What the library would print, fetch, or work out for nobody, on its own account."""
    litellm.suppress_debug_info = True
    litellm.disable_hf_tokenizer_download = True
    litellm.telemetry = False
    litellm.utils.executor = _Nobody()
    # A library of HolmesGPT's (python-benedict) takes the fast encoder away from everybody for the sake of its own
    # dictionaries, of which none comes here. Without it a chat takes 7.3 ms instead of 5.2 (measured).
    vars(json.encoder)["c_make_encoder"] = _json.make_encoder
    # With `modify_params`, which HolmesGPT sets, the library counts the tokens of each question once more to correct
    # its `max_tokens`. Ours was checked against the window, and the exact count takes 28 ms (measured 2026-11).
    litellm.utils._get_modified_max_tokens = lambda: _listed


def _listed(*, base_model: str, user_max_tokens: int | None, **_: Any) -> int | None:
    return at_most(base_model, user_max_tokens)


def forget() -> None:
    """What libraries keep of a run: clients with their keys, and addresses that were taken apart, with what they name."""
    litellm.in_memory_llm_clients_cache.flush_cache()
    vars(urllib.parse)["clear_cache"]()
