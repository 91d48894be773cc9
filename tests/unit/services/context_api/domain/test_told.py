"""Why no cause is named, in a sentence a person can check."""

from __future__ import annotations

import pytest

from libs.contracts.causes import NoCause
from tests.support.kube import (
    ago,
    config_map,
    container,
    crashing,
    deployment,
    edit,
    ended,
    event,
    log,
    moment,
    node,
    pod,
    pods_in,
    running,
    service,
    stateful_set,
    thing,
)
from tests.support.series import answered, recorded
from tests.support.triage import causes

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")


def test_a_target_that_is_well_is_told_with_the_time_since_when():
    answer = causes(deployment("api"), target="Deployment/shop/api", onset=moment(5))

    assert answer.no_cause_reason is NoCause.nothing_wrong
    for words in (
        "2 of 2 pods of Deployment shop/api are ready, all of them since 2026-11-17 09:30:00 UTC.",
        "That is 24 h before the alert began",
        "No container ended and no warning was written since 2026-11-18 08:25:00 UTC.",
    ):
        assert words in answer.no_cause_text


def test_an_alert_that_began_after_the_recovery_is_told_to_be_late():
    again = [{"type": "Ready", "status": "True", "lastTransitionTime": ago(40)}]
    status = running(minutes=41, restarts=1, last=ended(1, minutes=42))
    objects = deployment("api", statuses=[status], pod_conditions=again)

    answer = causes(objects, target="Deployment/shop/api", onset=moment(10))

    assert answer.no_cause_reason is NoCause.recovered
    assert "all of them since 2026-11-18 08:50:00 UTC" in answer.no_cause_text
    assert "That is 30 min before the alert began" in answer.no_cause_text
    assert "The last sign of trouble: 2026-11-18 08:50:00 UTC." in answer.no_cause_text


def test_an_alert_that_began_before_the_recovery_is_not_called_late():
    again = [{"type": "Ready", "status": "True", "lastTransitionTime": ago(10)}]
    status = running(minutes=11, restarts=1, last=ended(1, minutes=12))

    answer = causes(
        deployment("api", statuses=[status], pod_conditions=again),
        target="Deployment/shop/api",
        onset=moment(40),
    )

    assert answer.no_cause_reason is NoCause.recovered
    assert "before the alert began" not in answer.no_cause_text


def test_a_pod_that_was_replaced_is_told_by_its_owner_that_is_well():
    answer = causes(deployment("api"), target="Pod/shop/api-7c9d5b6f8-zzzzz", onset=moment(30))

    assert answer.no_cause_reason is NoCause.recovered
    assert "Pod/shop/api-7c9d5b6f8-zzzzz is no more; Deployment shop/api made it." in answer.no_cause_text
    assert "2 of 2 pods" in answer.no_cause_text


def test_a_pod_that_was_taken_away_on_purpose_is_nothing_wrong():
    fewer = deployment("api", edits=[edit(20, "spec/replicas", by="kubectl-scale")])

    answer = causes(fewer, target="Pod/shop/api-7c9d5b6f8-zzzzz", onset=moment(15))

    assert answer.no_cause_reason is NoCause.nothing_wrong
    assert "which was scaled to 2 at 2026-11-18 09:10:00 UTC by kubectl-scale" in answer.no_cause_text


def test_the_owner_of_a_pod_without_a_telling_name_is_found_by_its_controllers_event():
    made = stateful_set("db", "shop")
    told = event(
        made[0], "SuccessfulDelete", "delete Pod store-a in StatefulSet db successful", type_="Normal"
    )

    answer = causes(made, told, target="Pod/shop/store-a")

    assert "StatefulSet shop/db made it" in answer.no_cause_text


def test_a_node_is_told_by_its_own_condition():
    assert (
        "Node node-1 is ready since 2026-11-17 23:30:00 UTC"
        in causes(node(), target="Node/_cluster/node-1").no_cause_text
    )


def test_a_pod_an_autoscaler_took_away_is_nothing_wrong():
    def scaler(minutes: float):
        return thing(
            "HorizontalPodAutoscaler", "api", api="autoscaling/v2",
            spec={"maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "api"}},
            status={"lastScaleTime": ago(minutes), "conditions": []},
        )  # fmt: skip

    now, before = (
        causes(deployment("api"), scaler(m), target="Pod/shop/api-7c9d5b6f8-zzzzz", onset=moment(15))
        for m in (20, 600)
    )

    assert now.no_cause_reason is NoCause.nothing_wrong
    assert (
        "which was scaled to 2 at 2026-11-18 09:10:00 UTC by HorizontalPodAutoscaler api" in now.no_cause_text
    )
    assert before.no_cause_reason is NoCause.recovered


def test_an_older_scaling_does_not_excuse_a_pod_that_went_away_now():
    fewer = deployment("api", edits=[edit(60 * 9, "spec/replicas", by="kubectl-scale")])

    assert (
        causes(fewer, target="Pod/shop/api-7c9d5b6f8-zzzzz", onset=moment(15)).no_cause_reason
        is NoCause.recovered
    )


# -- not recorded ------------------------------------------------------------------------------------


def test_a_target_nothing_was_recorded_of_gets_no_cause_from_its_namespace():
    broken = deployment("web", statuses=[crashing(code=137, reason="OOMKilled")])

    answer = causes(broken, target="Deployment/shop/orders", onset=moment(20))

    assert answer.ranked == []
    assert answer.no_cause_reason is NoCause.insufficient
    assert "Deployment/shop/orders: not in the recording" in answer.not_looked_at
    assert "was not recorded, while 1 of its kind in namespace shop were" in answer.no_cause_text
    assert ("Deployment/shop/web", "OOMKilled") in [(str(f.target), f.reason) for f in answer.findings]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([deployment("order")], "spelled alike: order"),
        ([config_map("c")], "nor was any other of its kind in namespace shop"),
        ([config_map("c", "elsewhere")], "nor was anything else of namespace shop"),
    ],
    ids=["a namesake", "others of the namespace", "nothing of the namespace"],
)
def test_what_is_missing_is_named(objects, words: str):
    answer = causes(objects, target="Deployment/shop/orders")

    assert answer.no_cause_reason is NoCause.insufficient
    assert words in answer.no_cause_text


def test_the_last_event_about_what_is_gone_is_told():
    gone = pod("lone")
    told = event(gone, "Killing", "Stopping container app", type_="Normal")

    answer = causes(config_map("c"), told, target="Pod/shop/lone")

    assert "The last event about it (Killing) is of 2026-11-18 09:29:00 UTC." in answer.no_cause_text


def test_a_fault_that_says_it_lacks_the_very_object_is_still_its_cause():
    waits = {"name": "app", "ready": False, "restartCount": 0, "lastState": {},
             "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "rates" not found'}}}  # fmt: skip
    uses = [
        {
            "name": "app",
            "image": "registry.example.com/app:1",
            "envFrom": [{"configMapRef": {"name": "rates"}}],
        }
    ]
    api = deployment("api", containers=uses, statuses=[waits])

    answer = causes(api, config_map("other"), target="ConfigMap/shop/rates")

    assert str(answer.ranked[0].target) == "Deployment/shop/api"
    assert "rates" in answer.ranked[0].text


def test_a_longer_name_that_begins_alike_is_another_object():
    waits = {"name": "app", "ready": False, "restartCount": 0, "lastState": {},
             "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "rates-eu" not found'}}}  # fmt: skip
    uses = [
        {
            "name": "app",
            "image": "registry.example.com/app:1",
            "envFrom": [{"configMapRef": {"name": "rates-eu"}}],
        }
    ]

    answer = causes(
        deployment("api", containers=uses, statuses=[waits]),
        config_map("other"),
        target="ConfigMap/shop/rates",
    )

    assert answer.ranked == []


def test_a_service_that_settings_name_and_nobody_made_is_its_own_cause():
    api = deployment(
        "api",
        containers=[
            {
                "name": "app",
                "image": "registry.example.com/app:1",
                "env": [{"name": "DB", "value": "postgres://db:5432"}],
            }
        ],
        statuses=[crashing()],
    )
    db = stateful_set("db", "shop")

    answer = causes(api, db, service("api", not_ready=2), target="Service/shop/db")

    assert (str(answer.ranked[0].target), answer.ranked[0].reason) == ("Service/shop/db", "ServiceMissing")


def test_without_a_target_nothing_is_added():
    assert causes(deployment("api")).no_cause_text == ""
    assert causes(thing("Namespace", "shop", None)).no_cause_text == ""


def test_trouble_that_a_metric_shows_to_be_over_is_told_with_its_time_and_height():
    share = 'sum(rate(sent_total{outcome="failed"}[2m])) / sum(rate(sent_total[2m]))'
    metric = recorded(share, [0.0] * 20 + [0.9] * 10 + [0.001] * 20, namespace="shop")

    answer = answered("Deployment/shop/api", deployment("api"), metrics=[metric], onset=moment(28))

    assert answer.no_cause_reason is NoCause.recovered
    assert "up to 90.0% of all failed, and since then as before" in answer.no_cause_text


def test_a_target_that_a_prober_no_longer_reaches_is_told_with_what_was_measured():
    lost = recorded(
        "avg_over_time(probe_success[5m])",
        [1.0] * 30 + [0.1] * 20,
        namespace="shop",
        service="api",
        probe="Sydney",
    )
    answer = answered("Service/shop/api", deployment("api"), service("api", ready=2), metrics=[lost])

    assert answer.no_cause_reason is NoCause.insufficient
    assert "A prober does not reach it" in answer.no_cause_text
    assert "probe=Sydney" in answer.no_cause_text


def test_a_spell_of_complaints_that_is_over_is_told_with_its_times():
    objects = deployment("api", replicas=1)
    said = [(m, "ERROR query timed out") for m in (40, 38, 36, 34, 32, 30)] + [
        (m, "INFO GET / 200") for m in (9, 4, 1)
    ]
    text = "\n".join(f"{ago(m)} {words}" for m, words in said)

    answer = causes(
        objects, target="Deployment/shop/api", onset=moment(35), logs=[log(pods_in(objects)[0], text)]
    )

    assert answer.no_cause_reason is NoCause.recovered
    assert (
        "The log of Deployment shop/api held 6 complaints from 2026-11-18 08:50:00 UTC to 2026-11-18 09:00:00 UTC, "
        "and has held none since."
    ) in answer.no_cause_text


def test_ends_by_a_programs_own_decision_are_told_as_such():
    status = running(minutes=20, restarts=30, last=ended(0, "Completed", minutes=20, lived=40))
    objects = deployment("api", statuses=[status])
    logs = [log(p, "INFO 5000 messages handled, restarting", previous=True) for p in pods_in(objects)]

    answer = causes(objects, target="Deployment/shop/api", onset=moment(15), logs=logs)

    assert answer.no_cause_reason is NoCause.nothing_wrong
    assert (
        "No container ended, but for 2 by their own decision (exit code 0), and no warning"
        in answer.no_cause_text
    )


def test_who_waits_for_its_turn_is_told_by_name():
    objects = deployment("api")
    second = pods_in(objects)[1]
    second["status"]["containerStatuses"] = [running(ready=False)]
    second["status"]["conditions"] = [
        {"type": "Ready", "status": "False", "lastTransitionTime": ago(60 * 24)}
    ]

    answer = causes(objects, target="Deployment/shop/api", logs=[log(second, "INFO lock is held by api-0")])

    assert answer.no_cause_reason is NoCause.nothing_wrong
    assert "1 of 2 pods of Deployment shop/api are ready." in answer.no_cause_text
    name = second["metadata"]["name"]
    assert (
        f"{name} waits for its turn beside one that has it, by the words of its log." in answer.no_cause_text
    )
    assert "Beside that, no container ended and no warning was written since" in answer.no_cause_text


def test_who_lets_others_go_first_is_told_to_have_found_no_room():
    state = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu.", "lastTransitionTime": ago(10)}]  # fmt: skip
    filler = deployment(
        "filler", replicas=1, node=None, statuses=[], pod_conditions=state, spec={"priority": -10}
    )

    answer = causes(filler, node(), target="Deployment/shop/filler")

    assert answer.no_cause_reason is NoCause.nothing_wrong
    assert "found no room; of a priority below zero, they let all others go first." in answer.no_cause_text


def test_who_starts_and_who_awaits_a_node_is_told_as_such():
    status = running(minutes=4, ready=False)
    status["started"] = False
    slow = container(startupProbe={"periodSeconds": 10, "failureThreshold": 60})
    late = deployment("api", replicas=1, containers=[slow], statuses=[status], pod_age=4, unready_since=4)
    state = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu.", "lastTransitionTime": ago(4)}]  # fmt: skip
    waits = deployment("web", replicas=1, node=None, statuses=[], pod_conditions=state)
    promise = event(pods_in(waits)[0], "TriggeredScaleUp", "x", first=3, last=3, type_="Normal")

    starts = causes(late, target="Deployment/shop/api")
    awaits = causes(waits, promise, node(), target="Deployment/shop/web")

    assert "starts, and is within the time that its probes give it for that." in starts.no_cause_text
    assert "waits for a node that an autoscaler has asked for." in awaits.no_cause_text
