"""The OpenAPI document as it is true of every service: fast routes in it, refusals as the problem documents they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi

from libs.contracts.problem import Problem
from libs.web.fast import FastRoute
from libs.web.problems import MEDIA_TYPE

Document = dict[str, Any]

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_OTHER_REFUSALS = (
    "Any other refusal: 400, 401, 403, 404, 405, 408, 413, 415, 429 or 503, as a problem document (RFC 9457)"
)


def document(routes: Sequence[FastRoute], schema: Document) -> None:
    """Add the fast routes to an OpenAPI document, described by FastAPI itself."""
    router = APIRouter()
    for route in routes:
        router.add_api_route(
            route.path,
            _signature(route),
            methods=[route.method],
            summary=route.summary,
            status_code=route.status,
            response_model=route.response_model,
            responses=dict(route.responses),
            tags=list(route.tags),
        )
    described = get_openapi(title="", version="", routes=router.routes)
    for path, operations in described.get("paths", {}).items():
        for method, operation in operations.items():
            operation.setdefault("security", [{"bearer": []}])
            schema["paths"].setdefault(path, {})[method] = operation
    for kind, components in described.get("components", {}).items():
        schema.setdefault("components", {}).setdefault(kind, {}).update(components)


def _signature(route: FastRoute) -> Callable[..., None]:
    """A function with the route's body and docstring; FastAPI reads them, nobody calls it."""

    def described(body: Any) -> None: ...

    described.__annotations__ = {"body": route.request_model, "return": None}
    described.__name__ = route.path.strip("/").replace("/", "_") or "root"
    described.__doc__ = route.handler.__doc__
    return described


def tell_refusals(schema: Document) -> None:
    """Say what refusals look like: FastAPI describes its own shape of a 422, which nobody is sent."""
    for operation in _operations(schema):
        answers = operation["responses"]
        for status, answer in answers.items():
            content = answer.get("content", {})
            if _names(content, "HTTPValidationError"):
                answers[status] = {
                    "description": "Input that is not valid; `errors` names each field and the remedy",
                    "content": {MEDIA_TYPE: {"schema": _PROBLEM}},
                }
            elif _names(content, "Problem"):
                answer["content"] = {MEDIA_TYPE: {"schema": _PROBLEM}}
        answers.setdefault(
            "default", {"description": _OTHER_REFUSALS, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        )
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        components.pop(unused, None)
    described = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    for name, model in (*described.pop("$defs", {}).items(), ("Problem", described)):
        components.setdefault(name, model)
    schema["components"]["schemas"] = dict(sorted(components.items()))


def _operations(schema: Document) -> Iterator[Document]:
    for path in schema.get("paths", {}).values():
        yield from path.values()


def _names(content: Document, model: str) -> bool:
    given = content.get("application/json", {}).get("schema", {})
    return bool(given == {"$ref": f"#/components/schemas/{model}"})
