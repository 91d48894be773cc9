"""How Anthropic's Messages API and Ollama's chat say what OpenAI's protocol says otherwise.

The scripted model thinks in OpenAI's messages; a question in another protocol is put into those, and its answer back. As
strict as the real servers where their documents demand something.

Source: docs.anthropic.com, "Messages"; github.com/ollama/ollama, docs/api.md, "Generate a chat completion".
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

Body = dict[str, Any]
Answers = Callable[[Body], Body]
"""From a question with OpenAI's messages to the message that answers it."""

MESSAGES, CHAT, SHOW = "/v1/messages", "/api/chat", "/api/show"

_NUMBERS = itertools.count(1)


class Refused(ValueError):
    """The real server would not take this question."""


def messages_api(body: Body, answers: Answers) -> tuple[int, Body]:
    """Anthropic's. Tokens read from its cache, or written to it, are not among `input_tokens`."""
    try:
        asked = list(_of_anthropic(body))
    except Refused as why:
        return 400, {"type": "error", "error": {"type": "invalid_request_error", "message": str(why)}}
    message = answers({"messages": asked})
    blocks, stop = _blocks(message), "tool_use" if message.get("tool_calls") else "end_turn"
    forced = body.get("tool_choice") or {}
    if forced.get("type") == "tool":  # so a document is asked for: as the arguments of a tool
        blocks, stop = [_use(forced["name"], json.loads(message["content"]))], "tool_use"
    return 200, {
        "id": f"msg_{next(_NUMBERS)}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 600,
            "cache_read_input_tokens": 300,
            "cache_creation_input_tokens": 100,
            "output_tokens": 50,
        },
    }


def _of_anthropic(body: Body) -> Iterator[Body]:
    if not isinstance(body.get("max_tokens"), int):
        raise Refused("max_tokens: Field required")
    yield {"role": "system", "content": _text(body.get("system", ""))}
    open_uses: set[str] = set()
    for number, one in enumerate(body["messages"]):
        if one["role"] != ("user", "assistant")[number % 2]:
            raise Refused("messages: roles must alternate between user and assistant, and begin with user")
        blocks = one["content"]
        blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if results != open_uses:
            raise Refused(f"messages.{number}: each tool_use must have its tool_result in the next message")
        open_uses = {block["id"] for block in blocks if block["type"] == "tool_use"}
        yield from _of_blocks(one["role"], blocks)


def _of_blocks(role: str, blocks: list[Body]) -> Iterator[Body]:
    for block in blocks:
        if block["type"] == "tool_result":
            yield {
                "role": "tool",
                "tool_call_id": block["tool_use_id"],
                "content": _text(block["content"]),
            }
    text = _text([block for block in blocks if block["type"] == "text"])
    uses = [_call(one["id"], one["name"], one["input"]) for one in blocks if one["type"] == "tool_use"]
    if uses:
        yield {"role": role, "content": text or None, "tool_calls": uses}
    elif text:
        yield {"role": role, "content": text}


def _text(content: str | list[Body]) -> str:
    if isinstance(content, str):
        return content
    texts = [block["text"] for block in content]
    if not all(texts):
        raise Refused("text content blocks must be non-empty")
    return "\n".join(texts)


def _blocks(message: Body) -> list[Body]:
    said = [{"type": "text", "text": message["content"]}] if message.get("content") else []
    calls = [one["function"] for one in message.get("tool_calls") or ()]
    return [*said, *(_use(one["name"], json.loads(one["arguments"])) for one in calls)]


def _use(name: str, arguments: object) -> Body:
    return {"type": "tool_use", "id": f"toolu_{next(_NUMBERS)}", "name": name, "input": arguments}


def chat(body: Body, answers: Answers) -> tuple[int, Body]:
    """Ollama's. Arguments of tools are objects here, calls have no ids, and a document is asked for as `format`."""
    if body.get("stream") is not False:
        return 400, {"error": "this server was to answer at once"}
    message = answers({"messages": [_of_ollama(one) for one in body["messages"]]})
    calls = [one["function"] for one in message.get("tool_calls") or ()]
    said: Body = {"role": "assistant", "content": message.get("content") or ""}
    if calls:
        said["tool_calls"] = [
            {"function": {"name": one["name"], "arguments": json.loads(one["arguments"])}} for one in calls
        ]
    return 200, {
        "model": body["model"],
        "created_at": "2026-11-27T09:00:00Z",
        "message": said,
        "done": True,
        "done_reason": "stop",
        "total_duration": 1_000_000,
        "prompt_eval_count": 1_000,
        "eval_count": 50,
    }


def _of_ollama(one: Body) -> Body:
    calls = [
        _call("", each["function"]["name"], each["function"]["arguments"])
        for each in one.get("tool_calls") or ()
    ]
    return {**one, "tool_calls": calls} if calls else one


def _call(id_: str, name: str, arguments: object) -> Body:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def shown(body: Body, answers: Answers) -> tuple[int, Body]:
    """What Ollama tells of a model."""
    return 200, {
        "template": "{{ if .Tools }}{{ .Tools }}{{ end }}{{ .Prompt }}",
        "capabilities": ["completion", "tools"],
        "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40_960},
    }


KNOWN: dict[str, Callable[[Body, Answers], tuple[int, Body]]] = {
    MESSAGES: messages_api,
    CHAT: chat,
    SHOW: shown,
}
"""Who answers at which path; at all others it is OpenAI's protocol."""
