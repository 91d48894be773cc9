"""The newest rollout of a workload and what it changed."""

from __future__ import annotations

import pytest

from services.context_api.domain.changes import spec_changes
from services.context_api.domain.rollouts import RESTARTED, Rollout, of_revision, revision_of
from services.context_api.domain.scene import Scene
from tests.support.kube import (
    applied,
    container,
    deployment,
    edit,
    kube,
    moment,
    pods_in,
    snapshot,
    stateful_set,
    template,
    thing,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-007")


def rollout(*objects, kind: str = "Deployment", name: str = "api", namespace: str = "shop") -> Rollout | None:
    scene = Scene(snapshot(*objects))
    found = scene.graph.get(kind, namespace, name)
    assert found
    return scene.rollouts.of(found)


def test_two_replica_sets_show_what_changed_and_when():
    found = rollout(
        deployment(
            "api",
            before=[container(image="a:1")],
            containers=[container(image="a:2")],
            rolled_out=30,
            edits=[edit(30, "spec/template/spec/x", by="argocd")],
        )
    )

    assert found
    assert [str(c) for c in found.changes] == ["spec.containers[app].image: `a:1` → `a:2`"]
    assert (found.at, found.revision, found.by) == (moment(30), "2", "argocd")
    assert found.changed("image")
    assert not found.changed("resources")


def test_a_single_revision_is_no_rollout():
    assert rollout(deployment("api")) is None


def test_controller_revisions_show_it_for_stateful_sets():
    objects = stateful_set("db")
    revisions = [
        thing(
            "ControllerRevision",
            f"db-{i}",
            "shop-data",
            api="apps/v1",
            owner=objects[0],
            age=100 - 40 * i,
            revision=i,
            data={"spec": {"template": template({}, [container(image=f"db:{i}")])}},
        )
        for i in (1, 2)
    ]

    found = rollout(objects, revisions, kind="StatefulSet", name="db", namespace="shop-data")

    assert found
    assert [str(c) for c in found.changes] == ["spec.containers[app].image: `db:1` → `db:2`"]


def test_a_rollback_is_dated_by_the_edit_since_its_replica_set_is_old():
    objects = deployment(
        "api",
        before=[container(image="a:2")],
        containers=[container(image="a:1")],
        rolled_out=60 * 48,
        edits=[edit(9, "spec/template/spec/x")],
    )

    found = rollout(objects)

    assert found
    assert found.at == moment(9)


def test_last_applied_shows_a_change_made_by_hand():
    objects = deployment(
        "api",
        containers=[container(image="a:2")],
        edits=[edit(9, "spec/template/spec/containers", by="kubectl-set")],
    )
    objects[0]["metadata"]["annotations"] = applied(
        {"spec": {"template": template({"app": "api"}, [container(image="a:1")])}}
    )

    found = rollout(objects)

    assert found
    assert [str(c) for c in found.changes] == ["spec.containers[app].image: `a:1` → `a:2`"]


def test_a_manager_that_owns_the_whole_template_tells_nothing_about_a_change():
    many = [f"spec/template/spec/field{i}" for i in range(20)]

    assert rollout(deployment("api", edits=[edit(9, *many, by="helm")])) is None


def test_pods_are_told_apart_by_revision():
    objects = deployment(
        "api", before=[container()], containers=[container()], rolled_out=5, old_pods=1, pods=1
    )
    newest = next(
        o
        for o in objects
        if o["kind"] == "ReplicaSet"
        and o["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    )

    assert [of_revision(kube(p), kube(newest)) for p in pods_in(objects)] == [False, True]
    assert revision_of(kube(newest)) == 2


def test_a_restart_is_told_as_one_and_not_as_a_changed_annotation():
    def revision(*, image: str, restarted: str = ""):
        return {
            "metadata": {"annotations": {RESTARTED: restarted} if restarted else {}},
            "spec": {"containers": [container(image=image)]},
        }

    before, after = revision(image="a:1"), revision(image="a:1", restarted="2026-11-18T09:00:00Z")
    both = revision(image="a:2", restarted="2026-11-18T09:00:00Z")
    workload = kube(deployment("api")[0])

    def told(old, new):
        return Rollout(workload, moment(5), "2", "", tuple(spec_changes(old, new)), workload).told

    assert told(before, after) == ["its pods were restarted"]
    assert told(before, both) == ["spec.containers[app].image: `a:1` → `a:2`", "its pods were restarted"]
    assert told(before, before) == []
