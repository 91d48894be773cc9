"""What the record tells of one object beside its faults."""

from __future__ import annotations

import pytest

from services.context_api.domain.portrait import portrait
from services.context_api.domain.scene import Scene
from tests.support.kube import (
    ago,
    container,
    crashing,
    deployment,
    edit,
    log,
    pods_in,
    service,
    snapshot,
    thing,
)
from tests.support.series import recorded, scene

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def of(
    *objects: object, kind: str = "Deployment", name: str = "api", logs: list[object] | None = None
) -> str:
    view = Scene(snapshot(*objects, logs=logs or []))  # type: ignore[arg-type]
    about = view.graph.get(kind, "shop", name)
    assert about
    return "; ".join(portrait(view, about))


def test_its_newest_rollout_is_told_however_long_ago_it_was():
    rolled = deployment(
        "api", containers=[container(image="registry.example/app:2.0")], before=[container(image="registry.example/app:1.0")], rolled_out=60 * 200,
    )  # fmt: skip

    assert "registry.example/app:1.0` → `registry.example/app:2.0" in of(rolled)


def test_an_edit_of_another_kind_is_told_with_what_is_there_now():
    made = service("api", edits=[edit(60 * 20, "spec/internalTrafficPolicy")])
    made[0]["spec"]["internalTrafficPolicy"] = "Local"

    assert "spec.internalTrafficPolicy changed, now `Local`" in of(*made, kind="Service")


def test_a_service_that_stands_for_a_host_outside_says_so():
    outside = thing("Service", "api", spec={"type": "ExternalName", "externalName": "api.partner.example"})

    assert "it stands for api.partner.example outside the cluster" in of(outside, kind="Service")


def test_how_its_containers_ended_and_what_they_said_last():
    objects = deployment("api", statuses=[crashing(reason="OOMKilled", restarts=4)])
    logs = [log(p, f"{ago(3)} java.lang.OutOfMemoryError: Java heap space") for p in pods_in(objects)]

    told = of(objects, logs=list(logs))

    assert "last with OOMKilled" in told
    assert "OutOfMemoryError: Java heap space" in told


def test_what_rose_is_told_with_both_levels():
    objects = deployment("api")
    view = scene(
        objects,
        metrics=[recorded("open_files", [10.0] * 20 + [990.0] * 15, namespace="shop", deployment="api")],
    )
    about = view.graph.get("Deployment", "shop", "api")
    assert about

    assert any("open_files: 10 → 990 since" in words for words in portrait(view, about))


def test_an_object_of_which_nothing_is_recorded_has_none():
    assert of(deployment("api")) == ""
