from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.context_api.routes.succession import ROWS, TABLE, Succession, fields
from tools.services import example_app

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-API-005", "API-BR-DOC-012")

ROW = Succession(
    "/old/{namespace}",
    "/new/{namespace}/{resource}",
    {"resource": "pods"},
    since=datetime(2026, 1, 1, tzinfo=UTC),
    sunset=datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC),
)


def test_the_dates_are_told_in_the_form_of_their_standards():
    told = dict(fields(ROW, {"namespace": "shop"}))

    assert told[b"deprecation"] == b"@1767225600"
    assert told[b"sunset"] == b"Sat, 02 Jan 2027 03:04:05 GMT"


def test_the_successor_is_the_address_of_what_was_asked_for():
    assert dict(fields(ROW, {"namespace": "shop", "resource": "jobs"}))[b"link"] == (
        b'</new/shop/jobs>; rel="successor-version"'
    )
    assert dict(fields(ROW, {"namespace": "shop", "resource": ""}))[b"link"].startswith(b"</new/shop/pods>")


def test_what_callers_send_cannot_end_the_link_or_the_field():
    link = dict(fields(ROW, {"namespace": 'a>; rel="evil"\r\nX: 1', "resource": "ä/.."}))[b"link"]

    assert link == b'</new/a%3E%3B%20rel%3D%22evil%22%0D%0AX%3A%201/%C3%A4%2F..>; rel="successor-version"'


def test_without_what_the_successors_address_needs_no_link_is_given():
    assert [name for name, _ in fields(ROW, {"resource": "jobs"})] == [b"deprecation", b"sunset"]


def test_every_row_is_a_route_of_ours_and_leads_to_one_that_is_not_deprecated():
    paths = example_app("context_api").openapi()["paths"]
    plain = {
        path.replace("{alert_type}", "{}").replace("{namespace}", "{}").replace("{resource}", "{}")
        for path in paths
    }

    for row in ROWS:
        assert row.path in paths
        successor = row.successor
        for name in ("alert", "alertType", "namespace", "resource"):
            successor = successor.replace(f"{{{name}}}", "{}")
        assert successor in plain
        assert row.successor not in TABLE
        assert row.since < row.sunset


def test_the_document_calls_those_routes_deprecated_and_no_others():
    paths = example_app("context_api").openapi()["paths"]

    deprecated = {path for path, ops in paths.items() if any(op.get("deprecated") for op in ops.values())}

    assert deprecated == set(TABLE)
