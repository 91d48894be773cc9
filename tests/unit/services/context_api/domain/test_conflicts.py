"""Two sources that cannot both be right are both told; one that only lags behind is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.target import Target
from services.context_api.domain.conflicts import (
    LAG,
    MOST,
    Contradiction,
    Reason,
    Who,
    contradictions,
    of_alert,
    shown,
)
from services.context_api.domain.dossier import gather, page
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import MetricAnswer
from services.context_api.domain.sources import Outcome, Part, SourceName
from tests.support import kube
from tests.support.kube import NOW, Doc, ago, moment
from tests.support.series import recorded

pytestmark = pytest.mark.requirement("API-BR-CAPI-007", "API-BR-CAPI-009")

UNAVAILABLE = "kube_deployment_status_replicas_unavailable"
RESTARTS = "kube_pod_container_status_restarts_total"


def deployment(unavailable: int, *, since: float = 60, generation: int = 1, **status: Any) -> Doc:
    return kube.thing(
        "Deployment",
        "api",
        api="apps/v1",
        spec={"replicas": 3},
        status={
            "observedGeneration": 1,
            "unavailableReplicas": unavailable,
            "conditions": [{"type": "Available", "status": "False", "lastTransitionTime": ago(since)}],
            **status,
        },
    ) | {"metadata": {**kube.thing("Deployment", "api")["metadata"], "generation": generation}}


def measured(query: str, value: float, **labels: str) -> MetricAnswer:
    return recorded(query, [value], namespace="shop", **labels)


def found(*objects: Any, metrics: list[MetricAnswer], stale: bool = False) -> list[Contradiction]:
    parts = [Part(SourceName.kubernetes, Outcome.stale if stale else Outcome.read)]
    whole = Scene(replace(kube.snapshot(*objects), metrics=metrics, parts=parts))
    return contradictions(whole, whole.snapshot.objects)


def test_a_metric_that_says_all_is_there_against_an_object_that_lacks_two_is_told_with_both_sides():
    (one,) = found(deployment(2), metrics=[measured(UNAVAILABLE, 0, deployment="api")])

    assert (one.reason, str(one.about)) == (Reason.replicas, "Deployment/shop/api")
    assert (one.believed.who, one.believed.text) == (Who.object, "Deployment api: unavailable replicas 2")
    assert (one.other.who, one.other.text) == (Who.metric, f"{UNAVAILABLE}: unavailable replicas 0")
    assert one.confidence == 0.9
    assert len(one.facts) == 2


def test_where_the_cluster_does_not_answer_the_object_is_believed_less():
    (well,) = found(deployment(2), metrics=[measured(UNAVAILABLE, 0, deployment="api")])
    (behind,) = found(deployment(2), metrics=[measured(UNAVAILABLE, 0, deployment="api")], stale=True)

    assert behind.confidence < well.confidence


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.1, 600))
def test_they_contradict_exactly_when_they_differ_for_longer_than_a_sample_is_told_as_current(
    says: int, metric: int, minutes: float
):
    told = found(deployment(says, since=minutes), metrics=[measured(UNAVAILABLE, metric, deployment="api")])

    # Times are whole seconds.
    long_enough = timedelta(minutes=minutes) > LAG + timedelta(seconds=1)
    short_enough = timedelta(minutes=minutes) < LAG - timedelta(seconds=1)
    if says == metric or short_enough:
        assert told == []
    elif long_enough:
        assert [one.reason for one in told] == [Reason.replicas]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from([UNAVAILABLE, "kube_deployment_status_replicas_available", "kube_deployment_spec_replicas"]), st.integers(0, 4)), max_size=6), st.randoms())  # fmt: skip
def test_each_has_two_sources_and_a_confidence_whatever_the_order_of_the_series(values: Any, chance: Any):
    metrics = [measured(name, value, deployment="api") for name, value in values]
    once = found(deployment(2, availableReplicas=1), metrics=metrics)
    chance.shuffle(metrics)

    assert [
        (one.reason, one.other.text) for one in found(deployment(2, availableReplicas=1), metrics=metrics)
    ] == [(one.reason, one.other.text) for one in once]
    for one in once:
        assert one.believed.who is not one.other.who
        assert 0 < one.confidence < 1
        assert one.fresher in (None, one.believed.who, one.other.who)


def test_a_status_of_an_older_spec_contradicts_nobody():
    assert found(deployment(2, generation=2), metrics=[measured(UNAVAILABLE, 0, deployment="api")]) == []


def test_a_series_of_then_contradicts_no_object_of_now():
    old = recorded(UNAVAILABLE, [0.0, 0.0], 60, namespace="shop", deployment="api")
    values = [[moment(30).timestamp(), "0"]]
    data = {
        "resultType": "matrix",
        "result": [{"metric": {"namespace": "shop", "deployment": "api"}, "values": values}],
    }

    assert found(deployment(2), metrics=[replace(old, data=data)]) == []


def test_a_series_of_a_predecessor_of_the_same_name_contradicts_nobody():
    assert found(deployment(2), metrics=[measured(UNAVAILABLE, 0, deployment="api", uid="another")]) == []


def pod(restarts: int, *, minutes: float) -> Doc:
    return kube.pod("api-0", statuses=[kube.running(restarts=restarts, minutes=minutes)])


@pytest.mark.parametrize(
    ("restarts", "metric", "minutes", "told"),
    [
        (3, 3, 60, False),
        (3, 1, 60, True),  # it was scraped many times since the last restart
        (3, 2, 2, False),  # the scrape may be of before the restart
        (3, 9, 2, True),  # a counter that never goes down is ahead
    ],
)
def test_restarts_that_are_counted_otherwise_are_told_unless_the_scrape_only_lags(
    restarts: int, metric: int, minutes: float, told: bool
):
    series = measured(RESTARTS, metric, pod="api-0", container="app")

    assert bool(found(pod(restarts, minutes=minutes), metrics=[series])) is told


def pulling(*events: Doc) -> list[Any]:
    status = {
        "name": "app",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}},
    }
    return [kube.pod("api-0", statuses=[status]), *events]


def image_event(reason: str, minutes: float, message: str) -> Doc:
    return kube.thing(
        "Event",
        f"{reason}.{minutes}",
        involvedObject={
            "kind": "Pod",
            "namespace": "shop",
            "name": "api-0",
            "fieldPath": "spec.containers{app}",
        },
        type="Normal" if reason == "Pulled" else "Warning",
        reason=reason,
        message=message,
        lastTimestamp=ago(minutes),
    )


PULLED = (
    'Successfully pulled image "registry.example/app:1.0" in 2s (2s including waiting). Image size: 7 bytes.'
)


def test_an_image_that_was_pulled_by_the_events_and_cannot_be_by_the_status_is_told():
    (one,) = found(*pulling(image_event("Failed", 9, "no"), image_event("Pulled", 5, PULLED)), metrics=[])

    assert (one.reason, one.believed.who, one.other.who) == (Reason.image_pull, Who.object, Who.event)
    assert one.fresher is Who.object
    assert one.other.at == moment(5)


@pytest.mark.parametrize(
    "events",
    [
        [image_event("Pulled", 9, PULLED), image_event("Failed", 5, "Failed to pull image")],
        [image_event("Pulled", 5, PULLED.replace("app:1.0", "app:0.9"))],
        [],
    ],
)
def test_a_refusal_after_it_or_another_image_is_no_contradiction(events: list[Doc]):
    assert found(*pulling(*events), metrics=[]) == []


def test_an_alert_that_fires_while_its_object_is_well_is_told():
    scene = Scene(kube.snapshot(deployment(0)))
    about = scene.snapshot.objects[0]

    told = of_alert(scene, about, "ReplicasMismatch", moment(30), well=True)

    assert told is not None
    assert (told.reason, told.fresher, told.confidence) == (Reason.alert, Who.object, 0.9)
    assert of_alert(scene, about, "ReplicasMismatch", moment(30), well=False) is None
    assert of_alert(scene, about, "", moment(30), well=True) is None


def test_a_page_of_evidence_shows_both_sides_and_says_that_they_conflict():
    metrics = [measured(UNAVAILABLE, 0, deployment="api")]
    whole = replace(kube.snapshot(deployment(2)), metrics=metrics)

    answer = page(gather(whole, Target.parse("Deployment/shop/api")), None, 50, None)

    (one,) = answer.conflicts
    assert one.conflict is True
    assert {side.evidence_id for side in one.sides} <= {item.id for item in answer.items}
    assert None not in {side.evidence_id for side in one.sides}


def test_no_more_are_told_than_can_be_read():
    names = [f"api-{n}" for n in range(2 * MOST)]
    pods = [kube.pod(name, statuses=[kube.running(restarts=1)]) for name in names]
    told = found(pods, metrics=[measured(RESTARTS, 9, pod=name, container="app") for name in names])

    assert len(told) == 2 * MOST
    assert len(shown(told, {})) == MOST


def test_where_one_series_agrees_the_others_are_somebody_elses():
    agrees = measured(UNAVAILABLE, 2, deployment="api", cluster="eu-1")
    others = [measured(UNAVAILABLE, n, deployment="api", cluster=f"eu-{n}") for n in (3, 4)]

    assert found(deployment(2), metrics=[*others, agrees]) == []
    assert len(found(deployment(2), metrics=others)) == 1


def test_a_name_of_any_length_and_with_any_sign_takes_little_room():
    scene = Scene(kube.snapshot(deployment(0)))

    told = of_alert(scene, scene.snapshot.objects[0], "x\x1b" * 5_000, None, well=True)

    assert told is not None
    assert len(told.other.text) < 150
    assert told.other.text.isprintable()


def test_times_are_those_of_the_facts():
    (one,) = found(deployment(2), metrics=[measured(UNAVAILABLE, 0, deployment="api")])

    assert (one.believed.at, one.other.at, one.fresher) == (NOW, NOW, None)
