from __future__ import annotations

from typing import Any

import pytest

from cli.serve_recording.printers import cluster
from cli.serve_recording.tables import Printer
from tests.support.kube import NOW, ago, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")


def row(printer: Printer, **body: Any) -> dict[str, Any]:
    cells = printer.cells(thing("X", "x", age=60, **body), NOW)
    return dict(zip([column.name for column in printer.columns], cells, strict=True))


@pytest.mark.parametrize(
    ("conditions", "spec", "word"),
    [
        ([{"type": "Ready", "status": "True"}], {}, "Ready"),
        ([{"type": "Ready", "status": "Unknown"}], {}, "NotReady"),
        ([], {}, "Unknown"),
        ([{"type": "Ready", "status": "True"}], {"unschedulable": True}, "Ready,SchedulingDisabled"),
    ],
)
def test_a_node_says_how_it_is(conditions: list[dict[str, str]], spec: dict[str, Any], word: str):
    assert row(cluster.NODE, spec=spec, status={"conditions": conditions})["Status"] == word


def test_a_node_says_what_it_is():
    labels = {
        "node-role.kubernetes.io/worker": "",
        "node-role.kubernetes.io/infra": "",
        "kubernetes.io/role": "old",
    }
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "fd00::1"}]
    found = row(
        cluster.NODE,
        labels=labels,
        status={
            "addresses": addresses,
            "nodeInfo": {"kubeletVersion": "v1.36.3", "kernelVersion": "6.1.0", "architecture": "arm64"},
        },
    )

    assert (found["Roles"], found["Version"], found["Internal-IP"]) == (
        "infra,old,worker",
        "v1.36.3",
        "10.0.0.1",
    )
    assert (found["External-IP"], found["OS-Image"], found["Kernel-Version"]) == (
        "<none>",
        "<unknown>",
        "6.1.0 (arm64)",
    )


def test_an_event_says_when_it_was_seen_last_and_how_often():
    about = {"kind": "Pod", "name": "api-0", "fieldPath": "spec.containers{app}"}
    found = row(
        cluster.EVENT, involvedObject=about, type="Warning", reason="BackOff", message="again \n", count=58,
        firstTimestamp=ago(60), lastTimestamp=ago(3), source={"component": "kubelet", "host": "n"},
    )  # fmt: skip

    assert list(found.values()) == [
        "3m", "Warning", "BackOff", "pod/api-0", "spec.containers{app}", "kubelet, n", "again", "60m", 58, "x",
    ]  # fmt: skip


def test_an_event_of_a_series_is_as_old_as_its_last():
    found = row(cluster.EVENT, eventTime=ago(60), series={"count": 7, "lastObservedTime": ago(4)}, reportingComponent="k", reportingInstance="i")  # fmt: skip
    once = row(cluster.EVENT, eventTime=ago(60), involvedObject={"kind": "Pod"})

    assert (found["Last Seen"], found["First Seen"], found["Count"], found["Source"]) == (
        "4m",
        "60m",
        7,
        "k, i",
    )
    assert (once["Last Seen"], once["Count"], once["Object"]) == ("60m", 1, "pod")


def test_a_quota_says_what_is_used_of_what():
    status = {
        "hard": {"pods": "4", "limits.cpu": "2", "requests.cpu": "1"},
        "used": {"pods": "3", "limits.cpu": "1"},
    }
    found = row(cluster.QUOTA, status=status)

    assert (found["Request"], found["Limit"]) == ("pods: 3/4, requests.cpu: 0/1", "limits.cpu: 1/2")


def test_who_may_do_what_is_told():
    subjects = [
        {"kind": "User", "name": "u"},
        {"kind": "ServiceAccount", "namespace": "shop", "name": "s"},
        {"kind": "Group", "name": "g"},
    ]
    found = row(cluster.BINDING, roleRef={"kind": "ClusterRole", "name": "view"}, subjects=subjects)

    assert list(found.values())[1:] == ["ClusterRole/view", "60m", "u", "g", "shop/s"]
    assert list(row(cluster.SERVICE_ACCOUNT)) == ["Name", "Age"]
    assert row(cluster.DATED)["Created At"] == ago(60)


def test_the_rest_says_what_one_looks_for():
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "uid": "u"}}

    assert row(cluster.REVISION, owner=owner, revision=3) == {
        "Name": "x",
        "Controller": "statefulset.apps/db",
        "Revision": 3,
        "Age": "60m",
    }
    assert row(cluster.REVISION)["Controller"] == "<none>"
    assert row(cluster.PRIORITY_CLASS, value=9, globalDefault=True)["Global-Default"] is True
    assert row(cluster.LEASE, spec={"holderIdentity": "h"})["Holder"] == "h"
    assert row(cluster.WEBHOOKS, webhooks=[{}, {}])["Webhooks"] == 2
    assert row(cluster.NAMESPACE, status={"phase": "Active"})["Status"] == "Active"


def test_an_api_service_says_where_it_is_answered_and_why_not():
    condition = {"type": "Available", "status": "False", "reason": "MissingEndpoints"}
    found = row(
        cluster.API_SERVICE,
        spec={"service": {"namespace": "k", "name": "m"}},
        status={"conditions": [condition]},
    )

    assert (found["Service"], found["Available"]) == ("k/m", "False (MissingEndpoints)")
    assert row(cluster.API_SERVICE, spec={"service": None})["Service"] == "Local"
