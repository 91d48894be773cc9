from __future__ import annotations

from typing import Any

import pytest

from cli.serve_recording.printers import workloads
from cli.serve_recording.tables import Printer
from tests.support.kube import NOW, Doc, ago, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")

TEMPLATE = {
    "spec": {"containers": [{"name": "a", "image": "i/a:1"}, {"name": "b", "image": "i/b:2"}], "nodeSelector": {"disk": "ssd"}}
}  # fmt: skip
SELECTOR = {"matchLabels": {"app": "x"}}


def row(printer: Printer, spec: Doc, status: Doc | None = None, **meta: Any) -> list[Any]:
    document = thing("X", "x", age=60, spec=spec, status=status or {})
    document["metadata"].update(meta)
    return list(printer.cells(document, NOW))


def test_a_deployment_says_how_many_are_ready_of_how_many():
    spec = {"replicas": 3, "template": TEMPLATE, "selector": SELECTOR}
    status = {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}

    assert row(workloads.DEPLOYMENT, spec, status) == ["x", "1/3", 2, 1, "60m", "a,b", "i/a:1,i/b:2", "app=x"]
    assert row(workloads.DEPLOYMENT, {})[1] == "0/1"


def test_replica_sets_stateful_sets_and_daemon_sets_count():
    spec = {"replicas": 3, "template": TEMPLATE, "selector": SELECTOR}
    daemons = {
        "desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberReady": 3, "updatedNumberScheduled": 2, "numberAvailable": 1,
    }  # fmt: skip

    assert row(workloads.REPLICA_SET, spec, {"replicas": 2, "readyReplicas": 1})[1:5] == [3, 2, 1, "60m"]
    assert row(workloads.REPLICATION_CONTROLLER, {**spec, "selector": {"app": "x"}})[-1] == "app=x"
    assert row(workloads.STATEFUL_SET, spec, {"readyReplicas": 2})[1:3] == ["2/3", "60m"]
    assert row(workloads.DAEMON_SET, spec, daemons)[1:8] == [5, 4, 3, 2, 1, "disk=ssd", "60m"]


@pytest.mark.parametrize(
    ("spec", "status", "meta", "cells"),
    [
        ({"completions": 3}, {"succeeded": 1, "startTime": ago(5)}, {}, ["Running", "1/3", "5m"]),
        ({"parallelism": 4}, {}, {}, ["Running", "0/1 of 4", ""]),
        ({}, {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1, "startTime": ago(5), "completionTime": ago(4)},
         {}, ["Complete", "1/1", "60s"]),
        ({}, {"conditions": [{"type": "Failed", "status": "True"}]}, {"deletionTimestamp": ago(1)}, ["Failed", "0/1", ""]),
        ({}, {"conditions": [{"type": "Suspended", "status": "True"}]}, {}, ["Suspended", "0/1", ""]),
        ({}, {"conditions": [{"type": "Suspended", "status": "True"}]}, {"deletionTimestamp": ago(1)}, ["Terminating", "0/1", ""]),
        ({}, {"conditions": [{"type": "Failed", "status": "False"}]}, {}, ["Running", "0/1", ""]),
    ],
)  # fmt: skip
def test_a_job_says_what_became_of_it(spec: Doc, status: Doc, meta: Doc, cells: list[str]):
    assert row(workloads.JOB, spec, status, **meta)[1:4] == cells


def test_a_cron_job_says_when_it_ran_last():
    spec = {
        "schedule": "0 * * * *",
        "suspend": True,
        "timeZone": "Etc/UTC",
        "jobTemplate": {"spec": {"template": TEMPLATE}},
    }
    found = row(workloads.CRON_JOB, spec, {"lastScheduleTime": ago(7), "active": [{}, {}]})

    assert found == ["x", "0 * * * *", "Etc/UTC", "True", 2, "7m", "60m", "a,b", "i/a:1,i/b:2", "<none>"]
    assert row(workloads.CRON_JOB, {})[2:6] == ["<none>", "<unset>", 0, "<none>"]


def metric(kind: str, target: Doc, **source: Any) -> Doc:
    return {"type": kind, f"{kind[0].lower()}{kind[1:]}": {"target": target, **source}}


def test_an_autoscaler_says_what_is_measured_and_what_it_should_be():
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "api"}, "minReplicas": 2, "maxReplicas": 9,
        "metrics": [metric("Resource", {"averageUtilization": 80}, name="cpu"), metric("Resource", {"averageValue": "1Gi"}, name="memory"),
                    metric("External", {"value": "7"})],
    }  # fmt: skip
    status = {
        "currentReplicas": 3,
        "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 91}}}],
    }  # fmt: skip

    assert row(workloads.AUTOSCALER, spec, status) == [
        "x", "Deployment/api", "cpu: 91%/80%, memory: <unknown>/1Gi + 1 more...", "2", 9, 3, "60m",
    ]  # fmt: skip
    assert row(workloads.AUTOSCALER, {})[1:4] == ["/", "<none>", "<unset>"]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (metric("Pods", {"averageValue": "5"}), "<unknown>/5"),
        (metric("Object", {"value": "5"}), "<unknown>/5"),
        (metric("Object", {"averageValue": "5"}), "<unknown>/5 (avg)"),
        (metric("External", {"averageValue": "5"}), "<unknown>/5 (avg)"),
        (metric("ContainerResource", {"averageUtilization": 5}, name="cpu"), "cpu: <unknown>/5%"),
        (metric("Resource", {}, name="cpu"), "cpu: <unknown>/<auto>"),
        ({"type": "Novel"}, "<unknown type>"),
    ],
)
def test_every_kind_of_metric_is_written(made: Doc, words: str):
    assert row(workloads.AUTOSCALER, {"metrics": [made]})[2] == words


def test_the_older_autoscaler_knows_the_processors_alone():
    spec, status = {"targetCPUUtilizationPercentage": 80}, {"currentCPUUtilizationPercentage": 20}

    assert row(workloads.AUTOSCALER, spec, status)[2] == "cpu: 20%/80%"


def test_a_disruption_budget_says_how_many_may_go():
    assert row(workloads.DISRUPTION_BUDGET, {"minAvailable": "50%"}, {"disruptionsAllowed": 1})[1:4] == [
        "50%",
        "N/A",
        1,
    ]
    assert row(workloads.DISRUPTION_BUDGET, {"maxUnavailable": 0})[1:4] == ["N/A", "0", 0]
