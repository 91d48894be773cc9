"""How a container came to its end: exit code, who killed it, its last words.

Decides what an ending means and which ended containers count as crashing now; the analyzers decide
whom to tell. Source of the codes: POSIX shells (126, 127, 128+signal) and the container runtimes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from services.context_api.domain import evidence
from services.context_api.domain.containers import (
    BACK_OFF_RESET,
    Container,
    ends_again_and_again,
    is_ready,
)
from services.context_api.domain.dependencies import PODS_READ
from services.context_api.domain.events import Event
from services.context_api.domain.evidence import Fact
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import entries, number, text
from services.context_api.domain.logs import Line, clusters, cut, is_narrative, last_lines, quote, telling
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time

EXIT_CODES = {
    0: "it ended by itself, though it should keep running",
    1: "application error",
    2: "application error or wrong arguments",
    126: "command found but not executable",
    127: "command not found",
    128: "the runtime could not start it",
    130: "SIGINT",
    132: "SIGILL, an instruction this processor lacks",
    134: "SIGABRT, the program aborted itself",
    135: "SIGBUS",
    136: "SIGFPE",
    137: "SIGKILL",
    139: "SIGSEGV, invalid memory access",
    143: "SIGTERM",
    255: "application error",
}
CANNOT_START = frozenset(
    {
        "RunContainerError",
        "StartError",
        "ContainerCannotRun",
        "CreateContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
    }
)


def exit_code(container: Container) -> int | None:
    """Exit code of the newest ending; None when nothing has ended."""
    end = container.last_end
    return number(end.get("exitCode")) if "exitCode" in end else None


def meaning(code: int) -> str:
    """What an exit code says; codes above 128 are signals."""
    if code in EXIT_CODES:
        return EXIT_CODES[code]
    return f"signal {code - 128}" if 128 < code < 160 else "application error"


def out_of_memory(container: Container) -> bool:
    return text(container.last_end.get("reason")) == "OOMKilled"


def crashing(container: Container, now: datetime) -> bool:
    """Whether the container is in a crash loop now: waiting out a back-off, ended, or up again for too short a time."""
    reason = container.waiting_reason
    if reason == "CrashLoopBackOff" or reason in CANNOT_START:
        return True
    policy = text(container.pod.spec.get("restartPolicy")) or "Always"
    code = exit_code(container)
    if container.terminated:
        if container.role == "init":
            return bool(code) and policy != "Never"
        return (code != 0 and policy != "Never") or (
            code == 0 and policy == "Always" and container.restarts > 0
        )
    if not container.running or code is None or not ends_again_and_again(container, now):
        return False
    if container.role == "init" or (code == 0 and policy != "Always"):
        return False
    started = container.started_at
    young = started is None or now - started < BACK_OFF_RESET
    return young and (container.restarts >= 3 or (container.restarts >= 1 and not container.ready))


TOGETHER = timedelta(minutes=2)
"""Within this time of each other containers of a node end and begin that is stopped or started anew."""

FEWEST_WITH = 3
"""Other workloads of the node whose containers must have ended along with one for that to be the node's doing."""

_FROM_OUTSIDE = frozenset({0, 137, 143, 255})
"""Codes of those that are stopped, and of those that a runtime finds gone (255)."""


def ended_with_its_node(scene: Scene, container: Container) -> bool:
    """Whether most of what runs on its node came to its last end at the same time, and none of it by a fault of its own."""
    ended, own = parse_time(container.last_end.get("finishedAt")), scene.graph.top(container.pod)
    if ended is None or exit_code(container) not in _FROM_OUTSIDE or out_of_memory(container):
        return False
    along = [
        any(abs(moment - ended) <= TOGETHER for moment in moments)
        for top, moments in scene.node_ends.on(text(container.pod.spec.get("nodeName")))
        if top is not own
    ]
    return sum(along) >= max(FEWEST_WITH, len(along) / 2)


def killed_by_probe(graph: Graph, container: Container) -> Event | None:
    """The kubelet's word that it killed the container for a failed liveness or startup probe."""
    for event in reversed(graph.events_about(container.pod)):
        if event.reason == "Killing" and "probe" in event.message:
            named = (
                event.in_container(container.name) or f"Container {container.name} failed" in event.message
            )
            if named or not event.field_path:
                return event
    return None


def last_words(scene: Scene, containers: Sequence[Container]) -> tuple[list[Line], list[Fact]]:
    """The telling lines of what ended, and where they stand: previous logs, current logs, termination messages."""
    texts: list[str] = []
    facts: list[Fact] = []
    chosen = sorted(containers, key=lambda c: (is_ready(c.pod), c.pod.name))[:PODS_READ]
    for container in chosen:
        logs = [
            log
            for log in scene.snapshot.logs_of(container.pod.namespace, container.pod.name)
            if log.container == container.name
        ]
        for log in sorted(logs, key=lambda g: g.previous):
            lines = telling(clusters([log.text])) or _end_of(log.text)
            if lines:
                facts.append(evidence.log_lines(container.pod, container.name, lines, previous=log.previous))
            texts.append(log.text)
        message = text(container.last_end.get("message"))
        if message and not logs:
            texts.append(message)
    lines = telling(clusters(texts))
    return lines or [line for log in texts[-1:] for line in _end_of(log)], facts[:4]


def _end_of(log: str) -> list[Line]:
    """The last line, when no line looks like an error."""
    return [Line(redact(cut(line)), 1, 1) for line in last_lines(log, 1) if not is_narrative(line)]


def quoted(lines: Iterable[Line], most: int = 2) -> str:
    """Log lines for a sentence: `FATAL: …` (×3)."""
    shown = [f"`{quote(line.text)}`" + (f" (×{line.count})" if line.count > 1 else "") for line in lines]
    return "; ".join(shown[:most])


def ended_fact(container: Container) -> Fact:
    """The newest termination as evidence."""
    current = bool(container.terminated)
    field = "state" if current else "lastState"
    end = {k: v for k, v in container.last_end.items() if k in ("exitCode", "reason", "signal", "message")}
    code = exit_code(container)
    return evidence.field(
        container.pod,
        f"status.containerStatuses[{container.name}].{field}.terminated",
        end,
        f"{container} of pod {container.pod.name} ended with exit code {code} ({text(end.get('reason')) or 'no reason given'}), "
        f"{container.restarts} restarts",
        parse_time(container.last_end.get("finishedAt")),
    )


FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)
"""The kubelet's back-off between restarts: 10 s, doubled each time, 5 min at most."""


def looping_since(container: Container) -> datetime | None:
    """When a crash loop began at the earliest, counted back from its restarts through the kubelet's back-off.

    Restarts from before this loop make it too early, never too late.
    """
    ended, started = (parse_time(container.last_end.get(f)) for f in ("finishedAt", "startedAt"))
    if ended is None or container.restarts < 1:
        return None
    created = container.pod.created_at
    lived = ended - started if started is not None and started <= ended else timedelta(0)
    count = min(container.restarts, 10_000)
    doubling = min(count, 5)
    pauses = FIRST_PAUSE * ((1 << doubling) - 1) + LONGEST_PAUSE * (count - doubling)
    try:
        since = ended - pauses - min(lived, timedelta(days=1)) * count
    except OverflowError:  # a recorded time near year one
        return created
    return max(since, created) if created is not None else since


def began(scene: Scene, pods: Iterable[KubeObject], reasons: frozenset[str]) -> datetime | None:
    """When trouble with these pods began: the first event of these reasons, or losing readiness."""
    moments: list[datetime] = []
    for pod in pods:
        moments += [e.first for e in scene.graph.events_about(pod) if e.reason in reasons and e.first]
        for raw in entries(pod.status.get("conditions")):
            if raw.get("type") in ("Ready", "Initialized") and raw.get("status") == "False":
                moment = parse_time(raw.get("lastTransitionTime"))
                moments += [moment] if moment else []
    return min(moments, default=None)
