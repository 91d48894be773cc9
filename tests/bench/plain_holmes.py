"""What ours is measured against: one FastAPI process around HolmesGPT's SDK, as HolmesGPT's own server is made.

Its endpoints are plain functions, so that chats and health checks share the framework's pool of 40 threads. One
tool executor for all requests, one `ToolCallingLLM` for each, the SDK's own prompt and token counting.

Run as `python tests/bench/plain_holmes.py PORT MODEL_URL CONTEXT_URL KEY` in the engine's environment.
"""

from __future__ import annotations

import sys
from typing import Any

import fastapi
import httpx
import uvicorn
from holmes.config import Config
from holmes.core.conversations import build_chat_messages
from holmes.core.llm import DefaultLLM
from holmes.core.tool_calling_llm import ToolCallingLLM
from holmes.core.tools import (
    StructuredToolResult,
    StructuredToolResultStatus,
    Tool,
    ToolInvokeContext,
    ToolParameter,
    Toolset,
    ToolsetStatusEnum,
)
from holmes.core.tools_utils.tool_executor import ToolExecutor

MAX_STEPS = 10


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


def application(model_url: str, context_url: str, key: str) -> fastapi.FastAPI:
    config = Config()
    context = httpx.Client(
        base_url=context_url, headers={"Authorization": f"Bearer {key}"}, timeout=10, trust_env=False
    )
    target = ToolParameter(type="string", description="Kind/namespace/name", required=True)
    causes = GetCauses(
        name="get_causes", description="Why an object is in trouble", parameters={"target": target}
    )
    causes.context = context
    toolset = Toolset(name="context", description="Evidence", enabled=True, tools=[causes])
    toolset.status = ToolsetStatusEnum.ENABLED
    executor = ToolExecutor([toolset])
    app = fastapi.FastAPI()

    @app.post("/api/chat")
    def chat(body: dict[str, Any]) -> dict[str, Any]:
        llm = DefaultLLM(model="openai/scripted", api_key="none", api_base=model_url, args={"max_retries": 0})
        ai = ToolCallingLLM(executor, MAX_STEPS, llm, None)
        messages = build_chat_messages(body["ask"], None, ai=ai, config=config)
        result = ai.call(messages=messages)
        return {"analysis": result.result, "calls": len(result.tool_calls or [])}

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "healthy"}

    return app


if __name__ == "__main__":
    port, *rest = sys.argv[1:]
    uvicorn.run(application(*rest), host="127.0.0.1", port=int(port), log_level="warning")
