"""What models and agents that are not ours ask by: MCP at `/mcp`, and a toolset document for HolmesGPT."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from starlette.types import Receive, Scope, Send

from libs.auth.principal import Principal
from libs.logs import get_logger
from libs.web.body import replay
from libs.web.deadline import TimeLeft
from libs.web.edge import REQUEST_ID
from services.context_api.adapters.mcp_server import Answer, McpServer, Told
from services.context_api.domain.errors import ContextError
from services.context_api.domain.tools import TOOLS, ToolError
from services.context_api.domain.toolset import render
from services.context_api.routes.inputs import EACH_ONCE, Caller
from services.context_api.routes.problems import PROBLEMS
from services.context_api.steps.toolbox import UNKNOWN, Toolbox

_log = get_logger("tools")

router = APIRouter(tags=["for models"], dependencies=[EACH_ONCE])

_YAML: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/yaml": {"schema": {"type": "string"}}}, "description": "YAML"}
}
_JSON_RPC: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["jsonrpc", "method"],
                    "properties": {
                        "jsonrpc": {"const": "2.0"},
                        "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                        "method": {"type": "string"},
                        "params": {"type": "object"},
                    },
                }
            }
        },
    }
}


NO_ID = orjson.dumps(
    {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32600, "message": "Invalid Request: id is a text or a whole number"},
    }
)


class _Handed(Response):
    """The rest of the request is the MCP server's."""

    def __init__(self, server: McpServer, answer: Answer, body: bytes) -> None:
        super().__init__()
        self._server, self._answer, self._given = server, answer, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._server.handle(scope, replay(self._given, receive), send, self._answer)


@router.post(
    "/mcp",
    response_class=Response,
    response_model=None,
    openapi_extra=_JSON_RPC,
    responses={
        200: {"content": {"application/json": {"schema": {"type": "object"}}}, "description": "JSON-RPC"},
        202: {"description": "A notification was taken"},
    },
)
async def mcp(request: Request, caller: Caller, left: TimeLeft) -> Response:
    """One message of the Model Context Protocol (streamable HTTP, JSON answers, no sessions)."""
    ports, body = request.app.state.ports, await request.body()
    if _has_an_odd_id(body):
        return Response(NO_ID, status_code=400, media_type="application/json")
    return _Handed(
        ports.mcp,
        functools.partial(answered, ports.toolbox, caller, left, request.scope[REQUEST_ID], ports.tool_calls),
        body,
    )


def _has_an_odd_id(body: bytes) -> bool:
    """Whether a request's id is none that the protocol knows. The SDK takes such a request for a notification: it
    is answered 202, and whoever asked waits for an answer that never comes."""
    message = orjson.loads(body) if body else None
    given = message.get("id", "") if isinstance(message, dict) else ""
    return isinstance(given, bool) or not isinstance(given, str | int)


async def answered(
    toolbox: Toolbox,
    caller: Principal,
    left: timedelta | None,
    request_id: str,
    observe: Callable[[str, str], None],
    name: str,
    given: object,
) -> Told:
    """A tool's answer in this caller's name; why there is none in the words of HTTP's problem documents."""
    began = time.perf_counter()
    outcome = "answered"
    try:
        told = Told(await toolbox.call(name, given, caller, left))
    except ToolError as error:
        outcome, told = "refused", _refusal(error.code, str(error))
    except ContextError as error:
        outcome, told = "refused", _refusal(PROBLEMS[type(error)].code, str(error))
    except Exception:
        _log.exception("tool failed", tool=name[:64])
        outcome, told = (
            "failed",
            _refusal("internal-error", f"our fault; it is logged under the request id {request_id}"),
        )
    tool = name if name in TOOLS else UNKNOWN
    observe(tool, outcome)
    _log.info(
        "tool",
        tool=tool,
        outcome=outcome,
        bytes=len(told.text),
        ms=round((time.perf_counter() - began) * 1000, 2),
    )
    return told


def _refusal(code: str, words: str) -> Told:
    return Told(f"{code}: {words}".encode("utf-8", "replace"), is_error=True)


async def _base_url(request: Request) -> str:
    chosen: str | None = request.app.state.ports.public_url
    return chosen or f"{request.url.scheme}://{request.headers['host']}"


@router.get("/api/v1/toolset.yaml", response_class=Response, responses=_YAML)
async def toolset(_caller: Caller, base_url: Annotated[str, Depends(_base_url)]) -> Response:
    """A toolset for HolmesGPT: the paths its model may ask for, and in which order to use them."""
    return Response(render(base_url), media_type="application/yaml")
