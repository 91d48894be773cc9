"""The order of causes: every weight earns its place."""

from __future__ import annotations

import pytest

from libs.contracts.causes import FindingSeverity
from libs.contracts.evidence import EvidenceKind
from services.context_api.domain import ranking
from services.context_api.domain.causality import connect
from services.context_api.domain.evidence import Fact
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.ranking import WEIGHTS, Alert, Ranked, rank
from services.context_api.domain.relation import relate
from services.context_api.domain.scene import Scene
from tests.support.kube import (
    config_map,
    container,
    deployment,
    edit,
    env,
    moment,
    service,
    snapshot,
    thing,
    waiting,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

SCENE = Scene(
    snapshot(
        deployment("web", containers=[container(env=env(API="http://api:80"))]),
        deployment("api"),
        service("api", ready=2),
        deployment("stranger", statuses=[waiting()]),
        deployment("neighbour"),
        thing("Namespace", "shop", None),
        deployment(
            "held",
            before=[container(image="registry.example/app:0.9")],
            old_pods=2,
            pods=1,
            statuses=[waiting()],
            rolled_out=30,
        ),
        deployment("far", "elsewhere"),
        config_map("c", edits=[edit(25, "data/x")]),
        config_map("d"),
    )
)


def at(kind: str, name: str, namespace: str | None = "shop"):
    found = SCENE.graph.get(kind, namespace, name)
    assert found
    return found


WEB, API, STRANGER, NEIGHBOUR, HELD, FAR, EDITED, UNTOUCHED = (
    at("Deployment", "web"), at("Deployment", "api"), at("Deployment", "stranger"), at("Deployment", "neighbour"), at("Deployment", "held"), at("Deployment", "far", "elsewhere"), at("ConfigMap", "c"), at("ConfigMap", "d"),
)  # fmt: skip


def seen(
    about, certainty: float = 0.7, *, severity: FindingSeverity = FindingSeverity.warning, **more
) -> Observation:
    return Observation(
        about=about,
        reason=more.pop("reason", "R"),
        text="",
        severity=severity,
        analyzer="x",
        depth=more.pop("depth", Depth.process),
        certainty=certainty,
        facts=(),
        **more,
    )


def ranked(*observations: Observation, target=WEB, onset=None) -> list[Ranked]:
    ordered = sorted(observations, key=lambda o: o.key)
    alert = Alert(target, "shop", onset, named=target is not None)
    return rank(SCENE, connect(SCENE, ordered), relate(SCENE, target, ordered), alert)


def order(*observations: Observation, **how) -> list[str]:
    return [r.observation.about.name for r in ranked(*observations, **how)]


def test_what_explains_another_comes_before_it():
    client = seen(WEB, 0.9, blames=(Blame(API, 0.95, "x"),))

    assert order(client, seen(API, 0.5)) == ["api", "web"]


def test_a_related_fault_that_explains_nothing_comes_after_the_alerts_own():
    assert order(seen(WEB, 0.5), seen(API, 0.95)) == ["web", "api"]


def test_an_unrelated_fault_in_another_namespace_is_not_ranked():
    assert order(seen(WEB), seen(FAR, 0.99)) == ["web"]


def test_a_neighbour_that_fell_ill_at_the_time_of_the_alert_is_a_faint_candidate_when_nothing_else_is_known():
    assert order(seen(STRANGER, onset=moment(20)), onset=moment(15)) == ["stranger"]
    assert order(seen(STRANGER, onset=moment(300)), onset=moment(15)) == []
    assert ranked(seen(STRANGER, onset=moment(20)), onset=moment(15))[0].confidence < 0.5


def test_without_a_target_everything_is_ranked_and_the_critical_first():
    assert order(seen(FAR), seen(STRANGER, severity=FindingSeverity.critical), target=None) == [
        "stranger",
        "far",
    ]


def test_information_is_never_a_cause_and_latent_things_only_with_an_effect():
    assert order(seen(WEB, severity=FindingSeverity.info)) == []
    assert order(seen(API, latent=True)) == []
    assert order(seen(WEB, blames=(Blame(API, 0.95, "x"),)), seen(API, latent=True))[0] == "api"
    assert order(seen(WEB, latent=True)) == ["web"]


def test_where_a_whole_cluster_is_asked_about_what_a_cause_accounts_for_stands_behind_a_second_fault():
    failing = [
        seen(WEB, 0.95, blames=(Blame(API, 0.95, "x"),), severity=FindingSeverity.critical),
        seen(API, 0.9),
    ]

    assert order(*failing, seen(FAR, 0.3), target=None) == ["api", "far", "web"]


def test_where_a_whole_cluster_is_asked_about_a_change_that_makes_a_program_complain_counts():
    complaint = seen(WEB, 0.45, latent=True)
    change = seen(API, 0.6, latent=True, depth=Depth.change, explains=(Explains(WEB, ranking.ACCOUNTS, "x"),))
    faint = seen(API, 0.6, latent=True, depth=Depth.change, explains=(Explains(WEB, 0.5, "x"),))

    assert order(complaint, change, target=None) == ["api"]
    assert order(complaint, faint, target=None) == []
    assert order(complaint, target=None) == []


def test_a_state_that_is_as_often_meant_as_not_is_no_cause_by_itself():
    unsure = ranking.UNSURE - 0.05

    assert order(seen(WEB, unsure, latent=True, depth=Depth.mechanism)) == []
    assert order(seen(WEB, ranking.UNSURE, latent=True, depth=Depth.mechanism)) == ["web"]


def test_one_object_is_one_cause_with_its_best_reason():
    first, *rest = ranked(seen(WEB, 0.9, reason="A"), seen(WEB, 0.5, reason="B"))

    assert (first.observation.reason, [a.observation.reason for a in first.also], rest) == ("A", ["B"], [])


def symptom(**more) -> Observation:
    return seen(WEB, 0.5, onset=moment(20), **more)


@pytest.mark.parametrize("weight", sorted(WEIGHTS))
def test_no_weight_is_idle(weight: str, monkeypatch: pytest.MonkeyPatch):
    """Setting any weight to zero changes a score in a scene that has all the facts."""
    client = seen(
        WEB,
        0.5,
        onset=moment(20),
        blames=(Blame(API, 0.9, "x"), Blame(HELD, 0.9, "x")),
        severity=FindingSeverity.critical,
    )
    cause = seen(EDITED, 0.6, onset=moment(25), depth=Depth.change, explains=(Explains(API, 0.9, "x"),))
    scene = [client, seen(API, 0.5, onset=moment(21)), cause, seen(STRANGER, onset=moment(20)), seen(HELD)]
    before = {r.observation.about.name: r.score for r in ranked(*scene, onset=moment(20))}

    monkeypatch.setitem(ranking.WEIGHTS, weight, 0.0)

    assert {r.observation.about.name: r.score for r in ranked(*scene, onset=moment(20))} != before


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (seen(EDITED, 0.6, explains=(Explains(WEB, 0.9, "x"),), onset=moment(25)), seen(UNTOUCHED, 0.61, explains=(Explains(WEB, 0.9, "x"),), onset=moment(25))),
        (seen(UNTOUCHED, 0.6, explains=(Explains(WEB, 0.9, "x"),), onset=moment(25)), seen(STRANGER, 0.65, explains=(Explains(WEB, 0.9, "x"),), onset=moment(19))),
        (seen(UNTOUCHED, 0.7, explains=(Explains(WEB, 0.9, "x"),)), seen(STRANGER, 0.6, explains=(Explains(WEB, 0.9, "x"),))),
    ],
    ids=["edited just before", "began before", "surer"],
)  # fmt: skip
def test_of_two_explanations_the_better_founded_comes_first(better: Observation, worse: Observation):
    assert order(symptom(), better, worse)[0] == better.about.name


def test_confidence_falls_with_distance_and_with_a_better_explanation():
    client = seen(WEB, 0.8, blames=(Blame(API, 0.95, "x"),))
    explained = {r.observation.about.name: r.confidence for r in ranked(client, seen(API, 0.8))}
    alone = ranked(seen(WEB, 0.8))[0].confidence

    assert 0.3 < alone <= 0.97
    assert explained["web"] < 0.3 < explained["api"] <= 0.97


def test_two_equal_unconnected_candidates_make_each_other_less_sure():
    alone = ranked(seen(STRANGER, 0.8), target=None)[0]
    both = ranked(seen(STRANGER, 0.8), seen(FAR, 0.8), target=None)[0]

    assert both.confidence < alone.confidence
    assert any("nearly as likely" in fact for fact in both.against)


def test_what_speaks_for_a_candidate_and_what_against_it_are_told_apart():
    client = symptom(blames=(Blame(EDITED, 0.9, "x"),))
    first, second = ranked(client, seen(EDITED, 0.6, onset=moment(25)))[:2]

    assert any("was edited at" in fact for fact in first.basis)
    assert second.against == ("R of ConfigMap/shop/c explains it",)
    assert not any("explains it" in fact for fact in (*first.basis, *first.against, *second.basis))


def test_a_neighbour_that_fell_ill_brings_what_explains_it_and_is_not_named_in_its_place():
    ill = seen(STRANGER, onset=moment(20), reason="Ill", depth=Depth.symptom)
    why = seen(FAR, onset=moment(22), reason="Why", explains=(Explains(STRANGER, 0.9, ""),), latent=True)

    named = ranked(ill, why, onset=moment(19))

    assert [str(r.observation.about) for r in named] == [
        "Deployment/elsewhere/far",
        "Deployment/shop/stranger",
    ]
    assert 0 < named[0].nearness < named[1].nearness


def test_a_neighbour_with_ready_pods_is_no_candidate_where_nothing_is_seen_of_the_alerts_own_object():
    ill = seen(NEIGHBOUR, onset=moment(20), depth=Depth.symptom)

    assert order(ill, onset=moment(19)) == []
    assert order(ill, seen(API, latent=True, depth=Depth.process), target=API, onset=moment(19)) == [
        "api",
        "neighbour",
    ]


def test_what_was_wrong_in_a_namespace_for_days_is_not_why_an_alert_about_it_began():
    space, days_ago = at("Namespace", "shop", None), moment(60 * 24 * 5)
    behind = seen(NEIGHBOUR, onset=days_ago, explains=(Explains(STRANGER, 0.9, "x"),))

    assert order(seen(NEIGHBOUR, onset=days_ago), target=space, onset=moment(19)) == []
    assert order(seen(NEIGHBOUR, onset=moment(60)), target=space, onset=moment(19)) == ["neighbour"]
    assert order(seen(NEIGHBOUR), target=space, onset=moment(19)) == ["neighbour"]
    assert order(behind, seen(STRANGER, onset=moment(20)), target=space, onset=moment(19))[0] == "neighbour"
    assert order(seen(NEIGHBOUR, onset=days_ago), target=NEIGHBOUR, onset=moment(19)) == ["neighbour"]


def test_a_held_rollout_is_no_candidate_for_its_neighbours_though_something_is_seen_of_them():
    assert order(seen(HELD, onset=moment(20)), seen(WEB, 0.5), onset=moment(19)) == ["web"]


def test_what_explains_a_fault_that_has_nothing_to_do_with_the_alert_is_not_brought():
    ill = seen(FAR, onset=moment(20), depth=Depth.symptom)
    why = seen(EDITED, onset=moment(22), explains=(Explains(FAR, 0.9, ""),), latent=True)

    assert ranked(ill, why, onset=moment(19)) == []


def test_a_way_decides_nearness_where_there_is_one():
    own = seen(WEB, depth=Depth.symptom, blames=(Blame(API, 0.5, ""),))
    why = seen(API)

    (near,) = [r.nearness for r in ranked(own, why) if r.observation.about is API]

    assert near == relate(SCENE, WEB, [own, why]).nearness(API)


# -- what is measured of the alert's own object ----------------------------------------------------------


def latent(about, *, metric: bool, depth: Depth = Depth.mechanism, **more) -> Observation:
    kind = EvidenceKind.metric if metric else EvidenceKind.object
    return Observation(
        about=about, reason="PoolExhausted", text="", severity=FindingSeverity.warning, analyzer="x", depth=depth,
        certainty=0.7, facts=(Fact(kind, about, "", {}),), latent=True, **more,
    )  # fmt: skip


def only(*seen: Observation) -> Ranked:
    tree = connect(SCENE, sorted(seen, key=lambda o: o.key))
    found = rank(SCENE, tree, relate(SCENE, API, seen), Alert(API, "shop", None, named=True))
    return next(r for r in found if r.observation.reason == "PoolExhausted")


def test_what_a_metric_shows_of_the_alerts_own_object_is_no_bystander():
    assert only(latent(API, metric=True)).parts["bystander"] == 0
    assert only(latent(API, metric=True)).confidence == pytest.approx(0.7)


@pytest.mark.parametrize(
    "seen",
    [latent(API, metric=False), latent(API, metric=True, depth=Depth.change)],
    ids=["not measured", "merely changed"],
)
def test_what_is_latent_and_not_measured_stays_a_bystander(seen: Observation):
    assert only(seen).parts["bystander"] == WEIGHTS["bystander"]


def test_a_measurement_beside_a_real_fault_of_the_same_object_stays_a_bystander():
    fault = Observation(
        about=API, reason="R", text="", severity=FindingSeverity.warning, analyzer="y", depth=Depth.mechanism, certainty=0.7, facts=(),
    )  # fmt: skip
    tree = connect(SCENE, sorted([latent(API, metric=True), fault], key=lambda o: o.key))
    (best,) = rank(SCENE, tree, relate(SCENE, API, []), Alert(API, "shop", None, named=True))

    assert best.observation is fault
    assert [a.parts["bystander"] for a in best.also] == [WEIGHTS["bystander"]]


def test_what_the_pods_behind_an_alerting_service_complain_of_counts_though_all_are_ready():
    scene = Scene(snapshot(service("web", ready=2), deployment("web"), config_map("web-conf")))
    top, asked, conf = (
        scene.graph.get(*place)
        for place in (
            ("Deployment", "shop", "web"),
            ("Service", "shop", "web"),
            ("ConfigMap", "shop", "web-conf"),
        )
    )
    assert top and asked and conf  # noqa: PT018 - one premise

    def latent(about, depth: Depth, **more) -> Observation:
        return Observation(about, "R", "", FindingSeverity.warning, "x", depth, 0.6, (), latent=True, **more)

    complaint = latent(top, Depth.process)
    edited = latent(conf, Depth.change, explains=(Explains(top, 0.8, "x"),))
    seen = sorted([complaint, edited], key=lambda o: o.key)
    alert = Alert(asked, "shop", None, named=True)

    named = [
        r.observation.about.name for r in rank(scene, connect(scene, seen), relate(scene, asked, seen), alert)
    ]
    assert named == ["web-conf", "web"]
    assert rank(scene, connect(scene, [edited]), relate(scene, asked, [edited]), alert) == []


def test_a_rivals_changes_are_no_symptoms_that_a_cause_would_have_to_cover():
    scene = Scene(snapshot(deployment("web"), config_map("one"), config_map("two")))
    top, one, two = (
        scene.graph.get(*place)
        for place in (
            ("Deployment", "shop", "web"),
            ("ConfigMap", "shop", "one"),
            ("ConfigMap", "shop", "two"),
        )
    )
    assert top
    assert one
    assert two
    sick = Observation(top, "R", "", FindingSeverity.warning, "x", Depth.process, 0.5, ())
    changed = [
        Observation(
            about,
            reason,
            "",
            FindingSeverity.warning,
            "x",
            Depth.change,
            0.6,
            (),
            explains=(Explains(top, 0.8, "x"),),
        )
        for about, reason in ((one, "A"), (two, "A"), (two, "B"))
    ]
    seen = sorted([sick, *changed], key=lambda o: o.key)

    found = rank(scene, connect(scene, seen), relate(scene, top, seen), Alert(top, "shop", None, named=True))

    assert {r.parts["covers"] for r in found if r.observation.about is not top} == {WEIGHTS["covers"]}
