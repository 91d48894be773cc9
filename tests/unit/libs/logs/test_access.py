"""The short way writes the same line as the long way, cleaned as well."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog

from libs.logs import access_log, configure_logging

pytestmark = pytest.mark.requirement("INT-BR-WH-025", "HAPI-039", "API-BR-SEC-011")

FIELDS: dict[str, Any] = {
    "method": "GET",
    "path": "/api/v1/alerts/1",
    "route": "/api/v1/alerts/{id}",
    "status": 200,
    "ms": 1.5,
    "request_id": "r-1",
}


@pytest.fixture(autouse=True)
def logging_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_request_is_one_line_with_what_it_was(capfd):
    configure_logging(service="alerts", style="json")

    access_log("alerts")(False, FIELDS)

    line = json.loads(capfd.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {**FIELDS, "event": "request", "component": "access", "service": "alerts", "level": "info"}


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_path_can_neither_forge_a_line_nor_carry_a_token(style, capfd):
    configure_logging(service="alerts", style=style)

    access_log("alerts")(False, {**FIELDS, "path": "/a\n{}\x1b[2J/kn_" + "s" * 40})

    said = capfd.readouterr().err
    assert len(said.splitlines()) == 1
    assert "\x1b[2J" not in said
    assert "s" * 40 not in said


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_probe_is_only_logged_where_debug_is(style, capfd):
    configure_logging(service="alerts", style=style)
    access_log("alerts")(True, FIELDS)
    assert capfd.readouterr().err == ""

    configure_logging(service="alerts", style=style, level="debug")
    access_log("alerts")(True, FIELDS)
    assert "/api/v1/alerts/1" in capfd.readouterr().err


def test_above_info_no_request_is_logged(capfd):
    configure_logging(service="alerts", style="json", level="error")

    access_log("alerts")(False, FIELDS)

    assert capfd.readouterr().err == ""
