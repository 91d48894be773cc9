"""The document says what is really sent: fast routes, and refusals as problem documents."""

from __future__ import annotations

import pytest

from libs.web import FastRequest, fast_route
from libs.web.openapi import document, tell_refusals
from tests.support.web_client import calling
from tests.support.web_service import Note

pytestmark = pytest.mark.requirement("API-BR-API-002", "API-BR-STD-001", "HAPI-042", "HAPI-043")


async def handler(request: FastRequest):
    """Take a note."""
    raise AssertionError("only described here")


def route(**changes):
    given = {
        "permission": "ingest:alerts",
        "summary": "Take",
        "request_model": Note,
        "response_model": Note,
        "status": 202,
        **changes,
    }
    return fast_route("POST", "/api/v1/hook", handler, **given)


def test_a_fast_route_is_described_with_its_models_its_docstring_and_its_credential():
    schema: dict = {"paths": {}}

    document([route(tags=["webhooks"])], schema)

    operation = schema["paths"]["/api/v1/hook"]["post"]
    assert operation["summary"] == "Take"
    assert operation["description"] == "Take a note."
    assert operation["tags"] == ["webhooks"]
    assert operation["security"] == [{"bearer": []}]
    assert operation["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].endswith("/Note")
    assert "Note" in schema["components"]["schemas"]


def test_a_description_leaves_the_other_methods_of_a_path_alone():
    schema = {"paths": {"/api/v1/hook": {"get": {"summary": "Other"}}}}

    document([route()], schema)

    assert set(schema["paths"]["/api/v1/hook"]) == {"get", "post"}


async def test_every_operation_says_that_a_refusal_is_a_problem_document():
    async with calling() as service:
        schema = (await service.http.get("/openapi.json")).json()

    operations = {
        f"{method} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    assert "post /api/v1/hook" in operations
    for operation in operations.values():
        assert set(operation["responses"]["default"]["content"]) == {"application/problem+json"}
    notes = operations["post /api/v1/notes"]["responses"]["422"]
    assert notes["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
    }
    assert "HTTPValidationError" not in str(schema)
    assert {"Problem", "FieldError"} <= set(schema["components"]["schemas"])


def test_an_answer_that_is_no_problem_stays_as_the_service_described_it():
    old = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/OldAnswer"}}}}
    schema: dict = {"paths": {"/alerts": {"post": {"responses": {"400": dict(old)}}}}}

    tell_refusals(schema)

    assert schema["paths"]["/alerts"]["post"]["responses"]["400"] == old


async def test_the_document_is_written_once():
    async with calling() as service:
        first = await service.http.get("/openapi.json")
        service.app.openapi_schema = {"changed": True}
        second = await service.http.get("/openapi.json")

    assert first.content == second.content
