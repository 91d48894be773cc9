"""The wire contracts in docs/openapi are what the services serve."""

from __future__ import annotations

import json

import pytest

from tools import openapi
from tools.services import services

pytestmark = pytest.mark.requirement("API-BR-API-002", "API-BR-STD-001", "API-BR-DOC-008", "HAPI-042")


def checked_in(service: str) -> dict:
    return json.loads((openapi.FOLDER / f"{service}.json").read_text("utf-8"))


@pytest.mark.parametrize("service", services())
def test_the_document_checked_in_is_the_one_served(service: str):
    assert openapi.render(checked_in(service)) == openapi.render(openapi.document(service)), (
        "run: make openapi"
    )


def test_there_is_no_document_of_a_service_that_is_gone():
    assert {path.stem for path in openapi.FOLDER.glob("*.json")} == set(services())


@pytest.mark.requirement("API-BR-SEC-004", "HAPI-068")
@pytest.mark.parametrize("service", services())
def test_every_route_but_the_public_ones_needs_a_credential(service: str):
    public = {"/health", "/ready", "/api/v1/health"}
    open_routes = [
        f"{method.upper()} {path}"
        for path, operations in checked_in(service)["paths"].items()
        for method, operation in operations.items()
        if not operation.get("security") and path not in public
    ]

    assert open_routes == []


@pytest.mark.requirement("API-BR-API-004", "HAPI-043")
@pytest.mark.parametrize("service", services())
def test_every_operation_has_a_name_of_its_own_and_a_summary(service: str):
    operations = [
        operation for operations in checked_in(service)["paths"].values() for operation in operations.values()
    ]

    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert [operation["operationId"] for operation in operations if not operation.get("summary")] == []
