"""What of a snapshot is kept of an incident, and what is hidden in it."""

from __future__ import annotations

import json

import pytest

from libs.contracts.target import Target
from services.context_api.domain import frozen as module
from services.context_api.domain.frozen import LAST_APPLIED, cleaned, frozen
from services.context_api.domain.triage import find_causes, judge
from tests.support.kube import (
    container,
    crashing,
    deployment,
    env,
    event,
    log,
    node,
    pods_in,
    service,
    snapshot,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "HAPI-178")

WEB = deployment(
    "web", containers=[container(env=env(API="http://api.data:80", DB_PASSWORD="hunter2hunter2"))]
)
API = deployment("api", "data", statuses=[crashing(message="cannot open ledger")])
STRANGER = deployment("games", "arcade")
TAKEN = snapshot(
    WEB, API, STRANGER, service("api", "data", ready=0), node(),
    event(pods_in(API)[0], "BackOff", "Back-off restarting failed container"),
    event(pods_in(STRANGER)[0], "Pulled", "Container image pulled", type_="Normal"),
    logs=[
        log(pods_in(WEB)[0], "ERROR GET http://api.data:80/x refused, token=abcdefgh12345678"),
        log(pods_in(STRANGER)[0], "ready"),
    ],
)  # fmt: skip
TARGET = Target(api_version="apps/v1", kind="Deployment", namespace="shop", name="web")


def kept(taken=TAKEN):
    return frozen(judge(taken, target=TARGET))


def test_the_kept_evidence_gives_the_same_cause():
    before, after = find_causes(TAKEN, target=TARGET), find_causes(kept(), target=TARGET)

    assert [(str(c.target), c.reason) for c in after.ranked] == [
        (str(c.target), c.reason) for c in before.ranked
    ]


def test_secret_values_are_hidden_and_names_are_not():
    said = json.dumps([o.body for o in kept().objects]) + "".join(g.text for g in kept().logs)

    assert "hunter2" not in said
    assert "abcdefgh12345678" not in said
    assert "DB_PASSWORD" in said
    assert "http://api.data:80" in said


def test_of_a_large_cluster_what_nothing_leads_to_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WHOLE", 3)

    narrow = kept()

    assert {o.namespace for o in narrow.objects} == {"shop", "data", None}
    assert {e.namespace for e in narrow.events} == {"data"}
    assert {g.namespace for g in narrow.logs} == {"shop"}
    assert [str(gap) for gap in narrow.not_read] == [
        "1 other namespaces: left out: nothing led from the incident to them"
    ]
    assert find_causes(narrow, target=TARGET).ranked[0].target.name == "api"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": "hunter2"}, {"password": "[REDACTED]"}),
        ({"secretName": "db", "key": "password"}, {"secretName": "db", "key": "password"}),
        ({"name": "API_TOKEN", "value": "abc"}, {"name": "API_TOKEN", "value": "[REDACTED]"}),
        ({"f:token": {}}, {"f:token": {}}),
        ({"replicas": 3, "on": True, "list": ["a", 1]}, {"replicas": 3, "on": True, "list": ["a", 1]}),
        ({LAST_APPLIED: '{"password":"hunter2","a":1}'}, {LAST_APPLIED: '{"password":"[REDACTED]","a":1}'}),
        ({LAST_APPLIED: "no json: password hunter2"}, {LAST_APPLIED: "[REDACTED]"}),
    ],
)
def test_a_value_is_hidden_by_its_name(value, shown):
    assert cleaned(value) == shown
