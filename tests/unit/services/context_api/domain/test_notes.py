"""What somebody brought to rest and said why."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import gitops
from services.context_api.domain.graph import Graph
from services.context_api.domain.notes import MEANT, is_noted
from services.context_api.domain.scene import Scene
from tests.support.kube import deployment, edit, kube, snapshot, thing
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")

WHY = {"example.com/suspended-because": "frozen until the audit is over"}


def suspended(note: dict[str, str], *, same_hand: bool = True):
    """A platform's object that somebody suspended, with annotations of the same hand or of another's."""
    by_hand, other = edit(60, "spec/suspend"), edit(60 * 24, "spec/interval", by="flux")
    keys: dict[str, object] = {f"f:{key}": {} for key in note}
    (by_hand if same_hand else other)["fieldsV1"]["f:metadata"] = {"f:annotations": keys}
    return thing(
        "Kustomization", "apps", "flux-system", api="kustomize.toolkit.fluxcd.io/v1", age=60 * 24 * 9,
        annotations=note, spec={"suspend": True}, edits=[other, by_hand],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "noted"),
    [
        (suspended(WHY), True),
        (suspended({}), False),
        (suspended(WHY, same_hand=False), False),
        (suspended({"example.com/team": "keepers of old deeds"}), False),
        (suspended({"example.com/why": "audit"}), False),
        (suspended({"kubectl.kubernetes.io/because": "frozen until the audit"}), False),
        (suspended({"example.com/suspended-because": "see page twelve"}), False),
        (suspended({"example.com/description": "closing rates, scaled and copied to every replica"}), False),
        (suspended({"example.com/contact": "the maintainers of team blue"}), False),
        (suspended({"example.com/description": "the rest api of all shops"}), False),
        (suspended({"example.com/note": "under maintenance since Monday"}), True),
    ],
    ids=[
        "a note", "none", "somebody else's", "about something else", "a word", "a system's", "a name alone", "what it does",
        "who keeps it", "what it is", "maintenance",
    ],
)  # fmt: skip
def test_a_note_of_the_same_hand_says_why(made, noted: bool):
    assert is_noted(kube(made), "spec.suspend") is noted


def test_the_field_itself_is_no_note_of_why_it_was_set():
    paused = edit(60, "metadata/annotations")
    paused["fieldsV1"]["f:metadata"] = {"f:annotations": {"f:scaler.example.com/paused": {}}}
    obj = kube(
        thing(
            "ScaledObject",
            "x",
            edits=[paused],
            annotations={"scaler.example.com/paused": "paused until further notice"},
        )
    )

    assert not is_noted(obj, "metadata.annotations.scaler.example.com/paused")


def test_an_object_of_a_platform_that_was_suspended_with_a_note_is_no_cause_of_an_alert_about_itself():
    target = "Kustomization/flux-system/apps"

    assert causes(suspended(WHY), target=target).no_cause
    assert first(causes(suspended({}), target=target)) == (target, "ReconciliationSuspended")


@pytest.mark.parametrize(
    ("target", "certainty"),
    [
        (("Kustomization", "flux-system", "apps"), MEANT),
        (("Deployment", "shop", "api"), 0.8),
        (("Kustomization", "flux-system", "none"), 0.8),
    ],
    ids=["itself", "who may miss it", "nothing"],
)
def test_a_note_makes_a_suspension_less_sure_for_an_alert_about_itself_alone(target, certainty: float):
    graph = Graph(snapshot(suspended(WHY), deployment("api")))

    (found,) = gitops.observe(Scene(graph.snapshot, graph=graph, target=graph.find(*target)))

    assert found.certainty == certainty
