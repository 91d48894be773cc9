"""Which observation explains which."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.contracts.causes import FindingSeverity
from services.context_api.domain.causality import LATE, SAME_OBJECT, connect
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from tests.support.kube import config_map, deployment, moment, service, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

SCENE = Scene(snapshot(deployment("one"), deployment("two"), service("two", ready=2), config_map("c")))


def at(kind: str, name: str):
    found = SCENE.graph.get(kind, "shop", name)
    assert found
    return found


ONE, TWO, SERVICE, CONFIG = (
    at("Deployment", "one"),
    at("Deployment", "two"),
    at("Service", "two"),
    at("ConfigMap", "c"),
)


def seen(about, depth: Depth = Depth.process, **more) -> Observation:
    return Observation(
        about=about,
        reason=more.pop("reason", depth.name),
        text="",
        severity=FindingSeverity.warning,
        analyzer="x",
        depth=depth,
        certainty=0.5,
        facts=(),
        **more,
    )


def links(*observations: Observation) -> set[tuple[str, str, float]]:
    tree = connect(SCENE, observations)
    return {
        (observations[k.cause].reason, observations[k.effect].reason, round(k.strength, 2))
        for k in tree.links
    }


def test_what_lies_deeper_explains_what_lies_shallower_on_one_object():
    assert links(seen(ONE, Depth.symptom), seen(ONE, Depth.mechanism)) == {
        ("mechanism", "symptom", SAME_OBJECT)
    }


def test_a_change_explains_only_what_it_claims():
    assert links(seen(ONE, Depth.symptom), seen(ONE, Depth.change)) == set()
    claim = Explains(ONE, 0.8, "x")
    assert links(seen(ONE, Depth.symptom), seen(CONFIG, Depth.change, explains=(claim,))) == {
        ("change", "symptom", 0.8)
    }


def test_a_claim_can_be_bound_to_depth_and_reason():
    claims = (
        Explains(ONE, 0.8, "x", deepest=Depth.process),
        Explains(TWO, 0.8, "x", reasons=frozenset({"wanted"})),
    )
    cause = seen(CONFIG, Depth.change, explains=claims)

    assert links(seen(ONE, Depth.mechanism), seen(TWO, reason="other"), cause) == set()
    assert links(seen(ONE, Depth.process), seen(TWO, reason="wanted"), cause) == {
        ("change", "process", 0.8),
        ("change", "wanted", 0.8),
    }


def test_blame_passes_through_a_healthy_service_to_the_workload_behind_it():
    client = seen(ONE, blames=(Blame(SERVICE, 0.9, "x"),), reason="client")

    assert links(client, seen(TWO, reason="behind")) == {("behind", "client", round(0.9 * 0.95, 2))}


def test_weak_blame_is_coincidence():
    assert links(seen(ONE, blames=(Blame(TWO, 0.3, "x"),)), seen(TWO)) == set()


def test_a_cause_that_began_after_its_effect_counts_half():
    client = seen(ONE, blames=(Blame(TWO, 0.9, "x"),), onset=moment(30), reason="client")

    assert links(client, seen(TWO, onset=moment(10), reason="late")) == {("late", "client", 0.9 * LATE)}
    assert links(client, seen(TWO, onset=moment(29), reason="close")) == {("close", "client", 0.9)}


def test_circles_are_cut_at_their_weakest_link():
    one = seen(ONE, blames=(Blame(TWO, 0.9, "x"),), reason="one")
    two = seen(TWO, blames=(Blame(ONE, 0.6, "x"),), reason="two")

    assert links(one, two) == {("two", "one", 0.9)}


def test_effects_are_followed_to_the_end():
    config = seen(CONFIG, Depth.change, explains=(Explains(TWO, 0.9, "x"),))
    observations = [seen(ONE, blames=(Blame(TWO, 0.9, "x"),)), seen(TWO), config]
    tree = connect(SCENE, observations)

    assert tree.all_effects(2) == [1, 0]
    assert tree.explained_by[0].cause == 1


def test_what_somebodys_text_claims_has_no_part_in_it():
    claim = replace(seen(ONE, Depth.symptom, reason="SuspiciousText"), severity=FindingSeverity.info)

    assert links(claim, seen(ONE, Depth.mechanism)) == set()
