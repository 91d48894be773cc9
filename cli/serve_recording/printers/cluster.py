"""Rows of nodes, namespaces, events, quotas, and of who may do what. Pure.

Source: `kubectl get` of Kubernetes 1.36; compared with an API server's own tables in the integration tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cli.serve_recording.durations import UNKNOWN, since
from cli.serve_recording.printers.words import NONE
from cli.serve_recording.tables import Cell, Printer, age_of, columns, name_of
from services.context_api.domain.kube import at, entries, flat, mapping, number, text
from services.context_api.domain.snapshot import Body

_ROLE, _OLD_ROLE = "node-role.kubernetes.io/", "kubernetes.io/role"


def node(body: Body, now: datetime) -> Sequence[Cell]:
    status = mapping(body.get("status"))
    told = mapping(status.get("nodeInfo"))
    addresses = {
        text(one.get("type")): text(one.get("address")) for one in reversed(entries(status.get("addresses")))
    }
    ready = next(
        (
            one.get("status") == "True"
            for one in entries(status.get("conditions"))
            if one.get("type") == "Ready"
        ),
        None,
    )
    words = ["Unknown" if ready is None else "Ready" if ready else "NotReady"]
    if at(body, "spec", "unschedulable") is True:
        words.append("SchedulingDisabled")
    return (
        name_of(body),
        ",".join(words),
        _roles(flat(at(body, "metadata", "labels"))),
        age_of(body, now),
        text(told.get("kubeletVersion")),
        addresses.get("InternalIP") or NONE,
        addresses.get("ExternalIP") or NONE,
        text(told.get("osImage")) or UNKNOWN,
        _kernel(told),
        text(told.get("containerRuntimeVersion")) or UNKNOWN,
    )  # fmt: skip


def _kernel(told: Body) -> str:
    kernel, machine = text(told.get("kernelVersion")), text(told.get("architecture"))
    return (f"{kernel} ({machine})" if machine else kernel) if kernel else UNKNOWN


def _roles(labels: dict[str, str]) -> str:
    found = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)} | {labels.get(_OLD_ROLE, "")}
    return ",".join(sorted(found - {""})) or NONE


def namespace(body: Body, now: datetime) -> Sequence[Cell]:
    return name_of(body), text(at(body, "status", "phase")), age_of(body, now)


def event(body: Body, now: datetime) -> Sequence[Cell]:
    about = mapping(body.get("involvedObject"))
    first = since(body.get("firstTimestamp") or body.get("eventTime"), now)
    last = since(body.get("lastTimestamp"), now) if body.get("lastTimestamp") else first
    count, series = number(body.get("count")) or 1, body.get("series")
    if series is not None:
        last, count = since(at(series, "lastObservedTime"), now), number(at(series, "count"))
    kind, name = text(about.get("kind")).lower(), text(about.get("name"))
    return (
        last,
        text(body.get("type")),
        text(body.get("reason")),
        f"{kind}/{name}" if name else kind,
        text(about.get("fieldPath")),
        _source(body),
        text(body.get("message")).strip(),
        first,
        count,
        name_of(body),
    )


def _source(body: Body) -> str:
    source = mapping(body.get("source"))
    component = text(source.get("component")) or text(body.get("reportingComponent"))
    host = text(source.get("host")) or text(body.get("reportingInstance"))
    return f"{component}, {host}" if host else component


def quota(body: Body, now: datetime) -> Sequence[Cell]:
    hard, used = mapping(at(body, "status", "hard")), mapping(at(body, "status", "used"))
    words = {name: f"{name}: {text(used.get(name)) or '0'}/{text(hard[name])}" for name in sorted(hard)}
    limits = [word for name, word in words.items() if name.startswith("limits")]
    requests = [word for name, word in words.items() if not name.startswith("limits")]
    return name_of(body), ", ".join(requests), ", ".join(limits), age_of(body, now)


def dated(body: Body, now: datetime) -> Sequence[Cell]:
    """A name and since when, as kinds are printed that nobody made a table for."""
    return name_of(body), text(at(body, "metadata", "creationTimestamp"))


def binding(body: Body, now: datetime) -> Sequence[Cell]:
    role, subjects = mapping(body.get("roleRef")), entries(body.get("subjects"))
    return (
        name_of(body),
        f"{text(role.get('kind'))}/{text(role.get('name'))}",
        age_of(body, now),
        _subjects(subjects, "User"),
        _subjects(subjects, "Group"),
        _subjects(subjects, "ServiceAccount"),
    )


def _subjects(subjects: Sequence[Body], kind: str) -> str:
    return ", ".join(
        f"{text(one.get('namespace'))}/{text(one.get('name'))}" if kind == "ServiceAccount" else text(one.get("name"))
        for one in subjects
        if one.get("kind") == kind
    )  # fmt: skip


def service_account(body: Body, now: datetime) -> Sequence[Cell]:
    return name_of(body), age_of(body, now)


def priority_class(body: Body, now: datetime) -> Sequence[Cell]:
    policy = text(body.get("preemptionPolicy"))
    return (
        name_of(body),
        number(body.get("value")),
        body.get("globalDefault") is True,
        age_of(body, now),
        policy,
    )


def revision(body: Body, now: datetime) -> Sequence[Cell]:
    owner = next(
        (one for one in entries(at(body, "metadata", "ownerReferences")) if one.get("controller") is True),
        None,
    )
    return name_of(body), _owner(owner), number(body.get("revision")), age_of(body, now)


def _owner(owner: Body | None) -> str:
    if owner is None:
        return NONE
    group = text(owner.get("apiVersion")).rpartition("/")[0]
    kind = text(owner.get("kind")).lower()
    return f"{kind}.{group}/{text(owner.get('name'))}" if group else f"{kind}/{text(owner.get('name'))}"


def lease(body: Body, now: datetime) -> Sequence[Cell]:
    return name_of(body), text(at(body, "spec", "holderIdentity")), age_of(body, now)


def webhooks(body: Body, now: datetime) -> Sequence[Cell]:
    return name_of(body), len(entries(body.get("webhooks"))), age_of(body, now)


def api_service(body: Body, now: datetime) -> Sequence[Cell]:
    service = mapping(at(body, "spec", "service"))
    conditions = entries(at(body, "status", "conditions"))
    available = next((one for one in conditions if one.get("type") == "Available"), {})
    word = text(available.get("status")) or "Unknown"
    return (
        name_of(body),
        f"{text(service.get('namespace'))}/{text(service.get('name'))}" if service else "Local",
        word if word == "True" else f"{word} ({text(available.get('reason'))})",
        age_of(body, now),
    )


NODE = Printer(
    columns("Name", "Status", "Roles", "Age", "Version", wide=("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime")),
    node,
)  # fmt: skip
NAMESPACE = Printer(columns("Name", "Status", "Age"), namespace)
_EVENT = columns("Last Seen", "Type", "Reason", "Object", wide=("Subobject", "Source"))
EVENT = Printer([*_EVENT, *columns("Message", wide=("First Seen", "Count#", "Name"))], event)
QUOTA = Printer(columns("Name", "Request", "Limit", "Age"), quota)
DATED = Printer(columns("Name", "Created At"), dated)
BINDING = Printer(columns("Name", "Role", "Age", wide=("Users", "Groups", "ServiceAccounts")), binding)
SERVICE_ACCOUNT = Printer(columns("Name", "Age"), service_account)
PRIORITY_CLASS = Printer(
    columns("Name", "Value#", "Global-Default", "Age", "PreemptionPolicy"), priority_class
)
REVISION = Printer(columns("Name", "Controller", "Revision#", "Age"), revision)
LEASE = Printer(columns("Name", "Holder", "Age"), lease)
WEBHOOKS = Printer(columns("Name", "Webhooks#", "Age"), webhooks)
API_SERVICE = Printer(columns("Name", "Service", "Available", "Age"), api_service)
