"""What was so before an alert and did not begin it, and what did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from libs.contracts.causes import FindingSeverity
from services.context_api.domain.causality import connect
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.relation import relate
from services.context_api.domain.scene import Scene
from services.context_api.domain.settled import Settled, is_measured_well, serves, speaks, tops_of
from services.context_api.domain.snapshot import ContainerLog
from services.context_api.domain.unfelt import Unfelt
from tests.support.kube import (
    ago,
    container,
    crashing,
    deployment,
    env,
    kube,
    log,
    moment,
    node,
    pods_in,
    service,
    snapshot,
    thing,
    waiting,
)
from tests.support.series import recorded, scene
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")

DAYS_AGO, HOURS_AGO, ALERT = moment(60 * 24 * 5), moment(60 * 3), moment(10)
TRACKED = {"argocd.argoproj.io/tracking-id": "web:apps/Deployment:shop/web"}


def tracked(objects: list[Any]) -> list[Any]:
    objects[0]["metadata"]["annotations"] |= TRACKED
    return objects


APP = thing(
    "Application",
    "web",
    "argocd",
    api="argoproj.io/v1alpha1",
    spec={"destination": {"namespace": "shop"}},
    status={"resources": [{"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web"}]},
)
SCENE = Scene(
    snapshot(
        tracked(deployment("web", containers=[container(env=env(API="http://api:80"))])),
        deployment("api"),
        service("api", ready=2),
        service("web", ready=2),
        node(),
        APP,
    )
)


def at(kind: str, name: str, namespace: str | None = "shop"):
    found = SCENE.graph.get(kind, namespace, name)
    assert found
    return found


WEB, API = at("Deployment", "web"), at("Deployment", "api")


def seen(about, onset: datetime | None, **more: Any) -> Observation:
    return Observation(about, "R", "", FindingSeverity.warning, "x", Depth.mechanism, 0.8, (), onset=onset, **more)  # fmt: skip


def holds(
    one: Observation,
    *others: Observation,
    well: bool = True,
    onset: datetime | None = ALERT,
    told: bool = False,
    measured: bool = False,
    unfelt: Unfelt | None = None,
) -> bool:
    every = [one, *others]
    tree, near = connect(SCENE, every), relate(SCENE, WEB, every)
    return Settled(tree, near, WEB, onset, well, told, measured, unfelt or Unfelt(SCENE)).holds(0)


def test_what_was_wrong_for_days_and_accounts_for_nothing_younger_did_not_begin_an_alert():
    assert holds(seen(API, DAYS_AGO), well=False, told=True)
    assert not holds(seen(API, HOURS_AGO), well=False, told=True)
    assert not holds(seen(API, None), well=False, told=True)
    assert not holds(seen(API, DAYS_AGO), well=False, told=True, onset=None)


def test_what_was_wrong_for_days_may_be_why_a_program_that_says_nothing_fails():
    assert not holds(seen(API, DAYS_AGO), well=False)
    assert not holds(seen(API, DAYS_AGO))


def test_what_accounts_for_something_of_today_may_have_been_there_for_days():
    blamed = seen(WEB, ALERT, blames=(Blame(API, 0.9, "x"),))
    beside = seen(at("Service", "api"), ALERT)

    explaining = seen(API, DAYS_AGO, explains=(Explains(beside.about, 0.9, "x"),))

    assert not holds(seen(API, DAYS_AGO), blamed, well=False, told=True)
    assert not holds(explaining, beside, well=False, told=True)


def test_an_alert_that_goes_on_for_days_has_the_cause_that_its_object_had_then():
    old = seen(WEB, DAYS_AGO, blames=(Blame(API, 0.9, "x"),))

    assert not holds(seen(API, DAYS_AGO), old, well=False, told=True)


@pytest.mark.parametrize(
    "about",
    [at("Node", "node-1", None), at("Application", "web", "argocd")],
    ids=["its node", "what wrote it"],
)
@pytest.mark.parametrize("by", [{"told": True}, {"measured": True}], ids=["its log", "its series"])
def test_what_has_ailed_beneath_a_workload_that_is_seen_to_be_well_is_not_felt(about, by: dict[str, Any]):
    assert holds(seen(about, HOURS_AGO), **by)
    assert not holds(seen(about, HOURS_AGO), well=False, **by)
    assert holds(seen(about, None), **by)
    assert not holds(seen(about, moment(15)), **by)
    assert not holds(seen(about, HOURS_AGO))


class Counted(Unfelt):
    """Counts of whom it was asked."""

    def __init__(self) -> None:
        super().__init__(SCENE)
        self.asked: list[str] = []

    def why(self, obj) -> str:
        self.asked.append(obj.name)
        return super().why(obj)


def test_who_feels_a_fault_is_asked_only_of_what_has_to_do_with_the_alert():
    unfelt = Counted()

    holds(seen(kube(thing("Secret", "of-others", "elsewhere")), HOURS_AGO), unfelt=unfelt)
    holds(seen(API, HOURS_AGO), unfelt=unfelt)

    assert unfelt.asked == ["api"]


def test_whom_it_calls_may_be_why_unless_its_log_would_say_so():
    assert not holds(seen(API, HOURS_AGO))
    assert not holds(seen(API, HOURS_AGO), measured=True)
    assert holds(seen(API, HOURS_AGO), told=True)
    assert not holds(seen(API, moment(15)), told=True)
    assert not holds(seen(API, HOURS_AGO), well=False, told=True)


def test_a_log_speaks_while_it_goes_on():
    def told(*minutes: float, by: str = "app") -> bool:
        web = deployment("web", containers=[container("app"), container("istio-proxy")])
        text = "\n".join(f"{ago(m)} INFO served" for m in minutes)
        scene = Scene(snapshot(web, logs=[log(pods_in(web)[0], text, container=by)]))
        return speaks(scene, tops_of(scene.graph, scene.graph.get("Deployment", "shop", "web")))

    assert told(9, 7, 5, 3, 1)
    assert not told(9, 7)
    assert not told(90, 80, 70, 60, 50)
    assert not told(9, 7, 5, 3, 1, by="istio-proxy")


SHARE = 'sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'


@pytest.mark.parametrize(
    ("values", "label", "expected"),
    [
        ([0.0003] * 50, "web", True),
        ([0.0003] * 25 + [0.2] * 25, "web", False),
        ([0.0003] * 50, "api", False),
    ],
    ids=["as few fail as ever", "more fail", "another's"],
)
def test_series_say_that_a_workload_is_well_where_its_failures_are_measured(
    values: list[float], label: str, expected: bool
):
    share = recorded(SHARE, values, namespace="shop", deployment=label)
    known = scene(deployment("web"), deployment("api"), metrics=[share])
    tops = tops_of(known.graph, known.graph.get("Deployment", "shop", "web"))

    assert is_measured_well(known, tops, ALERT) is expected
    assert not is_measured_well(known, tops, None)
    assert not is_measured_well(known, [], ALERT)


def test_a_call_that_its_log_would_complain_of_is_not_made_in_vain():
    web = deployment("web", containers=[container(env=env(API="http://api:80"))])
    down = [deployment("api", statuses=[crashing()], unready_since=200), service("api", not_ready=2)]
    quiet = "\n".join(f"{ago(30 - n)} INFO served {n}" for n in range(30))
    calls = quiet + "\n" + "\n".join(f"{ago(9 - n)} ERROR GET http://api:80/x: connection refused" for n in range(9))  # fmt: skip

    def named(text: str) -> list[str]:
        logs = [log(p, text) for p in pods_in(web)]
        return [
            str(c.target)
            for c in causes(web, down, target="Deployment/shop/web", onset=ALERT, logs=logs).ranked
        ]

    assert named(quiet) == []
    assert named(calls)[0] == "Deployment/shop/api"


def test_a_rollout_that_has_served_nobody_is_not_why_a_healthy_caller_is_asked_about():
    web = deployment("web", containers=[container(env=env(API="http://api:80"))])
    held = [
        deployment("api", before=[container(image="registry.example/app:0.9")], old_pods=2, pods=1, statuses=[waiting("app", "ErrImagePull")], rolled_out=15),
        service("api", ready=2),
    ]  # fmt: skip

    assert causes(web, held, target="Deployment/shop/web", onset=ALERT).no_cause
    assert causes(web, held, target="Deployment/shop/api", onset=ALERT).ranked


def test_what_a_log_of_the_place_has_always_complained_of_is_no_cause_of_an_alert_about_it():
    space = Scene(snapshot(thing("Namespace", "shop", None), deployment("noisy")))
    about, noisy = space.graph.get("Namespace", None, "shop"), space.graph.get("Deployment", "shop", "noisy")
    assert about and noisy  # noqa: PT018 - one premise

    def said(onset: datetime, *, depth: Depth = Depth.process, latent: bool = True) -> bool:
        one = Observation(
            noisy, "R", "", FindingSeverity.warning, "x", depth, 0.4, (), onset=onset, latent=latent
        )
        tree, near = connect(space, [one]), relate(space, about, [one])
        return Settled(tree, near, about, ALERT, False, False, False, Unfelt(space)).holds(0)

    assert said(HOURS_AGO)
    assert not said(moment(40))
    assert not said(HOURS_AGO, depth=Depth.mechanism)
    assert not said(HOURS_AGO, latent=False)


def test_a_workload_serves_when_all_its_pods_are_ready():
    ill = Scene(snapshot(deployment("web", statuses=[crashing()]), service("web"), thing("Secret", "s")))

    assert serves(SCENE.graph, WEB)
    assert serves(SCENE.graph, at("Service", "web"))
    assert not serves(ill.graph, ill.graph.get("Deployment", "shop", "web"))
    assert not serves(ill.graph, ill.graph.get("Secret", "shop", "s"))
    assert not serves(SCENE.graph, None)


# -- whole answers -----------------------------------------------------------------------------------

FAILED = {"phase": "Failed", "message": "one object failed to apply", "finishedAt": ago(180)}


def goes_on(objects: list[Any]) -> list[ContainerLog]:
    return [log(p, "\n".join(f"{ago(30 - n)} INFO served {n}" for n in range(30))) for p in pods_in(objects)]


def failed_sync() -> dict[str, Any]:
    return {**APP, "status": {**APP["status"], "operationState": FAILED, "sync": {"status": "OutOfSync"}}}


def test_a_sync_that_failed_hours_ago_is_not_why_an_alert_about_a_healthy_workload_came():
    web = tracked(deployment("web"))

    assert causes(web, failed_sync(), target="Deployment/shop/web", onset=ALERT, logs=goes_on(web)).no_cause
    silent = causes(web, failed_sync(), target="Deployment/shop/web", onset=ALERT)
    answer = causes(web, failed_sync(), target="Application/argocd/web", onset=ALERT)
    assert first(silent) == first(answer) == ("Application/argocd/web", "SyncFailed")


def test_a_node_under_pressure_is_why_where_a_pod_shows_it():
    pressure = {"type": "MemoryPressure", "status": "True", "reason": "Low", "message": "", "lastTransitionTime": ago(90)}  # fmt: skip
    tight = node(conditions=[pressure])

    well, ill = deployment("web"), deployment("web", statuses=[crashing()])

    assert causes(well, tight, target="Deployment/shop/web", onset=ALERT, logs=goes_on(well)).no_cause
    assert causes(well, tight, target="Deployment/shop/web", onset=ALERT).ranked
    answer = causes(ill, tight, target="Deployment/shop/web", onset=ALERT)
    assert "Node/_cluster/node-1" in [str(c.target) for c in answer.ranked]
    assert pods_in(ill)
