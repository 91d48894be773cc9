"""The application can be described without a database, a key or a network."""

import pytest

from services.alerts.main import create_app
from services.alerts.settings import Settings

pytestmark = pytest.mark.requirement("INT-BR-WH-002", "INT-BR-WH-020")


def test_every_route_is_in_the_document_and_nothing_is_opened():
    app = create_app(Settings(database_url="postgresql://nobody@nowhere.invalid/none"))

    paths = app.openapi()["paths"]
    assert {
        "/api/v1/webhooks/alertmanager",
        "/alerts",
        "/api/v1/alerts",
        "/api/v1/alerts/{alert_id}",
        "/api/v1/incidents/{incident_id}",
        "/health",
        "/ready",
    } <= paths.keys()
    assert "202" in paths["/api/v1/webhooks/alertmanager"]["post"]["responses"]
