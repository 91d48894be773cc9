"""The application is built without opening anything, and describes what it serves."""

from __future__ import annotations

import pytest

from services.context_api.main import create_app
from services.context_api.settings import Settings

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-005", "HAPI-042")

CONTEXT = "/api/v1/context"


def test_the_document_describes_every_route_and_its_problems():
    settings = Settings.model_validate({"recorded_cluster": "/nowhere"})

    paths = create_app(settings).openapi()["paths"]

    routes = {
        path: operation
        for path, methods in paths.items()
        for operation in methods.values()
        if path.startswith(CONTEXT)
    }
    assert set(routes) == {
        f"{CONTEXT}/resolve", f"{CONTEXT}/causes/{{namespace}}/{{kind}}/{{name}}", f"{CONTEXT}/findings/{{namespace}}/{{kind}}/{{name}}",
        f"{CONTEXT}/evidence/{{evidence_id}}", f"{CONTEXT}/evidence/{{namespace}}/{{kind}}/{{name}}", f"{CONTEXT}/logs/{{namespace}}/{{pod}}",
        f"{CONTEXT}/kubernetes/{{namespace}}/{{resource}}", f"{CONTEXT}/health",
        f"{CONTEXT}/bundle", f"{CONTEXT}/bundle/stream", f"{CONTEXT}/snapshots", f"{CONTEXT}/topology/{{namespace}}/{{kind}}/{{name}}",
        f"{CONTEXT}/metrics/{{namespace}}/{{resource}}", f"{CONTEXT}/action-history/{{alert_type}}",
        f"{CONTEXT}/action-history", f"{CONTEXT}/patterns/{{signature}}", f"{CONTEXT}/discover",
        f"{CONTEXT}/alert/{{severity}}/{{alert_name}}", f"{CONTEXT}/investigation/{{investigation_type}}",
        f"{CONTEXT}/monitor/llm-performance", f"{CONTEXT}/tuning", f"{CONTEXT}/tuning/{{tier}}/{{investigation_type}}",
        f"{CONTEXT}/tuning/{{tier}}/{{investigation_type}}/rollback",
    }  # fmt: skip
    for path, operation in routes.items():
        assert operation["security"], path
        assert "503" in operation["responses"], path
    causes = routes[f"{CONTEXT}/causes/{{namespace}}/{{kind}}/{{name}}"]
    assert causes["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "/CausesAnswer"
    )
    assert {one["name"] for one in causes["parameters"]} == {"namespace", "kind", "name", "cluster", "onset"}
