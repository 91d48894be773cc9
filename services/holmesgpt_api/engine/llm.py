"""HolmesGPT's model client, bounded: our own few attempts, every one within the run's time, each one counted.

The client's own would take three attempts of up to ten minutes, and could not be stopped.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import holmes.core.llm as sdk
import litellm
from holmes.core.llm import ContextWindowUsage, DefaultLLM
from holmes.core.llm_usage import RequestStats

from services.holmesgpt_api.engine.failures import NoModel, fault, pause
from services.holmesgpt_api.engine.messages import ModelAccess, Step, Usage
from services.holmesgpt_api.engine.prompt import PER_TOKEN
from services.holmesgpt_api.engine.steps import Steps

MARGIN = 1.0
"""Seconds kept back for telling the service; less is no time for a question."""

ROOM = 24_000
"""Characters of one tool's answer at most, however large the model's window is."""


class BoundedLLM(DefaultLLM):
    def __init__(
        self,
        access: ModelAccess,
        *,
        until: float,
        tell: Callable[[Step | Usage], None],
        steps: Steps,
        usage: Usage | None = None,
    ) -> None:
        """Args:
            usage: what the run has cost before it was taken up again.

        Raises:
            NoModel: the model's name or its settings are of no use.
        """
        self.access, self._until, self._tell = access, until, tell
        self.usage, self.steps = usage or Usage(), steps
        args: dict[str, Any] = {
            "max_retries": 0,
            "max_tokens": access.output_tokens,
            "custom_args": {"max_context_size": access.context_tokens},
        }
        if access.temperature is not None:
            args["temperature"] = access.temperature
        try:
            super().__init__(
                model=access.model,
                api_key=access.api_key,
                api_base=access.api_base,
                api_version=access.api_version,
                args=args,
            )
        except Exception as error:
            # Whatever the library raises here is about the name and the settings: nothing has been sent.
            raise NoModel("model-misconfigured", " ".join(str(error).split())) from None

    @property
    def window(self) -> int:
        """Tokens that a question may have."""
        return max(self.access.context_tokens - self.access.output_tokens, 1)

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
        if tokens > self.window:
            raise NoModel("model-context-exceeded", f"about {tokens} tokens, and {self.window} fit")
        answer: Any = self.steps.asks(messages)
        self._tell(Step(number=self.steps.number))
        if answer is None:
            answer = self._asked(messages, tools, tool_choice, response_format, drop_params)
            self.steps.answered(answer)
        message = answer.choices[0].message if answer.choices else None
        if message is None:
            raise NoModel("model-garbage", "the answer holds no choice")
        if message.tool_calls and not tools:
            raise NoModel("model-max-steps", f"still asks for tools after {self.steps.number} answers")
        return answer

    def _asked(
        self, messages: Any, tools: Any, tool_choice: Any, response_format: Any, drop_params: bool | None
    ) -> Any:
        attempt, last = 0, "no time was left for a question"
        while True:
            attempt += 1
            left = self._until - time.monotonic() - MARGIN
            if left <= 0:
                raise NoModel("model-timeout", last)
            sdk.LLM_REQUEST_TIMEOUT = min(self.access.request_timeout_s, left)
            try:
                answer = super().completion(
                    messages,
                    tools=tools,
                    tool_choice=tool_choice,
                    response_format=response_format,
                    drop_params=drop_params,
                    stream=False,
                )
            except Exception as error:
                found = fault(error, now=datetime.now(UTC))
                self._count(None)
                left = self._until - time.monotonic() - MARGIN
                wait = pause(found, attempt, left=left, jitter=random.random())
                if attempt >= self.access.attempts or wait is None:
                    raise NoModel(found.word, found.detail) from None
                last = found.detail
                threading.Event().wait(wait)
            else:
                self._count(answer)
                return answer

    def _count(self, answer: Any) -> None:
        stats = RequestStats.from_response(answer) if answer is not None else RequestStats()
        prices = self.access.input_price, self.access.output_price
        cost = stats.total_cost
        if prices[0] is not None and prices[1] is not None:
            cost = (stats.prompt_tokens * prices[0] + stats.completion_tokens * prices[1]) / 1e6
        self.usage = Usage(
            requests=self.usage.requests + 1,
            prompt_tokens=self.usage.prompt_tokens + stats.prompt_tokens,
            completion_tokens=self.usage.completion_tokens + stats.completion_tokens,
            cost_usd=round(self.usage.cost_usd + cost, 6),
        )
        self._tell(self.usage)


def _tokens(value: Any) -> int:
    return len(json.dumps(value, default=str, ensure_ascii=False)) // PER_TOKEN + 4


def quieten() -> None:
    """What the library would print, or fetch, on its own account."""
    litellm.suppress_debug_info = True
    litellm.disable_hf_tokenizer_download = True
    litellm.telemetry = False
