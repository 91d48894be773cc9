"""Pods no node takes: the scheduler's message taken apart, with numbers and names."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import unschedulable
from services.context_api.domain.analyzers.unschedulable import read
from tests.support.kube import ago, container, deployment, edit, event, node, pod, pods_in, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def refused(message: str, **more):
    state = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": ago(10),
        }
    ]
    return deployment("api", replicas=1, node=None, statuses=[], pod_conditions=state, **more)


def test_the_message_is_split_into_nodes_and_reasons():
    message = (
        "0/6 nodes are available: 1 node(s) had untolerated taint {gpu: true, only}, 2 Insufficient cpu, 3 node(s) didn't match Pod's node "
        "affinity/selector. preemption: 0/6 nodes are available: 6 Preemption is not helpful for scheduling."
    )

    assert read(message).parts == (
        (1, "node(s) had untolerated taint {gpu: true, only}"),
        (2, "Insufficient cpu"),
        (3, "node(s) didn't match Pod's node affinity/selector"),
    )


def test_what_is_asked_and_what_is_left_are_told():
    asks = container(resources={"requests": {"cpu": "6", "memory": "1Gi"}})
    busy = pod("other-0", containers=[container(resources={"requests": {"cpu": "2500m"}})])

    (found,) = seen(
        unschedulable,
        refused("0/1 nodes are available: 1 Insufficient cpu.", containers=[asks]),
        node(cpu="4"),
        busy,
    )

    assert said([found]) == [("Deployment/shop/api", "InsufficientResources")]
    assert "asks for 6 cpu" in found.text
    assert "node-1 has 1.5 of 4 left" in found.text


def test_a_selector_no_node_fulfils_is_told_with_what_nodes_carry():
    objects = refused(
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        spec={"nodeSelector": {"disk": "ssd"}},
    )

    (found,) = seen(unschedulable, objects, node(labels={"disk": "nvme"}))

    assert found.reason == "NodeSelectorMismatch"
    assert "`disk=ssd`" in found.text
    assert "disk = nvme" in found.text


def test_a_taint_that_always_was_there_is_the_workloads_matter():
    tainted = node(taints=[{"key": "gpu", "value": "true", "effect": "NoSchedule"}])

    (found,) = seen(
        unschedulable,
        refused("0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}."),
        tainted,
    )

    assert said([found]) == [("Deployment/shop/api", "UntoleratedTaint")]
    assert "gpu=true" in found.text
    assert "node-1" in found.text


def test_a_taint_somebody_set_before_makes_the_node_the_cause():
    tainted = node(
        taints=[{"key": "maintenance", "value": "yes", "effect": "NoSchedule"}],
        edits=[edit(20, "spec/taints")],
    )
    objects = refused("0/1 nodes are available: 1 node(s) had untolerated taint {maintenance: yes}.")

    answer = causes(objects, tainted, target="Deployment/shop/api")

    assert first(answer) == ("Node/_cluster/node-1", "NodeTainted")
    assert "kubectl-edit" in answer.ranked[0].text


def test_a_claim_the_scheduler_waits_for_is_the_cause():
    spec = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "api-data"}}]}
    claim = thing(
        "PersistentVolumeClaim", "api-data", spec={"storageClassName": "fast"}, status={"phase": "Pending"}
    )
    classes = thing("StorageClass", "standard", None, api="storage.k8s.io/v1", provisioner="x")

    answer = causes(
        refused("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", spec=spec),
        claim,
        classes,
        node(),
        target="Deployment/shop/api",
    )

    assert first(answer) == ("PersistentVolumeClaim/shop/api-data", "StorageClassNotFound")
    assert "`fast`" in answer.ranked[0].text
    assert "standard" in answer.ranked[0].text


def test_an_old_event_of_a_pod_that_was_placed_is_history():
    placed = pod("web-0")

    assert (
        seen(
            unschedulable,
            placed,
            event(placed, "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu."),
        )
        == []
    )


def test_without_a_condition_the_newest_event_is_read_from_either_event_api():
    waits = pod("web-0", node=None, statuses=[], conditions=[{"type": "Other", "status": "True"}])
    told = event(
        waits, "FailedScheduling", "0/1 nodes are available: 1 Insufficient memory.", api="events.k8s.io/v1"
    )

    assert said(seen(unschedulable, waits, told)) == [("Pod/shop/web-0", "InsufficientResources")]


def test_a_pod_that_was_just_made_and_not_yet_judged_is_no_finding():
    assert (
        seen(
            unschedulable,
            pods_in(
                deployment(
                    "api", node=None, statuses=[], pod_conditions=[{"type": "Ready", "status": "False"}]
                )
            ),
        )
        == []
    )


UNNAMED = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node affinity/selector."
PRESSURE = [
    {
        "type": "DiskPressure",
        "status": "True",
        "reason": "KubeletHasDiskPressure",
        "message": "",
        "lastTransitionTime": ago(20),
    }
]


def three(*taints, labels=None):
    """Three nodes of which the pod may use the first one."""
    mine = node("n1", labels={"pool": "media"}, taints=list(taints), conditions=PRESSURE)
    return [mine, node("n2", taints=[{"key": "elsewhere", "effect": "NoSchedule"}]), node("n3")]


def test_taints_that_the_scheduler_counts_without_names_are_found_on_the_nodes_the_pod_may_use():
    objects = refused(UNNAMED, spec={"nodeSelector": {"pool": "media"}})

    (found,) = seen(unschedulable, objects, three({"key": "ops", "value": "x", "effect": "NoSchedule"}))

    assert "taint `ops=x` on n1 is not tolerated" in found.text
    assert "elsewhere" not in found.text
    assert found.blames == ()


def test_a_node_closed_for_its_state_is_blamed_though_the_scheduler_names_no_taint():
    objects = refused(UNNAMED, spec={"nodeSelector": {"pool": "media"}})
    pressure = {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}

    answer = causes(objects, three(pressure), target="Deployment/shop/api")

    assert first(answer) == ("Node/_cluster/n1", "NodeDiskPressure")


def test_a_closed_node_that_the_pod_could_not_use_anyway_is_not_blamed():
    objects = refused(
        "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }.",
        spec={"nodeSelector": {"pool": "other"}},
    )
    pressure = {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}

    (found,) = seen(unschedulable, objects, three(pressure))

    assert found.blames == ()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("0/3 nodes are available: 3 node(s) exceed max volume count.", "TooManyVolumes"),
        ("0/3 nodes are available: 3 cannot allocate all claims.", "DeviceNotAvailable"),
        ("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.", "PodAntiAffinity"),
    ],
)
def test_each_of_the_schedulers_reasons_has_a_word(message: str, reason: str):
    assert unschedulable._reason(unschedulable.read(message)) == reason


@pytest.mark.parametrize(
    ("priority", "message", "found"),
    [
        (-10, "0/3 nodes are available: 3 Insufficient cpu.", False),
        (-10, "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.", False),
        (0, "0/3 nodes are available: 3 Insufficient cpu.", True),
        (
            -10,
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {gpu: true}.",
            True,
        ),
        (-10, "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", True),
        (-10, 'persistentvolumeclaim "data" not found', True),
    ],
    ids=["lacks room", "of two kinds", "as all others", "a taint as well", "no node for it", "lacks a claim"],
)
def test_a_pod_that_lets_others_go_first_and_lacks_nothing_but_room_is_no_finding(
    priority: int, message: str, found: bool
):
    assert bool(seen(unschedulable, refused(message, spec={"priority": priority}), node())) is found


@pytest.mark.parametrize(
    ("minutes", "found"), [(4, []), (40, ["InsufficientResources"])], ids=["a node comes", "it has not come"]
)
def test_a_pod_to_which_a_node_was_promised_waits_for_it_as_long_as_nodes_take(
    minutes: float, found: list[str]
):
    objects = refused("0/3 nodes are available: 3 Insufficient cpu.")
    promise = event(
        pods_in(objects)[0], "TriggeredScaleUp", "pod triggered scale-up: [{workers 3->4 (max: 6)}]",
        first=minutes, last=minutes, count=1, type_="Normal",
    )  # fmt: skip

    assert [o.reason for o in seen(unschedulable, objects, promise)] == found
