"""A pod's row: how many containers are ready, in one word what is the matter, how often it began anew. Pure.

Source: `kubectl get pods` of Kubernetes 1.36; compared with an API server's own table in the integration tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cli.serve_recording.durations import human
from cli.serve_recording.tables import Cell, Printer, age_of, columns, name_of
from services.context_api.domain.kube import at, entries, mapping, number, text
from services.context_api.domain.snapshot import Body, parse_time

ENDED = ("Succeeded", "Failed")
NODE_LOST = "NodeLost"


@dataclass
class _Restarts:
    count: int = 0
    last: list[datetime] = field(default_factory=list)

    def add(self, status: Body) -> None:
        self.count += number(status.get("restartCount"))
        moment = parse_time(at(status, "lastState", "terminated", "finishedAt"))
        if moment is not None:
            self.last.append(moment)

    def words(self, now: datetime) -> str:
        return (
            f"{self.count} ({human(now - max(self.last))} ago)"
            if self.count and self.last
            else str(self.count)
        )


@dataclass(frozen=True, slots=True)
class _Told:
    """What the row says of the containers."""

    ready: int
    total: int
    state: str
    restarts: _Restarts


def cells(body: Body, now: datetime) -> Sequence[Cell]:
    spec, status = mapping(body.get("spec")), mapping(body.get("status"))
    told = _containers(spec, status)
    gates = entries(spec.get("readinessGates"))
    return (
        name_of(body),
        f"{told.ready}/{told.total}",
        _ending(body, status) or told.state,
        told.restarts.words(now),
        age_of(body, now),
        text(next((one.get("ip") for one in entries(status.get("podIPs"))), "")) or "<none>",
        text(spec.get("nodeName")) or "<none>",
        text(status.get("nominatedNodeName")) or "<none>",
        f"{sum(_is(status, text(gate.get('conditionType'))) for gate in gates)}/{len(gates)}" if gates else "<none>",
    )  # fmt: skip


def _containers(spec: Body, status: Body) -> _Told:
    init = entries(spec.get("initContainers"))
    sidecars = {text(one.get("name")) for one in init if one.get("restartPolicy") == "Always"}
    total = len(entries(spec.get("containers"))) + len(sidecars)
    state = text(status.get("reason")) or text(status.get("phase"))
    if any(_gated(one) for one in entries(status.get("conditions"))):
        state = "SchedulingGated"
    waiting, ready, restarts, of_sidecars = _init(status, init, sidecars)
    if waiting and not _is(status, "Initialized"):
        return _Told(ready, total, waiting, restarts)
    return _main(status, state, ready, total, of_sidecars)


def _init(
    status: Body, init: Sequence[Body], sidecars: Iterable[str]
) -> tuple[str, int, _Restarts, _Restarts]:
    """What the init containers wait for (empty: they are done), and what they count."""
    ready, every, of_sidecars = 0, _Restarts(), _Restarts()
    for at_number, one in enumerate(entries(status.get("initContainerStatuses"))):
        is_sidecar = text(one.get("name")) in sidecars
        every.add(one)
        if is_sidecar:
            of_sidecars.add(one)
        ended, waits = at(one, "state", "terminated"), text(at(one, "state", "waiting", "reason"))
        if ended is not None and number(mapping(ended).get("exitCode")) == 0:
            continue
        if is_sidecar and one.get("started") is True:
            ready += one.get("ready") is True
            continue
        if ended is not None:
            return f"Init:{_ended(mapping(ended))}", ready, every, of_sidecars
        if waits and waits != "PodInitializing":
            return f"Init:{waits}", ready, every, of_sidecars
        return f"Init:{at_number}/{len(init)}", ready, every, of_sidecars
    return "", ready, every, of_sidecars


def _main(status: Body, state: str, ready: int, total: int, restarts: _Restarts) -> _Told:
    """The first container that is not well gives the word, so they are looked at from the last."""
    running = False
    for one in reversed(entries(status.get("containerStatuses"))):
        restarts.add(one)
        waits, ended = text(at(one, "state", "waiting", "reason")), at(one, "state", "terminated")
        if waits:
            state = waits
        elif ended is not None:
            state = _ended(mapping(ended))
        elif one.get("ready") is True and at(one, "state", "running") is not None:
            running = True
            ready += 1
    if state == "Completed" and running:
        state = "Running" if _is(status, "Ready") else "NotReady"
    return _Told(ready, total, state, restarts)


def _ended(state: Body) -> str:
    signal = number(state.get("signal"))
    word = f"Signal:{signal}" if signal else f"ExitCode:{number(state.get('exitCode'))}"
    return text(state.get("reason")) or word


def _ending(body: Body, status: Body) -> str:
    if not at(body, "metadata", "deletionTimestamp"):
        return ""
    if status.get("reason") == NODE_LOST:
        return "Unknown"
    return "" if status.get("phase") in ENDED else "Terminating"


def _gated(condition: Body) -> bool:
    return condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated"


def _is(status: Body, kind: str) -> bool:
    conditions = entries(status.get("conditions"))
    return any(one.get("type") == kind and one.get("status") == "True" for one in conditions)


POD = Printer(
    columns("Name", "Ready", "Status", "Restarts", "Age", wide=("IP", "Node", "Nominated Node", "Readiness Gates")),
    cells,
)  # fmt: skip
