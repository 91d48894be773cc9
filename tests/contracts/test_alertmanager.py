"""Golden payloads of the alert webhook: what every Alertmanager sends, and the bytes its senders read back."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from libs.auth.permissions import Role
from libs.auth.principal import principal_for
from libs.contracts.alerts import AlertmanagerWebhook, AlertStatus
from libs.web import FastRequest
from services.alerts.routes.webhook import PATH, alertmanager, older_callers
from services.alerts.steps.receive import Receive

pytestmark = pytest.mark.requirement("INT-BR-WH-001", "INT-BR-WH-020", "INT-BR-WH-011")

BODIES = Path(__file__).parents[1] / "fixtures" / "alertmanager"
SENDER = principal_for(
    "am", tenant="default", roles=[Role.ingest], namespaces=None, method="basic", credential="k"
)

# File name: receiver, status of the group, (status, alertname, label, value) of each alert, truncated.
GOLDEN = {
    "01_hook-auth_firing_1alerts": ("auth", "firing", [("firing", "QueueDeep", "queue", "orders")], 0),
    "02_hook-all_firing_3alerts": (
        "all",
        "firing",
        [
            ("firing", "HighErrorRate", "pod", "checkout-0"),
            ("firing", "HighErrorRate", "pod", "checkout-1"),
            ("firing", "HighErrorRate", "pod", "payments-0"),
        ],
        0,
    ),
    "04_hook-auth_resolved_1alerts": ("auth", "resolved", [("resolved", "QueueDeep", "queue", "orders")], 0),
    "06_hook-trunc_firing_2alerts": (
        "auth",
        "firing",
        [("firing", "QueueDeep", "pod", "checkout-0"), ("firing", "QueueDeep", "pod", "checkout-1")],
        1,
    ),
    "10_hook-mixed_firing_3alerts": (
        "all",
        "firing",
        [
            ("resolved", "HighErrorRate", "pod", "checkout-0"),
            ("firing", "HighErrorRate", "pod", "checkout-1"),
            ("firing", "HighErrorRate", "pod", "payments-0"),
        ],
        0,
    ),
    "11_0.34_firing_1alert": ("hook", "firing", [("firing", "KubePodCrashLooping", "pod", "a-1")], 0),
    "12_0.34_repeat_truncated": (
        "hook",
        "firing",
        [("firing", "TargetDown", "job", f"j{n}") for n in (1, 2, 3)],
        2,
    ),
    "13_0.34_resolved_3alerts": (
        "hook",
        "resolved",
        [("resolved", "TargetDown", "job", f"j{n}") for n in (3, 4, 5)],
        0,
    ),
}

ACCEPTED = '{{"index":{},"fingerprint":"{}","status":"accepted","field":null,"error":null}}'
OF_10 = ("55188d1c7b7b7c5e", "ac4dc2ef19e3c08d", "0c0d89e55fe2fcec")


def sent(name):
    return (BODIES / f"{name}.json").read_bytes()


class FakeInbox:
    async def put(self, delivery):
        assert delivery.body


async def answered(handler, body):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    ports = SimpleNamespace(receive=Receive(FakeInbox(), lambda outcome, alerts: None))
    app = SimpleNamespace(state=SimpleNamespace(ports=ports))
    request = FastRequest(PATH, {}, SENDER, None, app, receive, 1_000_000)  # type: ignore[arg-type]
    response = await handler(request)
    return response.status, response.body.decode()


def test_no_recorded_body_is_left_out():
    assert {path.stem for path in BODIES.glob("*.json")} == GOLDEN.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_what_alertmanager_sends_is_what_the_contract_reads(name):
    receiver, status, alerts, truncated = GOLDEN[name]

    webhook = AlertmanagerWebhook.model_validate_json(sent(name))

    assert (webhook.receiver, webhook.status.value, webhook.truncated_alerts) == (receiver, status, truncated)
    for alert, (said, alertname, label, value) in zip(webhook.alerts, alerts, strict=True):
        assert alert.status is AlertStatus(said)
        assert (alert.labels["alertname"], alert.labels[label]) == (alertname, value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("11_0.34_firing_1alert", "first notification"),
        ("12_0.34_repeat_truncated", "repeat interval elapsed"),
        ("13_0.34_resolved_3alerts", "all alerts resolved"),
        ("01_hook-auth_firing_1alerts", None),
    ],
)
def test_what_only_newer_ones_send_is_read_too(name, reason):
    webhook = AlertmanagerWebhook.model_validate_json(sent(name))

    assert (webhook.notification_reason, webhook.route_labels) == (reason, {})


def test_fields_of_releases_to_come_are_ignored():
    body = json.loads(sent("11_0.34_firing_1alert"))
    body["severityScore"] = body["alerts"][0]["annotationsHash"] = {"new": [1]}

    assert AlertmanagerWebhook.model_validate(body).alerts[0].fingerprint == "5b1387bd86f3ef74"


async def test_the_receipt_of_a_mixed_body():
    status, body = await answered(alertmanager, sent("10_hook-mixed_firing_3alerts"))

    results = ",".join(ACCEPTED.format(index, print_) for index, print_ in enumerate(OF_10))
    assert (status, body) == (202, f'{{"status":"accepted","accepted":3,"rejected":0,"results":[{results}]}}')


async def test_the_receipt_of_a_partly_refused_body():
    body = json.loads(sent("10_hook-mixed_firing_3alerts"))
    body["alerts"] = body["alerts"][:2]
    body["alerts"][0]["labels"]["pod"] = 7

    status, receipt = await answered(alertmanager, json.dumps(body).encode())

    refused = (
        '{"index":0,"fingerprint":"55188d1c7b7b7c5e","status":"rejected","field":"labels.pod",'
        '"error":"must be text, not int; put it in quotes"}'
    )
    kept = ACCEPTED.format(1, OF_10[1])
    assert (status, receipt) == (
        202,
        f'{{"status":"accepted","accepted":1,"rejected":1,"results":[{refused},{kept}]}}',
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (sent("02_hook-all_firing_3alerts"), (200, '{"status":"success","message":"3 alerts accepted"}')),
        (
            b'{"alerts":{}}',
            (
                400,
                (
                    '{"status":"error","error":"body.alerts Expected array, got object; send the body '
                    'Alertmanager sends (version 4)"}'
                ),
            ),
        ),
    ],
)
async def test_what_callers_of_the_2025_gateway_read(body, expected):
    assert await answered(older_callers, body) == expected
