"""Trouble with what no recorded object stands for, and what only looks like it."""

from __future__ import annotations

import pytest

from services.context_api.domain.elsewhere import foreign, unreached
from tests.support.kube import deployment, node, service
from tests.support.series import recorded, scene

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")

SWITCH = {"job": "snmp", "instance": "sw-2.net.example", "ifName": "Ethernet1/14"}


def found(metric) -> int:
    known = scene(deployment("api"), service("api", ready=2), node("node-1"), metrics=[metric])
    return len(list(foreign(known)))


@pytest.mark.parametrize(
    "metric",
    [
        recorded("rate(ifInErrors[5m])", [0.0] * 30 + [4.0] * 20, **SWITCH),
        recorded("rate(ifOutDiscards[5m])", [0.1] * 30 + [9.0] * 20, **SWITCH),
        recorded(
            "probe_success", [1.0] * 30 + [0.0] * 20, job="blackbox", instance="https://partner.example"
        ),
        recorded('up{job="snmp"}', [1.0] * 30 + [0.0] * 20, **SWITCH),
    ],
    ids=["errors of a port", "discards of a port", "a probe outside", "a target outside"],
)
def test_trouble_that_began_and_goes_on_outside_of_what_was_recorded(metric):
    assert found(metric) == 1


@pytest.mark.parametrize(
    "metric",
    [
        recorded("rate(ifInErrors[5m])", [4.0] * 50, **SWITCH),
        recorded("rate(ifInErrors[5m])", [0.0] * 20 + [4.0] * 20 + [0.0] * 10, **SWITCH),
        recorded("rate(ifInErrors[5m])", ([0.0] * 5 + [4.0] * 6) * 5, **SWITCH),
        recorded("rate(ifHCInOctets[5m])", [1.0] * 30 + [9.0] * 20, **SWITCH),
        recorded("rate(errors_total[5m])", [0.0] * 30 + [4.0] * 20, namespace="shop", service="api"),
        recorded("rate(node_network_receive_errs_total[5m])", [0.0] * 30 + [4.0] * 20, node="node-1"),
        recorded("probe_success", [1.0] * 50, job="blackbox", instance="https://partner.example"),
        recorded("probe_success", [0.0] * 50, job="blackbox", instance="https://partner.example"),
    ],
    ids=["as ever", "over", "comes and goes", "no errors", "of a workload", "of a node", "answers", "never answered"],
)  # fmt: skip
def test_what_is_as_ever_over_or_of_the_cluster_is_none(metric):
    assert found(metric) == 0


def test_a_prober_that_names_what_was_recorded_is_told_of_that():
    labels = {"namespace": "shop", "service": "api"}
    lost = recorded("avg_over_time(probe_success[5m])", [1.0] * 30 + [0.2] * 20, **labels)
    half = recorded("avg_over_time(probe_success[5m])", [1.0] * 30 + [0.8] * 20, **labels)
    known = scene(deployment("api"), service("api", ready=2), node("node-1"), metrics=[lost, half])
    about, other = known.graph.get("Service", "shop", "api"), known.graph.get("Node", None, "node-1")
    assert about is not None
    assert other is not None

    assert [series.last for series in unreached(known, about)] == [0.2]
    assert list(unreached(known, other)) == []
