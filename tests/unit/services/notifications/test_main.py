"""The application is built without opening anything, and describes what it serves."""

from __future__ import annotations

import pytest

from services.notifications.main import create_app
from services.notifications.settings import Settings

pytestmark = pytest.mark.requirement("INT-BR-INT-006", "INT-BR-INT-014")


def test_the_document_describes_every_route_its_key_and_its_problems():
    settings = Settings.model_validate({"database_url": "postgresql://nowhere.invalid/none"})

    paths = create_app(settings).openapi()["paths"]

    sent = paths["/api/v1/notifications"]["post"]
    assert {"202", "422", "503"} <= set(sent["responses"])
    assert "Idempotency-Key" in [parameter["name"] for parameter in sent["parameters"]]
    assert sent["security"]
    assert {"status", "channel", "incident_id", "episode_id", "limit", "cursor"} <= {
        parameter["name"] for parameter in paths["/api/v1/notifications"]["get"]["parameters"]
    }
    assert "404" in paths["/api/v1/notifications/{notification_id}"]["get"]["responses"]
    assert "409" in paths["/api/v1/notifications/{notification_id}/retry"]["post"]["responses"]
    assert "/api/v1/notifications/{notification_id}/attempts" in paths
