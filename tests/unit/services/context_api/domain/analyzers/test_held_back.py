"""Updates that a workload's own strategy keeps from some of its pods."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import held_back
from tests.support.kube import Doc, container, deployment, edit, pod, running, template, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

PARTITION = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
TAGS = {"app": "ledger"}


def revision(owner: Doc, name: str, number: int, age: float, image: str) -> Doc:
    made = thing(
        "ControllerRevision", name, owner=owner, age=age, api="apps/v1", data={"spec": {"template": template(TAGS, [container(image=image)])}}
    )  # fmt: skip
    return {**made, "revision": number}


def stateful(
    strategy: Doc, *, set_at: float = 60 * 24 * 20, reached: tuple[bool, ...] = (False, True), up: bool = True, current: str = "ledger-a"
) -> list[Doc]:  # fmt: skip
    """A StatefulSet updated 30 minutes ago; `reached` says which of its pods have the newest revision."""
    top = thing(
        "StatefulSet", "ledger", api="apps/v1", labels=TAGS, age=60 * 24 * 40, edits=[edit(set_at, "spec/updateStrategy/rollingUpdate/partition", by="kubectl-patch"), edit(30, "spec/template", by="helm")],
        spec={"replicas": len(reached), "updateStrategy": strategy, "selector": {"matchLabels": TAGS}, "template": template(TAGS, [container(image="ledger:2")])},
        status={"replicas": len(reached), "currentRevision": current, "updateRevision": "ledger-b"},
    )  # fmt: skip
    pods = [
        pod(
            f"ledger-{i}",
            labels={**TAGS, "controller-revision-hash": "ledger-b" if new else "ledger-a"},
            owner=top,
            statuses=[running(ready=up or not new)],
        )
        for i, new in enumerate(reached)
    ]
    return [
        top,
        revision(top, "ledger-a", 1, 9000, "ledger:1"),
        revision(top, "ledger-b", 2, 30, "ledger:2"),
        *pods,
    ]


def test_a_partition_left_from_long_ago_is_why_an_update_reached_one_pod():
    answer = causes(stateful(PARTITION), target="StatefulSet/shop/ledger")

    assert first(answer) == ("StatefulSet/shop/ledger", "UpdateHeldBack")
    for words in (
        "partition of StatefulSet shop/ledger is 1",
        "set by kubectl-patch",
        "`ledger:1` → `ledger:2`",
        "reached 1 of 2 pods (ledger-1) and not ledger-0",
    ):
        assert words in answer.ranked[0].text
    assert answer.ranked[0].confidence.value > 0.85


def test_a_partition_set_for_this_update_is_less_sure():
    (left,) = seen(held_back, stateful(PARTITION))
    (trial,) = seen(held_back, stateful(PARTITION, set_at=35))

    assert trial.certainty < left.certainty
    assert any(basis.startswith("against it") for basis in trial.basis)


def test_pods_that_only_a_deletion_updates_are_told():
    found = seen(held_back, stateful({"type": "OnDelete"}, reached=(False, False)))

    assert said(found) == [("StatefulSet/shop/ledger", "UpdateHeldBack")]
    assert "only when somebody deletes it" in found[0].text


def test_a_paused_deployment_is_told_with_the_template_that_waits():
    objects = deployment(
        "web", containers=[container(image="web:1")], edits=[edit(30, "spec/template", "spec/paused")]
    )
    objects[0]["spec"]["paused"] = True
    objects[0]["spec"]["template"] = template({"app": "web"}, [container(image="web:2")])
    objects[0]["status"]["updatedReplicas"] = 0

    answer = causes(objects, target="Deployment/shop/web")

    assert first(answer) == ("Deployment/shop/web", "UpdateHeldBack")
    assert "`web:1` → `web:2`" in answer.ranked[0].text


@pytest.mark.parametrize(
    "objects",
    [
        stateful(PARTITION, reached=(True, True), current="ledger-b"),
        stateful({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
        stateful(PARTITION, up=False),
        deployment("web", before=[container(image="web:1")], rolled_out=30),
    ],
    ids=["everything was updated", "nothing is held back", "the trial fails", "an update that went through"],
)
def test_updates_that_are_through_or_that_fail_are_not_held_back(objects: list[Doc]):
    assert seen(held_back, objects) == []


def test_an_alert_about_somebody_else_does_not_mention_a_trial():
    assert causes(stateful(PARTITION), deployment("web"), target="Deployment/shop/web").ranked == []
