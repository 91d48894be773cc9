from __future__ import annotations

from typing import Any

import pytest

from cli.serve_recording.printers.pods import POD
from tests.support.kube import NOW, Doc, ago, container, crashing, pod, running, waiting

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")


def row(document: Doc) -> dict[str, Any]:
    return dict(zip([c.name for c in POD.columns], POD.cells(document, NOW), strict=True))


def ended(name: str = "app", **state: Any) -> Doc:
    return {"name": name, "ready": False, "restartCount": 0, "state": {"terminated": state}}


def init(document: Doc, containers: list[Doc], statuses: list[Doc]) -> Doc:
    document["spec"]["initContainers"] = containers
    document["status"]["initContainerStatuses"] = statuses
    return document


def test_a_pod_that_runs_says_so():
    found = row(pod("a", statuses=[running()], age=60))

    assert (found["Ready"], found["Status"], found["Restarts"], found["Age"]) == (
        "1/1",
        "Running",
        "0",
        "60m",
    )
    assert (found["Node"], found["IP"], found["Nominated Node"], found["Readiness Gates"]) == ("node-1", "<none>", "<none>", "<none>")  # fmt: skip


def test_a_pod_that_crashes_says_why_and_when_it_last_began_anew():
    status = crashing()
    status |= {"restartCount": 8, "lastState": {"terminated": {"exitCode": 1, "finishedAt": ago(2)}}}
    found = row(pod("a", statuses=[status]))

    assert (found["Ready"], found["Status"], found["Restarts"]) == ("0/1", "CrashLoopBackOff", "8 (2m ago)")


@pytest.mark.parametrize(
    ("statuses", "phase", "word"),
    [
        ([waiting(reason="ImagePullBackOff")], "Pending", "ImagePullBackOff"),
        ([ended(reason="Completed", exitCode=0)], "Succeeded", "Completed"),
        ([ended(exitCode=3)], "Failed", "ExitCode:3"),
        ([ended(signal=9, exitCode=137)], "Failed", "Signal:9"),
        ([ended("a", reason="OOMKilled", exitCode=137), ended("b", reason="Error", exitCode=1)], "Failed", "OOMKilled"),
        ([], "Pending", "Pending"),
    ],
)  # fmt: skip
def test_the_first_container_that_is_not_well_gives_the_word(statuses: list[Doc], phase: str, word: str):
    assert row(pod("a", statuses=statuses, phase=phase))["Status"] == word


def test_a_finished_container_beside_one_that_runs_is_no_end():
    statuses = [ended("b", reason="Completed", exitCode=0), running("a")]
    conditions = [{"type": "Ready", "status": "True"}]

    assert row(pod("x", statuses=statuses, conditions=conditions))["Status"] == "Running"
    assert row(pod("x", statuses=statuses))["Status"] == "NotReady"


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"state": {"waiting": {"reason": "CrashLoopBackOff"}}}, "Init:CrashLoopBackOff"),
        ({"state": {"waiting": {"reason": "PodInitializing"}}}, "Init:1/2"),
        ({"state": {"running": {}}}, "Init:1/2"),
        ({"state": {"terminated": {"exitCode": 2}}}, "Init:ExitCode:2"),
        ({"state": {"terminated": {"exitCode": 2, "signal": 15}}}, "Init:Signal:15"),
        ({"state": {"terminated": {"exitCode": 2, "reason": "Error"}}}, "Init:Error"),
    ],
)
def test_an_init_container_that_is_not_done_is_named_first(state: Doc, word: str):
    done = {"name": "one", "restartCount": 1, "state": {"terminated": {"exitCode": 0}}}
    document = init(pod("a", statuses=[waiting(reason="PodInitializing")], phase="Pending"), [container("one"), container("two")], [done, {"name": "two", **state}])  # fmt: skip

    found = row(document)

    assert (found["Status"], found["Ready"], found["Restarts"]) == (word, "0/1", "1")


def test_a_sidecar_counts_as_a_container():
    sidecar = {"name": "proxy", "started": True, "ready": True, "restartCount": 2, "state": {"running": {}}}
    document = init(pod("a", statuses=[running()]), [{"name": "proxy", "restartPolicy": "Always"}], [sidecar])

    found = row(document)

    assert (found["Ready"], found["Status"], found["Restarts"]) == ("2/2", "Running", "2")


def test_a_pod_that_is_being_deleted_says_so_unless_it_is_over_or_its_node_is_lost():
    deleted: dict[str, Any] = {"deletionTimestamp": ago(1)}

    assert row(pod("a", **deleted))["Status"] == "Terminating"
    assert row(pod("a", phase="Succeeded", statuses=[], **deleted))["Status"] == "Succeeded"
    lost = pod("a", **deleted)
    lost["status"]["reason"] = "NodeLost"
    assert row(lost)["Status"] == "Unknown"


def test_a_pod_that_was_evicted_or_is_gated_says_so():
    evicted = pod("a", statuses=[], phase="Failed")
    evicted["status"]["reason"] = "Evicted"
    gated = pod("a", statuses=[], node=None, conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}])  # fmt: skip

    assert row(evicted)["Status"] == "Evicted"
    assert row(gated)["Status"] == "SchedulingGated"


def test_readiness_gates_are_counted():
    document = pod(
        "a",
        spec={"readinessGates": [{"conditionType": "x"}, {"conditionType": "y"}]},
        conditions=[{"type": "x", "status": "True"}],
    )

    assert row(document)["Readiness Gates"] == "1/2"
