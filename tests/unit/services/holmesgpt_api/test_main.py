"""The application is built without opening anything, and describes what it serves."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.overview import CAPABILITIES
from services.holmesgpt_api.main import create_app
from services.holmesgpt_api.settings import Settings

pytestmark = pytest.mark.requirement("HAPI-025", "HAPI-036", "HAPI-042")


def test_the_document_describes_every_route_and_its_problems():
    settings = Settings.model_validate({"database_url": "postgresql://nowhere.invalid/none"})

    paths = create_app(settings).openapi()["paths"]

    asked = paths["/api/v1/investigate"]["post"]
    assert set(asked["requestBody"]["content"]) == {"application/json", "application/yaml"}
    assert {"200", "202", "403", "422", "503"} <= set(asked["responses"])
    assert {"get", "post"} <= set(paths["/api/v1/investigate"])
    assert "202" in paths["/api/v1/investigate/async"]["post"]["responses"]
    assert "404" in paths["/api/v1/investigate/{investigation_id}"]["get"]["responses"]
    assert asked["security"]


OFFERED = {
    "investigate": {"/investigate", "/investigate/async", "/investigate/{investigation_id}"},
    "triage": {"/investigate"},
    "events": {"/investigate/{investigation_id}/events"},
    "cancel": {"/investigate/{investigation_id}/cancel"},
    "replay": {"/investigate/{investigation_id}/replay"},
    "feedback": {"/investigate/{investigation_id}/feedback"},
    "approvals": {"/investigate/{investigation_id}/approve"},
    "chat": {"/chat", "/chat/{session_id}"},
    "strategies": {"/analyze/strategies"},
    "patterns": {"/patterns/historical"},
    "toolsets": {"/toolsets"},
    "models": {"/models"},
    "reload": {"/config/reload"},
}
ABOUT_ITSELF = {"/config", "/status", "/openapi.json"}


@pytest.mark.requirement("HAPI-020")
def test_every_route_is_a_capability_that_status_tells_and_none_is_told_that_is_not_there():
    settings = Settings.model_validate({"database_url": "postgresql://nowhere.invalid/none"})
    paths = {
        path.removeprefix("/api/v1")
        for path in create_app(settings).openapi()["paths"]
        if path.startswith("/api/v1/") and not path.startswith("/api/v1/health")
    }

    assert set(CAPABILITIES) == set(OFFERED)
    assert set().union(*OFFERED.values()) == paths - ABOUT_ITSELF
