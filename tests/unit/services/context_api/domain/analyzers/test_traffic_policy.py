"""Services that serve callers of their own node only."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import traffic_policy
from tests.support.kube import ago, container, deployment, edit, env, log, pods_in, service
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

BAD = "ERROR POST http://relay:80/quote: dial tcp 10.96.0.7:80: i/o timeout"
EDIT = edit(60 * 24 * 9, "spec/internalTrafficPolicy")
WEB = deployment("web", containers=[container(env=env(RELAY="http://relay:80"))], replicas=2)
for _pod, _node in zip(pods_in(WEB), ("node-1", "node-3"), strict=True):
    _pod["spec"]["nodeName"] = _node


def lines(words: str) -> str:
    return "\n".join(f"{ago(9 - n)} {words}" for n in range(6))


def relay(policy: str = "Local", nodes: tuple[str, ...] = ("node-1", "node-2"), ready: bool = True):
    made = service("relay", ready=len(nodes), edits=[EDIT], address="10.96.0.7")
    made[0]["spec"]["internalTrafficPolicy"] = policy
    made[1]["endpoints"] = [{"conditions": {"ready": ready}, "nodeName": n} for n in nodes]
    return [made, deployment("relay", replicas=2)]


def logs(first_one: str = "INFO served", second: str = BAD):
    return [log(p, lines(text)) for p, text in zip(pods_in(WEB), (first_one, second), strict=True)]


def test_a_caller_on_a_node_without_endpoints_leads_to_the_service_whose_policy_is_weeks_old():
    web = service("web", ready=2)

    answer = causes(WEB, web, relay(), target="Service/shop/web", logs=logs())

    assert first(answer) == ("Service/shop/relay", "NoEndpointOnCallersNode")
    told = answer.ranked[0].text
    assert "internalTrafficPolicy: Local, set at 2026-11-09" in told
    assert "from node node-3, where there is none" in told
    assert "on node-1 do not complain" in told


def test_without_anybody_to_compare_it_is_less_sure():
    (alone,) = seen_of(relay(), both=BAD)

    assert alone.certainty == traffic_policy.LIKELY


@pytest.mark.parametrize(
    "service_of",
    [relay("Cluster"), relay(nodes=("node-1", "node-3")), relay(nodes=())],
    ids=["it serves all nodes", "the caller's node has one", "it has no endpoint at all"],
)
def test_other_reasons_for_the_same_complaint_are_left_to_others(service_of):
    assert said(seen_of(service_of)) == []


def seen_of(service_of, both: str = ""):
    crashed = deployment("web", containers=[container(env=env(RELAY="http://relay:80"))], replicas=2, statuses=[
        {"name": "app", "ready": False, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {}},
    ], node="node-3")  # fmt: skip
    told = [log(p, lines(both or BAD)) for p in pods_in(crashed)]
    return seen(traffic_policy, crashed, service_of, logs=told)
