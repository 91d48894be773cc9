"""KEDA scalers that are paused or cannot see."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import event_scaler
from services.context_api.domain.snapshot import ContainerLog
from tests.support.kube import (
    Doc,
    ago,
    container,
    crashing,
    deployment,
    edit,
    env,
    log,
    pods_in,
    service,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

PAUSED = {"autoscaling.keda.sh/paused-replicas": "0"}


def scaler(annotations: Doc | None = None, ready: str = "True", **more: Any) -> Doc:
    condition = {"type": "Ready", "status": ready, "reason": "ScaledObjectCheckFailed", "message": "error getting queue length: 401", "lastTransitionTime": ago(30)}  # fmt: skip
    return thing("ScaledObject", "work", api="keda.sh/v1alpha1", annotations=annotations, spec={"scaleTargetRef": {"name": "work"}, "triggers": [{"type": "rabbitmq", "authenticationRef": {"name": "auth"}}]}, status={"conditions": [condition]}, **more)  # fmt: skip


def a_caller() -> tuple[list[Any], list[ContainerLog]]:
    desk = deployment(
        "desk", containers=[container(env=env(WORK_URL="http://work:80"))], statuses=[crashing()]
    )
    return [desk, service("work", ready=0)], [
        log(p, "dial http://work:80: connection refused") for p in pods_in(desk)
    ]


def test_a_paused_scaler_is_why_nothing_runs_behind_it():
    objects, logs = a_caller()
    paused = scaler(PAUSED, edits=[edit(40, "metadata/annotations/autoscaling.keda.sh~1paused-replicas")])

    answer = causes(paused, deployment("work", replicas=0), objects, target="Deployment/shop/desk", logs=logs)

    assert first(answer) == ("ScaledObject/shop/work", "ScalerPaused")


def test_a_scaler_that_cannot_read_its_triggers_leaves_the_workload_at_nothing():
    objects, logs = a_caller()

    answer = causes(
        scaler(ready="False"),
        deployment("work", replicas=0),
        objects,
        target="Deployment/shop/desk",
        logs=logs,
    )

    assert first(answer) == ("ScaledObject/shop/work", "ScalerBlind")
    assert "401" in answer.ranked[0].text


def test_being_paused_idle_or_well_is_no_fault():
    assert causes(scaler(PAUSED), deployment("work", replicas=0)).no_cause
    assert seen(event_scaler, scaler(), deployment("work", replicas=0)) == []
    assert seen(event_scaler, scaler({"autoscaling.keda.sh/paused": "false"}), deployment("work")) == []


def test_a_secret_the_authentication_lacks_is_told():
    authentication = thing("TriggerAuthentication", "auth", api="keda.sh/v1alpha1", spec={"secretTargetRef": [{"name": "queue", "key": "k", "parameter": "host"}]})  # fmt: skip
    (found,) = seen(event_scaler, authentication, scaler(), thing("Secret", "other"))

    assert said([found]) == [("TriggerAuthentication/shop/auth", "AuthenticationSecretNotFound")]
    assert [str(e.about) for e in found.explains] == ["ScaledObject/shop/work"]
    assert seen(event_scaler, authentication, scaler(), thing("Secret", "queue")) == []
    assert seen(event_scaler, authentication, scaler()) == []


@pytest.mark.parametrize("noted", [True, False])
def test_a_pause_that_says_why_is_no_cause_of_an_alert_about_the_scaler(noted: bool):
    by_hand = edit(40)
    keys = ["autoscaling.keda.sh/paused-replicas", *(["example.com/paused-because"] if noted else [])]
    by_hand["fieldsV1"] = {"f:metadata": {"f:annotations": {f"f:{key}": {} for key in keys}}}
    note = {"example.com/paused-because": "stopped until the migration is over"}
    paused = scaler({"autoscaling.keda.sh/paused-replicas": "2", **note}, edits=[by_hand])

    answer = causes(paused, deployment("work"), target="ScaledObject/shop/work")

    assert ("ScalerPaused" not in [cause.reason for cause in answer.ranked]) is noted
