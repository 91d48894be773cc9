"""The fast answers are the documented contracts, byte for byte what their readers decode."""

import json
from types import SimpleNamespace

import pytest

from libs.auth import NotAuthenticated
from libs.auth.permissions import Role
from libs.auth.principal import principal_for
from libs.contracts.alerts import AlertReceipt, OldGatewayAnswer
from libs.web import FastRequest
from services.alerts.routes.webhook import OLD_PATH, PATH, ROUTES, alertmanager, older_callers
from services.alerts.steps.receive import Receive

pytestmark = pytest.mark.requirement("INT-BR-WH-011", "INT-BR-WH-015", "INT-BR-WH-020")

SENDER = principal_for(
    "am", tenant="default", roles=[Role.ingest], namespaces=None, method="basic", credential="k"
)


class FakeInbox:
    async def put(self, delivery):
        assert delivery.body


def request(*alerts, principal=SENDER, receiver="hook"):
    sent = json.dumps({"receiver": receiver, "alerts": alerts}).encode()

    async def receive():
        return {"type": "http.request", "body": sent, "more_body": False}

    ports = SimpleNamespace(receive=Receive(FakeInbox(), lambda outcome, alerts: None))
    app = SimpleNamespace(state=SimpleNamespace(ports=ports))
    return FastRequest(PATH, {}, principal, None, app, receive, 1_000_000)  # type: ignore[arg-type]


GOOD = {"status": "firing", "labels": {"a": "b"}, "startsAt": "2026-11-21T05:00:00Z", "fingerprint": "f1"}
BAD = {**GOOD, "status": "burning"}


async def test_the_receipt_is_the_contract():
    response = await alertmanager(request(GOOD, BAD))

    receipt = AlertReceipt.model_validate_json(response.body)
    assert (response.status, response.content_type) == (202, b"application/json")
    assert (receipt.status, receipt.accepted, receipt.rejected) == ("accepted", 1, 1)
    assert [(one.index, one.fingerprint, one.status, one.field) for one in receipt.results] == [
        (0, "f1", "accepted", None),
        (1, "f1", "rejected", "status"),
    ]


async def test_older_callers_read_status_and_message():
    response = await older_callers(request(GOOD, BAD, receiver=""))

    said = OldGatewayAnswer.model_validate_json(response.body)
    assert (response.status, said.status, said.message) == (200, "success", "1 alerts accepted, 1 refused")


async def test_older_callers_read_their_error():
    response = await older_callers(request(BAD))

    assert response.status == 400
    assert json.loads(response.body) == {
        "status": "error",
        "error": 'body.alerts.0.status must be "firing" or "resolved"',
    }


async def test_nobody_sends_unnamed():
    with pytest.raises(NotAuthenticated):
        await alertmanager(request(GOOD, principal=None))


def test_both_addresses_ask_for_the_permission_to_ingest():
    assert {(route.method, route.path, str(route.permission)) for route in ROUTES} == {
        ("POST", PATH, "ingest:alerts"),
        ("POST", OLD_PATH, "ingest:alerts"),
    }
