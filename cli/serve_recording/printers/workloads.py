"""Rows of what runs pods: how many are wanted, there and ready. Pure.

Source: `kubectl get` of Kubernetes 1.36; compared with an API server's own tables in the integration tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cli.serve_recording.durations import human, since
from cli.serve_recording.printers.words import NONE, UNSET, labels_of, listed, selector_of
from cli.serve_recording.tables import Cell, Printer, age_of, columns, name_of
from services.context_api.domain.kube import at, entries, mapping, number, text
from services.context_api.domain.snapshot import Body, parse_time

_TEMPLATE = ("Containers", "Images")


def _template(body: Body, *path: str) -> tuple[str, str]:
    """Names and images of a pod template's containers."""
    found = entries(at(body, *path, "template", "spec", "containers"))
    return tuple(",".join(text(one.get(key)) for one in found) for key in ("name", "image"))  # type: ignore[return-value]


def _wanted(body: Body) -> int:
    """The API server's default is 1."""
    return number(at(body, "spec", "replicas"), 1)


def _count(body: Body, name: str) -> int:
    return number(at(body, "status", name))


def deployment(body: Body, now: datetime) -> Sequence[Cell]:
    return (
        name_of(body),
        f"{_count(body, 'readyReplicas')}/{_wanted(body)}",
        _count(body, "updatedReplicas"),
        _count(body, "availableReplicas"),
        age_of(body, now),
        *_template(body, "spec"),
        selector_of(at(body, "spec", "selector")),
    )


def replica_set(body: Body, now: datetime) -> Sequence[Cell]:
    return (*_replicas(body, now), *_template(body, "spec"), selector_of(at(body, "spec", "selector")))


def replication_controller(body: Body, now: datetime) -> Sequence[Cell]:
    return (*_replicas(body, now), *_template(body, "spec"), labels_of(at(body, "spec", "selector")))


def _replicas(body: Body, now: datetime) -> Sequence[Cell]:
    return (
        name_of(body),
        _wanted(body),
        _count(body, "replicas"),
        _count(body, "readyReplicas"),
        age_of(body, now),
    )


def stateful_set(body: Body, now: datetime) -> Sequence[Cell]:
    ready = f"{_count(body, 'readyReplicas')}/{_wanted(body)}"
    return (name_of(body), ready, age_of(body, now), *_template(body, "spec"))


def daemon_set(body: Body, now: datetime) -> Sequence[Cell]:
    return (
        name_of(body),
        _count(body, "desiredNumberScheduled"),
        _count(body, "currentNumberScheduled"),
        _count(body, "numberReady"),
        _count(body, "updatedNumberScheduled"),
        _count(body, "numberAvailable"),
        labels_of(at(body, "spec", "template", "spec", "nodeSelector")),
        age_of(body, now),
        *_template(body, "spec"),
        selector_of(at(body, "spec", "selector")),
    )


def job(body: Body, now: datetime) -> Sequence[Cell]:
    return (
        name_of(body),
        _job_state(body),
        _completions(body),
        _took(body, now),
        age_of(body, now),
        *_template(body, "spec"),
        selector_of(at(body, "spec", "selector")),
    )


_JOB_STATES = ("Complete", "Failed", "", "Suspended", "FailureTarget", "SuccessCriteriaMet")
"""Conditions, the first that holds first; a job that is being deleted stands in their middle."""


def _job_state(body: Body) -> str:
    holding = {
        text(one.get("type"))
        for one in entries(at(body, "status", "conditions"))
        if one.get("status") == "True"
    }
    for state in _JOB_STATES:
        if not state and at(body, "metadata", "deletionTimestamp"):
            return "Terminating"
        if state in holding:
            return state
    return "Running"


def _completions(body: Body) -> str:
    done, wanted = _count(body, "succeeded"), at(body, "spec", "completions")
    if wanted is not None:
        return f"{done}/{number(wanted)}"
    parallel = number(at(body, "spec", "parallelism"))
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _took(body: Body, now: datetime) -> str:
    began, ended = (parse_time(at(body, "status", key)) for key in ("startTime", "completionTime"))
    return "" if began is None else human((ended or now) - began)


def cron_job(body: Body, now: datetime) -> Sequence[Cell]:
    spec, status = mapping(body.get("spec")), mapping(body.get("status"))
    last = status.get("lastScheduleTime")
    suspended = spec.get("suspend")
    return (
        name_of(body),
        text(spec.get("schedule")),
        text(spec.get("timeZone")) or NONE,
        UNSET if suspended is None else str(suspended is True),
        len(entries(status.get("active"))),
        since(last, now) if last else NONE,
        age_of(body, now),
        *_template(body, "spec", "jobTemplate", "spec"),
        selector_of(at(spec, "jobTemplate", "spec", "selector")),
    )


def autoscaler(body: Body, now: datetime) -> Sequence[Cell]:
    spec, target = mapping(body.get("spec")), mapping(at(body, "spec", "scaleTargetRef"))
    least = spec.get("minReplicas")
    return (
        name_of(body),
        f"{text(target.get('kind'))}/{text(target.get('name'))}",
        _measured(body),
        UNSET if least is None else text(least),
        number(spec.get("maxReplicas")),
        _count(body, "currentReplicas"),
        age_of(body, now),
    )


def _measured(body: Body) -> str:
    """What is measured and what it should be. autoscaling/v1 knows the processors' use alone."""
    spec, status = mapping(body.get("spec")), mapping(body.get("status"))
    if "targetCPUUtilizationPercentage" in spec:
        current = status.get("currentCPUUtilizationPercentage")
        return f"cpu: {_percent(current, '<unknown>')}/{_percent(spec['targetCPUUtilizationPercentage'], '<auto>')}"
    now = entries(status.get("currentMetrics"))
    found = [
        _metric(one, now[at_] if at_ < len(now) else {})
        for at_, one in enumerate(entries(spec.get("metrics")))
    ]
    return listed(found, most=2, between=", ") or NONE


def _metric(spec: Body, status: Body) -> str:
    kind = text(spec.get("type"))
    key = f"{kind[:1].lower()}{kind[1:]}"
    if kind not in ("Resource", "ContainerResource", "Pods", "Object", "External"):
        return "<unknown type>"
    source, current = mapping(spec.get(key)), mapping(mapping(status.get(key)).get("current"))
    target = mapping(source.get("target"))
    average = text(target.get("averageValue"))
    measured = text(current.get("averageValue" if average else "value")) or "<unknown>"
    if kind in ("Resource", "ContainerResource"):
        name = text(source.get("name"))
        if average:
            return f"{name}: {measured}/{average}"
        used = _percent(current.get("averageUtilization"), "<unknown>")
        return f"{name}: {used}/{_percent(target.get('averageUtilization'), '<auto>')}"
    if kind == "Pods":
        return f"{measured}/{average}"
    return f"{measured}/{average} (avg)" if average else f"{measured}/{text(target.get('value'))}"


def _percent(value: object, otherwise: str) -> str:
    return otherwise if value is None else f"{number(value)}%"


def disruption_budget(body: Body, now: datetime) -> Sequence[Cell]:
    spec = mapping(body.get("spec"))
    least, most = (spec.get(key) for key in ("minAvailable", "maxUnavailable"))
    return (
        name_of(body),
        "N/A" if least is None else text(least),
        "N/A" if most is None else text(most),
        _count(body, "disruptionsAllowed"),
        age_of(body, now),
    )


_REPLICAS = columns("Name", "Desired#", "Current#", "Ready#", "Age", wide=(*_TEMPLATE, "Selector"))

DEPLOYMENT = Printer(
    columns("Name", "Ready", "Up-to-date#", "Available#", "Age", wide=(*_TEMPLATE, "Selector")), deployment
)
REPLICA_SET = Printer(_REPLICAS, replica_set)
REPLICATION_CONTROLLER = Printer(_REPLICAS, replication_controller)
STATEFUL_SET = Printer(columns("Name", "Ready", "Age", wide=_TEMPLATE), stateful_set)
DAEMON_SET = Printer(
    columns("Name", "Desired#", "Current#", "Ready#", "Up-to-date#", "Available#", "Node Selector", "Age", wide=(*_TEMPLATE, "Selector")),
    daemon_set,
)  # fmt: skip
JOB = Printer(columns("Name", "Status", "Completions", "Duration", "Age", wide=(*_TEMPLATE, "Selector")), job)
CRON_JOB = Printer(
    columns("Name", "Schedule", "Timezone", "Suspend", "Active#", "Last Schedule", "Age", wide=(*_TEMPLATE, "Selector")), cron_job
)  # fmt: skip
AUTOSCALER = Printer(
    columns("Name", "Reference", "Targets", "MinPods", "MaxPods#", "Replicas#", "Age"), autoscaler
)
DISRUPTION_BUDGET = Printer(
    columns("Name", "Min Available", "Max Unavailable", "Allowed Disruptions#", "Age"), disruption_budget
)
