"""Speaks the Model Context Protocol over HTTP: JSON answers, and nothing remembered between two requests.

The SDK's server and session manager behind our own route: who asks, what they may, limits, logs and metrics are the
Edge's, as everywhere (docs/decisions/0009-mcp-behind-the-edge.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from starlette.types import Receive, Scope, Send

from services.context_api.domain.tools import INSTRUCTIONS, TOOLS, schema

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

NAME = "kubernaut-context"

STRUCTURED_SINCE = "2025-06-18"
"""The protocol's version that brought structured content; older clients would carry it for nothing. Versions are
dates, so they compare as texts."""

_ANSWER = "kubernaut.answer"
"""Scope key: how this request's calls are answered, and in whose name."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a tool's caller gets: an answer's JSON, or why there is none."""

    text: bytes
    is_error: bool = False


Answer = Callable[[str, object], Awaitable[Told]]
"""From a tool's name and its arguments; never raises."""


class McpServer:
    """One per process; close it when done."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._manager: asyncio.Future[StreamableHTTPSessionManager] | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
        """Answer one HTTP request; the tool calls in it by `answer`."""
        manager = await asyncio.shield(self._begun())
        await manager.handle_request({**scope, _ANSWER: answer}, receive, send)

    async def close(self) -> None:
        self._stop.set()
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    def _begun(self) -> asyncio.Future[StreamableHTTPSessionManager]:
        failed = self._manager is not None and self._manager.done() and self._manager.exception() is not None
        if self._manager is None or failed:
            self._manager = asyncio.get_running_loop().create_future()
            self._running = asyncio.create_task(self._serve(self._manager), name="mcp")
        return self._manager

    async def _serve(self, begun: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        # At the first request, and in a thread: importing the SDK takes 2 s of processor time and 21 MB (measured
        # 2026-11). Nobody who asks over plain HTTP pays for it, the service starts as fast as without it, and the
        # event loop goes on meanwhile.
        try:
            manager = await asyncio.to_thread(_made, self._version)
        except Exception as error:
            begun.set_exception(error)
            return
        # The manager's task group belongs to the task that enters it, so it has one of its own.
        async with manager.run():
            begun.set_result(manager)
            await self._stop.wait()


def _made(version: str) -> StreamableHTTPSessionManager:
    import mcp_types as types
    from mcp.server.lowlevel import Server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    schemas = {name: schema(tool.arguments) for name, tool in TOOLS.items()}
    listed = types.ListToolsResult(tools=[_described(types, name, one) for name, one in schemas.items()])

    async def list_tools(
        _context: ServerRequestContext[Any], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return listed

    async def call_tool(
        context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        answer: Answer = context.request.scope[_ANSWER]  # type: ignore[union-attr]  # HTTP is all there is here
        told = await answer(params.name, params.arguments)
        content = [types.TextContent(type="text", text=told.text.decode())]
        if told.is_error or context.protocol_version < STRUCTURED_SINCE:
            return types.CallToolResult(content=list(content), is_error=told.is_error)
        return types.CallToolResult(content=list(content), structured_content=orjson.loads(told.text))

    server: Server[Any] = Server(
        NAME,
        version=version,
        title="Kubernaut Context API",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=schemas.get,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    # Stateless, so that any replica may answer; hosts and origins are the Edge's business.
    return StreamableHTTPSessionManager(server, json_response=True, stateless=True)


def _described(types: Any, name: str, input_schema: dict[str, Any]) -> Any:
    tool = TOOLS[name]
    return types.Tool(
        name=name,
        title=tool.title,
        description=tool.words,
        input_schema=input_schema,
        annotations=types.ToolAnnotations(
            read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )
