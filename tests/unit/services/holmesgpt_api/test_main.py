"""The application is built without opening anything, and describes what it serves."""

from __future__ import annotations

import pytest

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
