"""Selectors that were edited and find less since."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import left_out
from tests.support.kube import Doc, applied, deployment, edit, service, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

API = "monitoring.coreos.com/v1"
NARROW = {"matchLabels": {"release": "kps"}}


def server(before: Any, now: Any, *, paths: str = "spec/serviceMonitorSelector/matchLabels/release") -> Doc:
    return thing("Prometheus", "kps", "monitoring", api=API, annotations=applied({"spec": {"serviceMonitorSelector": before}}),
                 edits=[edit(40, paths, by="helm")], spec={"serviceMonitorSelector": now})  # fmt: skip


def monitor(name: str = "api", age: float = 9000, **labels: str) -> Doc:
    return thing("ServiceMonitor", name, api=API, age=age, labels=labels, spec={"selector": {"matchLabels": {"app": name}}})  # fmt: skip


APP = [deployment("api"), service("api", ready=2)]


def test_who_stopped_to_select_a_healthy_services_monitor_is_the_cause_of_an_alert_about_it():
    app = service("api", ready=2)
    app[0]["metadata"]["labels"] = {"app": "api"}

    answer = causes(
        deployment("api"), app, monitor(team="shop"), server({}, NARROW), target="Service/shop/api"
    )

    assert first(answer) == ("Prometheus/monitoring/kps", "SelectorLeavesOut")
    for fact in ("`release=kps`", "`everything` before", "ServiceMonitor shop/api", "helm"):
        assert fact in answer.ranked[0].text


def test_a_route_that_its_router_stopped_to_select_leads_there_too():
    router = thing("IngressController", "shard", "routers", api="operator.openshift.io/v1", annotations=applied({"spec": {"routeSelector": {"matchLabels": {"tier": "a"}}}}),
                   edits=[edit(40, "spec/routeSelector/matchLabels/tier")], spec={"routeSelector": {"matchLabels": {"tier": "b"}}})  # fmt: skip
    route = thing("Route", "api", api="route.openshift.io/v1", labels={"tier": "a"}, spec={"host": "api.example.com", "to": {"kind": "Service", "name": "api"}})  # fmt: skip

    answer = causes(APP, route, router, target="Service/shop/api")

    assert first(answer) == ("IngressController/routers/shard", "SelectorLeavesOut")


def test_an_alert_about_what_is_still_selected_is_not_led_there():
    answer = causes(
        APP, monitor(release="kps"), monitor("other", team="x"), server({}, NARROW), target="Service/shop/api"
    )

    assert answer.ranked == []


@pytest.mark.parametrize(
    "objects",
    [
        [server({}, NARROW), monitor(release="kps")],
        [server(NARROW, NARROW), monitor(team="shop")],
        [server(None, NARROW), monitor(team="shop")],
        [server({}, NARROW, paths="spec/retention"), monitor(team="shop")],
        [server(NARROW, {}), monitor(team="shop")],
        [server({}, NARROW), monitor(age=10, team="shop")],
    ],
    ids=["found still", "unchanged", "nothing was selected", "another field was edited", "widened", "made later"],
)  # fmt: skip
def test_a_selector_that_dropped_nothing_is_no_fault(objects: list[Any]):
    assert said(seen(left_out, *objects)) == []
