"""Who took the room that somebody else's pods do not find."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import room_taken
from tests.support.kube import Doc, ago, applied, container, deployment, edit, event, node, pod, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def asks(cpu: str, **more: str) -> Doc:
    return container(resources={"requests": {"cpu": cpu}, "limits": more})


def waiting(cpu: str = "1", **more: Any) -> list[Doc]:
    """A Deployment of which one pod has waited for a node for ten minutes."""
    state = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "lastTransitionTime": ago(10),
    }
    state["message"] = "0/1 nodes are available: 1 Insufficient cpu."
    return deployment(
        "api", replicas=1, node=None, statuses=[], pod_conditions=[state], containers=[asks(cpu)], **more
    )


def cron(
    runs: int = 4, *, began: float = 40, edited: float | None = 45, namespace: str = "reports"
) -> list[Doc]:
    """A CronJob whose runs, started five minutes after each other, have not ended."""
    top = thing(
        "CronJob", "rollup", namespace, api="batch/v1", age=60 * 24 * 9, spec={"schedule": "*/5 * * * *", "jobTemplate": {}},
        edits=[edit(edited, "spec/schedule")] if edited is not None else (), annotations=applied({"spec": {"schedule": "15 2 * * *"}}),
    )  # fmt: skip
    made = [top]
    for i in range(runs):
        job = thing(
            "Job",
            f"rollup-{i}",
            namespace,
            api="batch/v1",
            owner=top,
            age=began - 5 * i,
            spec={},
            status={"active": 1},
        )
        made += [
            job,
            pod(
                f"rollup-{i}-x",
                namespace,
                owner=job,
                age=began - 5 * i,
                containers=[asks("900m", memory="1Gi")],
            ),
        ]
    return made


def scaled(minutes: float = 30, *, pod_age: float = 29, **more: Any) -> list[Doc]:
    return deployment(
        "web",
        replicas=3,
        pod_age=pod_age,
        containers=[asks("1")],
        edits=[edit(minutes, "spec/replicas", by="kubectl-scale")],
        **more,
    )


NODE = node(cpu="4")


def test_runs_that_overlap_since_an_edit_are_why_others_find_no_room():
    answer = causes(waiting(), cron(), NODE, target="Deployment/shop/api")

    assert first(answer) == ("CronJob/reports/rollup", "TakesTheRoom")
    for words in (
        "4 runs at once",
        "`15 2 * * *` → `*/5 * * * *`",
        "3.6 cpu",
        "Insufficient cpu",
        "concurrencyPolicy Allow",
    ):
        assert words in answer.ranked[0].text
    assert answer.ranked[0].path == ["CronJob/reports/rollup", "Deployment/shop/api"]


def test_runs_that_overlap_without_an_edit_are_less_sure():
    (edited,) = seen(room_taken, waiting(), cron(), NODE)
    (never,) = seen(room_taken, waiting(), cron(edited=None), NODE)

    assert never.certainty < edited.certainty


def test_a_workload_that_was_scaled_up_just_before_took_the_room():
    answer = causes(waiting(), scaled(), NODE, target="Deployment/shop/api")

    assert first(answer) == ("Deployment/shop/web", "TakesTheRoom")
    assert "3 pods more since kubectl-scale set its replicas" in answer.ranked[0].text


@pytest.mark.parametrize(
    "resource", ["requests.cpu=500m", "cpu=500m", "limits.memory=512Mi", "pods=1", "pods=1,requests.cpu=1"]
)
def test_what_fills_a_quota_is_the_cause_rather_than_the_quota(resource: str):
    message = f"exceeded quota: compute, requested: {resource}, used: x, limited: y"
    api = deployment("api", pods=0)
    refused = event(
        next(o for o in api if o["kind"] == "ReplicaSet"),
        "FailedCreate",
        f"Error creating: {message}",
        first=10,
    )
    api[1]["spec"]["replicas"] = 2
    quota = thing("ResourceQuota", "compute", spec={"hard": {"pods": "4"}})

    answer = causes(api, refused, quota, cron(namespace="shop"), target="Deployment/shop/api")

    assert first(answer) == ("CronJob/shop/rollup", "TakesTheRoom")


@pytest.mark.parametrize(
    "objects",
    [
        [waiting(), cron(runs=1)],
        [waiting(), cron(began=60 * 9)],
        [waiting("8"), cron()],
        [waiting(), cron(), node("other", cpu="64", unschedulable=True)][:1],
        [waiting(before=[asks("100m")], rolled_out=12), cron()],
        [waiting(), deployment("web", replicas=3, pod_age=20, containers=[asks("1")])],
        [waiting(), scaled(before=[asks("1")], rolled_out=29)],
        [waiting(), scaled(minutes=60 * 9)],
        [deployment("api"), cron()],
    ],
    ids=[
        "one run", "there since long", "there would be no room without it either", "nobody took any", "it asks for more itself",
        "pods that replace others", "a rollout", "scaled long ago", "nobody lacks room",
    ],
)  # fmt: skip
def test_what_takes_no_more_than_it_had_is_not_blamed(objects: list[object]):
    assert said(seen(room_taken, *objects, NODE)) == []


DRIVER = "disk.csi.example.com"


def with_volume(
    name: str, owner: Doc | None, age: float, *, node: str | None = "node-1", **more: Any
) -> list[Doc]:
    volumes = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": name}}]}
    claim = thing(
        "PersistentVolumeClaim", name, spec={"volumeName": f"pv-{name}", "storageClassName": "block"}
    )
    volume = thing("PersistentVolume", f"pv-{name}", None, spec={"csi": {"driver": DRIVER}})
    return [claim, volume, pod(name, owner=owner, age=age, node=node, spec=volumes, **more)]


def slots(count: int = 4) -> Doc:
    drivers = [{"name": DRIVER, "allocatable": {"count": count}}]
    return thing("CSINode", "node-1", None, api="storage.k8s.io/v1", spec={"drivers": drivers})


def runners(*, applied_replicas: int | None = 2, young: float = 60 * 25) -> list[Doc]:
    """Four runners with a volume each, of which two came a day ago."""
    marks = applied({"spec": {"replicas": applied_replicas}}) if applied_replicas else {}
    top = thing(
        "StatefulSet", "runner", api="apps/v1", age=60 * 24 * 20, annotations=marks, spec={"replicas": 4}
    )
    return [top, *(one for n in range(4) for one in with_volume(f"runner-{n}", top, 60 * 24 * 20 if n < 2 else young))]  # fmt: skip


def no_slot() -> list[Doc]:
    words = "0/1 nodes are available: 1 node(s) exceed max volume count."
    state = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words, "lastTransitionTime": ago(10)}  # fmt: skip
    top = thing("StatefulSet", "archive", api="apps/v1", age=10, spec={"replicas": 1})
    return [top, *with_volume("archive-0", top, 10, node=None, conditions=[state], statuses=[])]


def test_who_grew_into_the_last_volume_slots_a_day_ago_is_the_cause_by_the_record_of_its_replicas():
    answer = causes(no_slot(), runners(), slots(), NODE, target="StatefulSet/shop/archive")

    assert first(answer) == ("StatefulSet/shop/runner", "TakesTheRoom")
    for words in ("2 pods more", "(2 → 4)", f"2 volumes of {DRIVER}", "max volume count"):
        assert words in answer.ranked[0].text


@pytest.mark.parametrize(
    "objects",
    [
        [no_slot(), runners(applied_replicas=None), slots()],
        [no_slot(), runners(applied_replicas=4), slots()],
        [no_slot(), runners(young=60 * 24 * 12), slots()],
        [no_slot(), runners(), slots(5)],
        [no_slot(), runners()],
    ],
    ids=["nobody knows what it had", "it has what was applied", "it grew too long ago", "there is a slot", "no limit was recorded"],
)  # fmt: skip
def test_who_did_not_take_the_last_slot_is_not_blamed(objects: list[object]):
    assert said(seen(room_taken, *objects, NODE)) == []
