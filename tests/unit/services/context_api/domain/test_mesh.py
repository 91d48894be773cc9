"""Which log lines complain about a Service of the mesh, and which rules count."""

from __future__ import annotations

import pytest

from services.context_api.domain.mesh import NETWORKING, complaints_in, each_once, in_use, plain, rules_of
from services.context_api.domain.scene import Scene
from services.context_api.domain.triage import observe
from tests.support.kube import ago, deployment, snapshot
from tests.support.mesh import SERVICE, client, server, to, virtual

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def test_a_line_about_a_service_is_its_callers_complaint():
    caller, logs = client("ERROR GET http://api:8080/x: 503 upstream connect error")
    scene = Scene(snapshot(caller, server(), SERVICE, virtual(to("v1")), logs=logs))

    heard = {(str(one.client), str(one.service)) for one in complaints_in(scene, observe(scene))}

    assert heard == {("Deployment/shop/desk", "Service/shop/api")}


def test_without_rules_there_is_no_mesh():
    assert not in_use(Scene(snapshot(deployment("api"))))
    assert in_use(Scene(snapshot(virtual(to("v1")))))


def test_a_rule_that_is_being_deleted_is_none():
    going = virtual(to("v1"))
    going["metadata"]["deletionTimestamp"] = ago(1)

    assert rules_of(Scene(snapshot(going)), NETWORKING, "VirtualService") == []


def test_a_rule_is_told_once_for_each_reason():
    scene = Scene(snapshot(virtual(to("v1"))))
    (one,) = rules_of(scene, NETWORKING, "VirtualService")
    told = [plain("mesh_route", one, reason, "", 0.9) for reason in ("A", "A", "B")]

    assert [o.reason for o in each_once(iter(told))] == ["A", "B"]
