from __future__ import annotations

import pytest
from pydantic import ValidationError

from libs.contracts.problem import FieldError, Problem

pytestmark = pytest.mark.requirement("API-BR-API-004", "HAPI-043")


def test_a_document_leaves_out_what_is_not_known():
    document = Problem(title="Not found", status=404, code="unknown-episode").document()

    assert "instance" not in document
    assert (document["status"], document["code"], document["type"]) == (404, "unknown-episode", "about:blank")


def test_a_document_names_every_field_that_is_wrong():
    errors = [FieldError(field="body.alerts.0.labels", reason="missing")]

    document = Problem(title="Invalid", status=422, code="invalid", errors=errors).document()

    assert document["errors"] == [{"field": "body.alerts.0.labels", "reason": "missing"}]


def test_older_callers_keys_stand_beside_ours():
    problem = Problem.model_validate(
        {"title": "No", "status": 503, "code": "x", "error": "no", "timestamp": "now"}
    )

    assert problem.document()["error"] == "no"


@pytest.mark.parametrize("status", [200, 302, 399, 600])
def test_a_success_is_no_problem(status):
    with pytest.raises(ValidationError):
        Problem(title="?", status=status, code="x")
