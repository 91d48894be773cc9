"""One question to a server that speaks OpenAI's protocol, without what litellm does around it.

litellm's own way makes a logging object, a payload for callbacks that nobody has registered, a task in a thread, two
copies of the answer and a client for each key and timeout. What it knows of models it is still asked: which parameters one takes, how messages are put
to it, what an answer means. Models of other protocols, and those that OpenAI serves by its newer one, go through it
whole (`llm.py`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import httpx
import litellm
from litellm.litellm_core_utils.llm_response_utils.convert_dict_to_response import (
    convert_to_model_response_object,
)
from litellm.llms.custom_httpx.http_handler import get_ssl_configuration
from litellm.main import responses_api_bridge_check
from litellm.types.utils import LlmProviders
from litellm.utils import ProviderConfigManager, get_optional_params

from services.holmesgpt_api.engine.failures import without_secrets
from services.holmesgpt_api.engine.messages import SAID

PREFIX = "openai/"
OPENAI = "https://api.openai.com/v1"

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes. The longest answer that can be configured (200,000 tokens) has one."""

OURS = frozenset({"token_count"})
"""Fields of a message that HolmesGPT keeps for itself."""

KEPT_CONNECTIONS = 4
"""To models, idle, in one child: it asks one question at a time, and has a few models."""


class NoCompletion(ValueError):
    """What was answered is no completion."""


class Refused(Exception):
    """An error in the place of a completion, under a status that says otherwise."""

    def __init__(self, said: str, status_code: int) -> None:
        super().__init__(said)
        self.status_code = status_code


class Wire:
    """What a child asks models through. It keeps connections and no key: that travels with each question."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            verify=get_ssl_configuration(),
            follow_redirects=True,
            transport=transport,
            limits=httpx.Limits(max_keepalive_connections=KEPT_CONNECTIONS),
        )

    def close(self) -> None:
        self._client.close()

    def ask(
        self,
        model: str,
        *,
        api_base: str | None,
        api_key: str,
        question: Mapping[str, Any],
        settings: Mapping[str, Any],
        timeout_s: float,
    ) -> Any:
        """Args:
            question: `messages`, `tools`, `tool_choice`, `response_format`, `drop_params`.
            settings: of the model (`max_tokens`, `temperature`).

        Raises:
            httpx.HTTPError: no answer, or one with an error's status.
            NoCompletion: an answer that is none.
            Refused
        """
        name = model.removeprefix(PREFIX)
        body = json.dumps(
            _body(name, question, settings), ensure_ascii=False, separators=(",", ":"), default=str
        )
        with self._client.stream(
            "POST",
            f"{(api_base or OPENAI).rstrip('/')}/chat/completions",
            content=body.encode(errors="replace"),
            headers={"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"},
            timeout=timeout_s,
        ) as answer:
            said = _bounded(answer)
        if answer.is_error:
            raise httpx.HTTPStatusError(_words(said), request=answer.request, response=answer)
        return _completion(name, said)


def speaks(model: str) -> bool:
    """Whether questions to this model can go over the wire themselves."""
    return model.startswith(PREFIX) and _chats(model.removeprefix(PREFIX))


@functools.cache
def _chats(name: str) -> bool:
    information, _ = responses_api_bridge_check(model=name, custom_llm_provider="openai")
    return bool(information.get("mode") != "responses")


def _body(name: str, question: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    tools = question["tools"] if question["tools"] and question["tool_choice"] == "auto" else None
    wanted = json.dumps(
        [question["response_format"], question["drop_params"], sorted(settings.items())], default=str
    )
    parameters = dict(_parameters(name, bool(tools), wanted))
    if tools:
        parameters["tools"] = [dict(one) for one in tools]
    messages = [_told(one) for one in question["messages"]]
    body: dict[str, Any] = _configuration(name).transform_request(name, messages, parameters, {}, {})
    return body


@functools.lru_cache(maxsize=64)
def _parameters(name: str, tools: bool, wanted: str) -> Mapping[str, Any]:
    """As litellm puts them for this model. They hold nothing of what is asked, so they may be kept."""
    response_format, drop, settings = json.loads(wanted)
    some = [{"type": "function", "function": {"name": "any", "parameters": {"type": "object"}}}]
    made: dict[str, Any] = get_optional_params(
        model=name,
        custom_llm_provider="openai",
        drop_params=drop,
        response_format=response_format,
        **({"tools": some, "tool_choice": "auto"} if tools else {}),
        **{**dict(settings), "max_tokens": at_most(name, dict(settings).get("max_tokens"))},
    )
    for ours in ("tools", "max_retries", "stream", "extra_body"):
        extra = made.pop(ours, None)
        if ours == "extra_body" and extra:
            made |= extra
    return made


def at_most(model: str, tokens: int | None) -> int | None:
    """As many tokens of an answer as the model has, where litellm lists it."""
    try:
        most = litellm.get_max_tokens(model)
    except Exception:
        # So it says that it does not list the model.
        return tokens
    return min(tokens, most) if tokens and most else tokens


def _configuration(name: str) -> Any:
    return ProviderConfigManager.get_provider_chat_config(model=name, provider=LlmProviders.OPENAI)


def _told(message: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in message.items() if value is not None and field not in OURS}


def _bounded(answer: httpx.Response) -> bytes:
    pieces, size = [], 0
    for piece in answer.iter_bytes():
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise NoCompletion(f"an answer of more than {LARGEST_ANSWER} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _completion(name: str, body: bytes) -> Any:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise NoCompletion(f"is not valid JSON: {_words(body)}") from None
    if not isinstance(said, dict) or not isinstance(said.get("choices"), list) or not said["choices"]:
        if isinstance(said, dict) and said.get("error"):
            raise Refused(_words(body), _status(said["error"]))
        raise NoCompletion(f"no completion: {_words(body)}")
    try:
        answer = convert_to_model_response_object(
            response_object=said, model_response_object=litellm.ModelResponse()
        )
    except Exception:
        # It says so with its whole argument, the answer, which belongs into no log.
        raise NoCompletion("no completion: its choices are none") from None
    answer._hidden_params["response_cost"] = _cost(name, answer)
    return answer


def _cost(name: str, answer: Any) -> float:
    """At litellm's list prices; 0 for what it does not list."""
    if name not in litellm.model_cost and f"{PREFIX}{name}" not in litellm.model_cost:
        return 0.0
    try:
        return float(litellm.completion_cost(answer, model=name, custom_llm_provider="openai"))
    except Exception:
        # A price that cannot be worked out must not cost the answer that was paid for.
        return 0.0


def _status(error: object) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code <= 599 else 422


def _words(body: bytes) -> str:
    """What a server says of its refusal; never more than is told of it."""
    try:
        error = json.loads(body)["error"]
        said = error["message"] if isinstance(error, dict) else error
        return without_secrets(str(said))[:SAID] or "without a reason"
    except (ValueError, KeyError, TypeError, RecursionError):
        text = " ".join(body[: 8 * SAID].decode(errors="replace").split())
        return without_secrets(text)[:SAID] or "without a reason"
