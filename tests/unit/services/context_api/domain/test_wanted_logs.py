from __future__ import annotations

import pytest

from services.context_api.domain.wanted_logs import LogReason, WantedLog, stands_out, wanted_logs
from tests.support import kube
from tests.support.kube import Doc

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")


def wanted(*pods: Doc, warned: tuple[str, ...] = (), most: int = 10, healthy: int = 5) -> list[WantedLog]:
    return list(chosen(*pods, warned=warned, most=most, healthy=healthy)[0])


def chosen(*pods: Doc, warned: tuple[str, ...] = (), most: int = 10, healthy: int = 5):
    made = wanted_logs(
        [kube.kube(pod) for pod in pods], {("shop", name) for name in warned}, kube.NOW, most=most, healthy=healthy
    )  # fmt: skip
    return made.chosen, made.left_out


def names(logs: list[WantedLog]) -> list[str]:
    return [f"{log.pod}{' previous' if log.previous else ''}" for log in logs]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (kube.crashing(), LogReason.ends),
        (kube.running(ready=False), LogReason.not_ready),
        (kube.running(restarts=1, last=kube.ended(minutes=600)), LogReason.restarted),
        (kube.running(), LogReason.well),
        ({"name": "app", "ready": False, "restartCount": 0, "state": {"terminated": kube.ended(3)}}, LogReason.failed),
    ],
)  # fmt: skip
def test_a_container_is_read_for_what_its_status_says(status: Doc, reason: LogReason):
    assert {log.reason for log in wanted(kube.pod("a", statuses=[status]))} == {reason}


def test_the_instance_before_the_restart_is_read_too():
    assert names(wanted(kube.pod("a", statuses=[kube.crashing()]))) == ["a", "a previous"]
    assert names(wanted(kube.pod("a"))) == ["a"]


@pytest.mark.parametrize(
    "pod",
    [
        kube.pod("a", statuses=[kube.waiting(reason="ImagePullBackOff")]),
        kube.pod("a", node=None, statuses=[kube.running()]),
        kube.pod("a", statuses=[]),
    ],
    ids=["never started", "on no node", "no status yet"],
)
def test_what_never_ran_has_no_log_to_ask_for(pod: Doc):
    assert wanted(pod) == []


def test_an_init_container_is_read_while_it_runs_or_has_failed_and_not_when_it_is_done():
    def pod(name: str, state: Doc) -> Doc:
        made = kube.pod(name, spec={"initContainers": [{"name": "migrate"}]}, statuses=[kube.waiting()])
        made["status"]["initContainerStatuses"] = [{"name": "migrate", "restartCount": 0, "state": state}]
        return made

    logs = wanted(
        pod("done", {"terminated": kube.ended(0)}),
        pod("failed", {"terminated": kube.ended(1)}),
        pod("runs", {"running": {"startedAt": kube.ago(5)}}),
    )

    assert [(log.pod, log.reason) for log in logs] == [
        ("failed", LogReason.failed),
        ("runs", LogReason.not_ready),
    ]


def test_warnings_and_youth_come_before_health():
    logs = wanted(kube.pod("a-well"), kube.pod("b-new", age=10), kube.pod("c-warned"), warned=("c-warned",))

    assert names(logs) == ["c-warned", "b-new", "a-well"]


def test_the_first_replica_of_each_workload_comes_before_the_second_of_any():
    def crashing(name: str, owner: str) -> Doc:
        return kube.pod(
            name, owner=kube.thing("ReplicaSet", owner, api="apps/v1"), statuses=[kube.crashing()]
        )

    logs = wanted(*(crashing(f"a-{n}", "a") for n in range(3)), crashing("z-0", "z"), most=4)

    assert names(logs) == ["a-0", "a-0 previous", "z-0", "z-0 previous"]


def test_what_did_not_fit_is_counted_by_reason_and_health_is_no_loss():
    logs, left_out = chosen(
        *(kube.pod(f"sick-{n}", statuses=[kube.running(ready=False)]) for n in range(5)), kube.pod("well"), most=3
    )  # fmt: skip

    assert len(logs) == 3
    assert list(left_out) == [(LogReason.not_ready, 2)]


def test_healthy_containers_never_take_more_than_their_share():
    assert len(wanted(*(kube.pod(f"well-{n}") for n in range(9)), healthy=2)) == 2


def test_the_order_of_the_pods_changes_nothing():
    pods = [kube.pod(f"p-{n}", statuses=[kube.crashing()]) for n in range(4)]

    assert wanted(*pods, most=3) == wanted(*reversed(pods), most=3)


def test_a_log_says_whose_it_is():
    log = wanted(kube.pod("a", statuses=[kube.crashing()]))[1]

    assert str(log) == "previous log of shop/a/app"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([kube.running()], False),
        ([kube.running(restarts=1)], True),
        ([kube.running(ready=False)], True),
        ([kube.crashing()], True),
    ],
)
def test_a_pod_stands_out_when_a_container_of_it_gives_a_reason(statuses: list[kube.Doc], expected: bool):
    (pod,) = kube.snapshot(kube.pod("a", statuses=statuses)).objects

    assert stands_out(pod) is expected
