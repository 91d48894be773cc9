"""Custom resources whose last change no controller has taken up."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import not_reconciled
from tests.support.kube import Doc, ago, crashing, deployment, edit, thing
from tests.support.triage import causes, first, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def queue(generation: int = 3, observed: int | None = 2, edited: float = 30) -> Doc:
    written = {**edit(900, "status/phase", by="queue-operator-main"), "subresource": "status"}
    obj = thing(
        "Queue", "orders", api="example.com/v1", edits=[edit(edited, "spec/size"), written], spec={"size": 3},
        status={} if observed is None else {"observedGeneration": observed},
    )  # fmt: skip
    obj["metadata"]["generation"] = generation
    return obj


def test_a_change_nobody_took_up_leads_to_the_controller_that_does_not_run():
    operator = deployment("queue-operator", "operators", statuses=[crashing()])

    answer = causes(queue(), operator, target="Queue/shop/orders")

    assert first(answer)[0] == "Deployment/operators/queue-operator"


def test_it_is_said_of_the_object_where_the_controller_looks_well():
    answer = causes(queue(), deployment("queue-operator", "operators"), target="Queue/shop/orders")

    assert first(answer) == ("Queue/shop/orders", "NotReconciled")
    assert "generation 2, it is at 3" in answer.ranked[0].text


@pytest.mark.parametrize(
    "obj",
    [
        queue(3, 3),
        queue(3, None),
        queue(edited=4),
        thing("Deployment", "x", api="apps/v1", status={"observedGeneration": 1}),
    ],
    ids=["taken-up", "does-not-say", "just-edited", "built-in"],
)
def test_what_was_taken_up_or_may_still_be_is_no_finding(obj: Doc):
    assert seen(not_reconciled, obj) == []


def test_a_namesake_too_short_to_mean_anything_is_not_blamed():
    obj = queue()
    obj["metadata"]["managedFields"][1]["manager"] = "go"

    (found,) = seen(not_reconciled, obj, deployment("go", "operators"))

    assert found.blames == ()


def test_an_object_whose_status_was_written_well_after_the_edit_has_been_met_since():
    def written(minutes: float) -> Doc:
        obj = queue(edited=90)
        obj["metadata"]["managedFields"][1]["time"] = ago(minutes)
        return obj

    assert seen(not_reconciled, written(10)) == []
    assert len(seen(not_reconciled, written(100))) == 1
