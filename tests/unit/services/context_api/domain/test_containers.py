"""What a container is doing, and which restarts still matter."""

from __future__ import annotations

import pytest

from services.context_api.domain.containers import (
    DEFAULT,
    containers_of,
    ends_again_and_again,
    is_live,
    is_made_up_for,
    is_main,
    is_ready,
    is_settled,
)
from services.context_api.domain.snapshot import KubeObject
from tests.support.kube import NOW, ago, container, crashing, ended, kube, pod, running, thing, waiting

pytestmark = pytest.mark.requirement("API-BR-CAPI-001")


def only(status, **more):
    return next(containers_of(kube(pod("web-0", statuses=[status], **more))))


def test_roles_follow_from_where_a_container_stands_and_its_restart_policy():
    one = pod(
        "web-0", spec={"initContainers": [container("prepare"), container("mesh", restartPolicy="Always")]}
    )

    assert {(c.name, c.role) for c in containers_of(kube(one))} == {
        ("prepare", "init"),
        ("mesh", "sidecar"),
        ("app", "app"),
    }


MANY = ["app", "shipper", "istio-proxy", "linkerd-proxy"]


@pytest.mark.parametrize(
    ("annotations", "main"),
    [({}, {"app", "shipper"}), ({DEFAULT: "app"}, {"app"}), ({DEFAULT: "gone"}, {"app", "shipper"})],
    ids=["nobody says", "the pod says", "it says one that is no more"],
)
def test_a_pods_own_work_is_done_by_no_proxy_sidecar_or_init_container(annotations, main: set[str]):
    one = kube(
        pod(
            "web-0",
            containers=[container(name) for name in MANY],
            spec={"initContainers": [container("prepare"), container("mesh", restartPolicy="Always")]},
            annotations=annotations,
        )
    )

    assert {name for name in [*MANY, "prepare", "mesh"] if is_main(one, name)} == main


def test_a_status_without_a_spec_is_still_a_container():
    one = pod("web-0", statuses=[crashing()])
    one["spec"] = None

    (found,) = containers_of(kube(one))

    assert (found.name, found.waiting_reason, found.restarts) == ("app", "CrashLoopBackOff", 7)


@pytest.mark.parametrize(
    ("minutes", "restarts", "matters"),
    [(30, 1, True), (70, 1, False), (70, 24, True), (60 * 20, 24, False), (60 * 4, 8, True)],
    ids=["within the hour", "once, longer ago", "hourly", "hourly, but not for a day", "every few hours"],
)
def test_an_old_ending_matters_only_in_its_own_rhythm(minutes: float, restarts: int, matters: bool):
    found = only(running(minutes=minutes, restarts=restarts, last=ended(1, minutes=minutes)), age=60 * 24)

    assert ends_again_and_again(found, NOW) is matters


@pytest.mark.parametrize(
    ("change", "live"),
    [({}, True), ({"phase": "Succeeded"}, False), ({"deletionTimestamp": ago(1)}, False)],
)
def test_live_pods_are_those_meant_to_run(change, live: bool):
    assert is_live(kube(pod("web-0", **change))) is live


def test_an_evicted_pod_is_not_live():
    gone = pod("web-0", phase="Failed")
    gone["status"]["reason"] = "Evicted"

    assert not is_live(kube(gone))


def test_readiness_is_the_condition_and_without_one_the_containers():
    with_condition, without = pod("a", statuses=[running(ready=False)]), pod("b")
    without["status"]["conditions"] = None

    assert (is_ready(kube(with_condition)), is_ready(kube(without))) == (False, True)


DONE = {"name": "prepare", "ready": True, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}
INIT = {"initContainers": [container("prepare")]}


@pytest.mark.parametrize(
    ("one", "settled"),
    [
        (pod("a", statuses=[running()]), True),
        (pod("a", statuses=[running()], spec=INIT), False),
        (pod("a", statuses=[running(ready=False)]), False),
        (pod("a", statuses=[running(restarts=1)]), False),
        (pod("a", statuses=[running(last=ended(1))]), False),
        (pod("a", statuses=[waiting()]), False),
        (pod("a", statuses=[crashing()]), False),
        (pod("a", statuses=[running()], containers=[container(), container("mesh")]), False),
    ],
    ids=["well", "no word of its init container", "unready", "restarted", "ended before", "waits", "crashes", "one of two"],
)  # fmt: skip
def test_a_pod_is_settled_only_when_nothing_about_its_containers_is_worth_a_look(one, settled: bool):
    assert is_settled(kube(one)) is settled


@pytest.mark.parametrize(
    ("done", "settled"),
    [
        (DONE, True),
        ({**DONE, "restartCount": 2}, False),
        ({**DONE, "state": {"terminated": {"exitCode": 1}}}, False),
    ],
)
def test_an_init_container_must_be_done_at_once(done, settled: bool):
    one = pod("a", statuses=[running()], spec=INIT)
    one["status"]["initContainerStatuses"] = [done]

    assert is_settled(kube(one)) is settled


def test_a_half_written_pod_is_not_settled():
    one = pod("a", statuses=[running()])
    one["spec"] = None

    assert not is_settled(kube(one))


def job_of(kind: str = "Job", *, complete: bool = False) -> KubeObject:
    state = [{"type": "Complete", "status": "True"}] if complete else []
    return kube(thing(kind, "fill", api="batch/v1", age=60, status={"conditions": state}))


def schedule_of(minutes: float) -> KubeObject:
    return kube(thing("CronJob", "fill", api="batch/v1", status={"lastSuccessfulTime": ago(minutes)}))


@pytest.mark.parametrize(
    ("job", "schedule", "expected"),
    [
        (job_of(complete=True), None, True),
        (job_of(), None, False),
        (job_of(), schedule_of(5), True),
        (job_of(), schedule_of(90), False),
        (job_of("ReplicaSet", complete=True), None, False),
    ],
    ids=["done after all", "not done", "a later run was", "an earlier run was", "no job"],
)
def test_a_failed_try_is_made_up_for_by_another_that_did_the_work(job, schedule, expected: bool):
    assert is_made_up_for(job, schedule) is expected
