"""What ours is measured against: one FastAPI process around HolmesGPT's SDK, as HolmesGPT's own server is made
(https://github.com/HolmesGPT/holmesgpt, `server.py`).

As there: endpoints are plain functions, so that chats and health checks share the framework's pool of 40 threads; one tool
executor for the process, with the toolsets that a server loads by default (`create_server_tool_executor`) and our Context
API's tool beside them; for each chat a folder for large tool results, the skills' catalogue, a `ToolCallingLLM` by
`create_toolcalling_llm` under the server's key, the SDK's own prompt and token counting, and an answer with the whole
conversation, the tool calls and three follow-up actions. Not as there: no Robusta platform is asked (`dal=None`), and
nothing is logged.

`--lean`: the executor holds our tool alone, so that tools and prompt are as few as ours. Nobody runs the server so; it tells
how much of the difference comes of the toolsets.

Run as `python tests/bench/plain_holmes.py PORT MODEL_URL CONTEXT_URL KEY [--lean]` in the engine's environment.
"""

from __future__ import annotations

import sys
from typing import Any

import fastapi
import httpx
import uvicorn
from holmes.config import Config
from holmes.core.conversations import build_chat_messages
from holmes.core.models import ChatResponse, FollowUpAction
from holmes.core.tool_calling_llm import ToolCallingLLM
from holmes.core.tools import (
    SERVER_TOOLSET_TAGS,
    StructuredToolResult,
    StructuredToolResultStatus,
    Tool,
    ToolInvokeContext,
    ToolParameter,
    Toolset,
    ToolsetStatusEnum,
    ToolsetTag,
)
from holmes.core.tools_utils.filesystem_result_storage import tool_result_storage
from holmes.core.tools_utils.tool_executor import ToolExecutor

MAX_STEPS = 10
FOLLOW_UPS = [
    FollowUpAction(
        id=name, action_label=name.title(), prompt=f"Show me the {name}", pre_action_notification_text="…"
    )
    for name in ("logs", "graphs", "articles")
]


class GetCauses(Tool):
    """The same question to the same Context API as our engine's tool asks."""

    context: Any = None

    def _invoke(self, params: Any, context: ToolInvokeContext) -> StructuredToolResult:
        kind, namespace, name = str(params.get("target", "")).split("/")
        answer = self.context.get(f"/api/v1/context/causes/{namespace}/{kind}/{name}")
        return StructuredToolResult(
            status=StructuredToolResultStatus.SUCCESS, data=answer.text[:24_000], params=params
        )

    def get_parameterized_one_liner(self, params: Any) -> str:
        return "causes"


def ours(context_url: str, key: str) -> Toolset:
    target = ToolParameter(type="string", description="Kind/namespace/name", required=True)
    causes = GetCauses(
        name="get_causes", description="Why an object is in trouble", parameters={"target": target}
    )
    causes.context = httpx.Client(
        base_url=context_url, headers={"Authorization": f"Bearer {key}"}, timeout=10, trust_env=False
    )
    toolset = Toolset(
        name="context", description="Evidence", enabled=True, tags=[ToolsetTag.CORE], tools=[causes]
    )
    toolset.status = ToolsetStatusEnum.ENABLED
    return toolset


def application(model_url: str, context_url: str, key: str, *, lean: bool) -> fastapi.FastAPI:
    toolset = ours(context_url, key)
    config = Config(
        model="openai/scripted",
        api_key="none",
        api_base=model_url,
        max_steps=MAX_STEPS,
        additional_toolsets=[toolset],
    )
    if lean:
        alone = ToolExecutor([toolset])
    else:
        loaded = config.create_server_tool_executor(dal=None)
        names = sorted(one.name for one in loaded.enabled_toolsets)
        print(f"toolsets: {', '.join(names)}", file=sys.stderr, flush=True)
    app = fastapi.FastAPI()

    def asked(folder: Any) -> ToolCallingLLM:
        if lean:
            return ToolCallingLLM(alone, MAX_STEPS, config._get_llm(), folder)
        return config.create_toolcalling_llm(
            dal=None,
            toolset_tag_filter=SERVER_TOOLSET_TAGS,
            enable_all_toolsets_possible=False,
            reuse_executor=True,
            tool_results_dir=folder,
        )

    @app.post("/api/chat")
    def chat(body: dict[str, Any], request: fastapi.Request) -> ChatResponse:
        with tool_result_storage() as folder:
            ai = asked(folder)
            messages = build_chat_messages(
                body["ask"],
                body.get("conversation_history"),
                ai=ai,
                config=config,
                skills=config.get_skill_catalog(),
            )
            context = {"headers": dict(request.headers)}
            result = ai.call(messages=messages, request_context=context)
        return ChatResponse(
            analysis=result.result,
            tool_calls=result.tool_calls,
            conversation_history=result.messages,
            follow_up_actions=FOLLOW_UPS,
            metadata=result.metadata,
        )

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "healthy"}

    return app


if __name__ == "__main__":
    port, *rest = [one for one in sys.argv[1:] if one != "--lean"]
    uvicorn.run(
        application(*rest, lean="--lean" in sys.argv), host="127.0.0.1", port=int(port), log_level="warning"
    )
