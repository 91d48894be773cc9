"""Documents of custom toolsets for tests: a register of hosts over HTTP, and a server of runbooks over MCP."""

from __future__ import annotations

from typing import Any

from services.holmesgpt_api.domain.custom.bound import Bound, bound
from services.holmesgpt_api.domain.custom.document import Documents, HttpToolset, McpToolset

HOST = {"type": "string", "pattern": "[a-z0-9.-]+", "description": "name of a host"}


def of(**properties: Any) -> dict[str, Any]:
    """A schema that requires all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


OWNER: dict[str, Any] = {
    "name": "owner",
    "description": "Who runs a host",
    "path": "/hosts/{host}/owner",
    "parameters": of(host=HOST),
}
ANY: dict[str, Any] = {
    "name": "any",
    "description": "Whatever is asked",
    "path": "/things/{thing}",
    "query": {"q": "{q}", "at": "now-{hours}h"},
    "parameters": {
        "type": "object",
        "properties": {
            "thing": {"type": "string"},
            "q": {"type": "string"},
            "hours": {"type": "integer", "minimum": 1, "maximum": 48},
        },
        "required": ["thing"],
    },
}
RESTART: dict[str, Any] = {
    "name": "restart",
    "description": "Restarts a service",
    "method": "POST",
    "path": "/services/{service}/restart",
    "body": {"reason": "{reason}", "by": "kubernaut"},
    "approval": "required",
    "parameters": of(service={"type": "string", "pattern": "[a-z0-9-]+"}, reason={"type": "string"}),
}


def http(origin: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "name": "cmdb",
        "version": "1.2.0",
        "description": "Register of hosts and services",
        "origin": origin,
        "allow_http": True,
        "timeout_s": 2,
        "tools": [OWNER, ANY, RESTART],
        **fields,
    }


def mcp(origin: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "mcp",
        "name": "runbooks",
        "version": "1.0.0",
        "description": "Runbooks",
        "origin": origin,
        "allow_http": True,
        "timeout_s": 10,
        "tools": [
            {"name": "lookup", "access": "read"},
            {"name": "carry_out", "access": "write", "approval": "required"},
        ],
        **fields,
    }


def document(raw: dict[str, Any]) -> HttpToolset | McpToolset:
    return Documents.model_validate({"custom": [raw]}).custom[0]


def listed(raw: dict[str, Any], *headers: tuple[str, str]) -> Bound:
    """With its origin listed by the operator."""
    made = document(raw)
    return bound(made, {made.where}, headers)
