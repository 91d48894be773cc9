"""Probes that fail: readiness that takes a pod out of service, liveness and startup that kill it.

Sees which probe, what it asks (path, port), what the kubelet got, the time it allows against the time the
container lived and against how long starting takes (by its log, or by replicas that became ready), the ports the
container declares and the port its log says it listens on.
No fault is a pod that waits for its turn beside one that has it, nor one that its own probes still give time to start
(`meant`); a single kill is over when the container has been ready for as long as the kubelet takes to forget a crash loop.
Cannot see a probe that fails now and then between events, nor tell a slow program from a starved one.

Rests on: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
(initialDelaySeconds + failureThreshold × periodSeconds; startup probes hold the others back).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import (
    BACK_OFF_RESET,
    Container,
    containers_of,
    ends_again_and_again,
)
from services.context_api.domain.dependencies import blames
from services.context_api.domain.endings import (
    began,
    crashing,
    killed_by_probe,
    last_words,
    out_of_memory,
    quoted,
)
from services.context_api.domain.events import Event
from services.context_api.domain.kube import (
    at,
    condition,
    containers,
    entries,
    mapping,
    number,
    strings,
    text,
)
from services.context_api.domain.logs import cut, is_narrative, last_lines, quote
from services.context_api.domain.meant import PATIENCE, stands_by, starts
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject, parse_time
from services.context_api.domain.wording import by_top, clock, how_many, span

NAME = "probe_failure"
AGAIN = 3
"""Kills from which on a container that is ready again is killed now and then; one or two are over once it runs."""

_KINDS = {"Readiness": "readinessProbe", "Liveness": "livenessProbe", "Startup": "startupProbe"}
_STARTED = re.compile(
    r"\b(?:started|startup|booted|initiali[sz]ed|ready|loaded)\b[^\n]{0,80}?\b(?:in|after|took):? (\d{1,6}(?:\.\d{1,6})?) ?"
    r"(milliseconds|ms|seconds|secs?|s|minutes|min|m)\b",
    re.IGNORECASE,
)
_UNITS = {
    "milliseconds": 0.001, "ms": 0.001, "seconds": 1.0, "secs": 1.0, "sec": 1.0, "s": 1.0, "minutes": 60.0, "min": 60.0, "m": 60.0,
}  # fmt: skip
_LONGEST_START = 1800.0
"""Seconds. Ready later than this after the start is a recovery, not a start."""

_LISTENS = re.compile(
    r"(?:listen(?:ing|s)?|serving|started|running|bound|ready)\b[^\n]{0,60}?(?:port[ =:(]{1,3}|:)(\d{2,5})\b",
    re.IGNORECASE,
)


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload, container and probe."""
    probes = {id(c): (c, _failing_probe(scene, c)) for c in scene.graph.restless}
    for top, group in by_top(scene, [c for c, probe in probes.values() if probe]):
        kinds: dict[tuple[str, str], list[Container]] = {}
        for container in group:
            kinds.setdefault((container.name, probes[id(container)][1]), []).append(container)
        for (_, probe), members in kinds.items():
            yield _observation(scene, top, members, probe)


def _failing_probe(scene: Scene, container: Container) -> str:
    """Which probe of the container fails now; empty when none does."""
    if container.role == "init" or out_of_memory(container):
        return ""
    if container.ready and (not ends_again_and_again(container, scene.now) or _is_over(container, scene.now)):
        return ""
    killed = killed_by_probe(scene.graph, container)
    if killed is not None:
        return "Startup" if "startup" in killed.message.lower() else "Liveness"
    if container.ready or not container.running or crashing(container, scene.now):
        return ""
    if stands_by(scene, container.pod) or starts(scene, container.pod):
        return ""
    unhealthy = _unhealthy(scene, container)
    if unhealthy is not None:
        return next((k for k in _KINDS if unhealthy.message.startswith(k)), "Readiness")
    probe = mapping(container.spec.get("readinessProbe"))
    delay = timedelta(
        seconds=number(probe.get("initialDelaySeconds")) + number(probe.get("periodSeconds"), 10)
    )
    started = container.started_at
    if probe and started is not None and scene.now - started > delay + PATIENCE:
        return "Readiness"
    return ""


def _is_over(container: Container, now: datetime) -> bool:
    started = container.started_at
    return container.restarts < AGAIN and started is not None and now - started >= BACK_OFF_RESET


def _unhealthy(scene: Scene, container: Container) -> Event | None:
    """The newest event about a failing probe of this container."""
    alone = len(list(containers(container.pod.spec))) == 1
    for event in reversed(scene.graph.events_about(container.pod)):
        if event.reason == "Unhealthy" and (
            event.in_container(container.name) or (alone and not event.field_path)
        ):
            return event
    return None


def _observation(scene: Scene, top: KubeObject, group: list[Container], kind: str) -> Observation:
    first = group[0]
    probe = mapping(first.spec.get(_KINDS[kind]))
    event = next((e for e in (_unhealthy(scene, c) for c in group) if e is not None), None)
    killed = killed_by_probe(scene.graph, first)
    lines, facts = last_words(scene, group)
    pods = [c.pod for c in group]
    effect = "kills" if kind != "Readiness" else "keeps out of service"
    words = f"The {kind.lower()} probe ({asks(probe)}) {effect} {first} in {how_many(scene, top, pods)}"
    if event is not None:
        words += f": `{quote(event.message)}`"
    hints = [
        h
        for h in (
            _port_hint(scene, group, probe),
            _time_hint(scene, group, probe, kind),
            _change_hint(scene, first, kind),
        )
        if h
    ]
    words += "".join(f"; {hint}" for hint in hints)
    if lines and not hints:
        words += f"; its log: {quoted(lines)}"
    shown = [evidence.event(first.pod, e) for e in (event, killed) if e is not None]
    shown.append(
        evidence.field(
            first.pod,
            f"spec.containers[{first.name}].{_KINDS[kind]}",
            dict(probe),
            f"{kind.lower()} probe of {first}: {asks(probe)}",
        )
    )
    return Observation(
        about=top,
        reason=f"{kind}ProbeFailed",
        text=words,
        severity=FindingSeverity.critical
        if kind != "Readiness" or len(group) == len(scene.graph.pods_of(top))
        else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism if hints else Depth.process,
        certainty=0.85 if hints else 0.65,
        facts=(*shown, *facts[:2]),
        basis=(
            "the kubelet's probe events"
            if event
            else "not ready although running for longer than its probe needs",
            *hints,
        ),
        onset=began(scene, pods, frozenset({"Unhealthy", "Killing"})),
        remediation=remedies.edit(
            scene.graph.workload(first.pod), f"Correct the {kind.lower()} probe of {first}, or what it asks."
        ),
        blames=() if hints else blames(scene.deps, top, [line for line in lines if line.weight > 1]),
    )


def asks(probe: Body) -> str:
    """What a probe does: `GET :8080/healthz`, `TCP :5432`, `exec pg_isready`."""
    http = mapping(probe.get("httpGet"))
    if http:
        return f"GET :{text(http.get('port'))}{text(http.get('path')) or '/'}"
    tcp = mapping(probe.get("tcpSocket"))
    if tcp:
        return f"TCP :{text(tcp.get('port'))}"
    if mapping(probe.get("grpc")):
        return f"gRPC :{text(at(probe, 'grpc', 'port'))}"
    command = strings(at(probe, "exec", "command"))
    return f"exec `{cut(redact(' '.join(command)), 100)}`" if command else "not recorded"


def _port_hint(scene: Scene, group: list[Container], probe: Body) -> str:
    """The probe asks a port that the container neither declares nor listens on."""
    asked = at(probe, "httpGet", "port") or at(probe, "tcpSocket", "port") or at(probe, "grpc", "port")
    declared = entries(group[0].spec.get("ports"))
    if isinstance(asked, str) and not asked.isdigit():
        named = next((p for p in declared if p.get("name") == asked), None)
        if named is None:
            return f"no port of the container is named `{asked}`"
        asked = named.get("containerPort")
    port = number(asked)
    if not port:
        return ""
    listened = {port for container in group for port in _listening(scene, container)}
    if listened and port not in listened:
        return f"it asks port {port}, while the log says that it listens on {', '.join(map(str, sorted(listened)))}"
    numbers = {number(p.get("containerPort")) for p in declared}
    if numbers and port not in numbers and not listened:
        return f"it asks port {port}, while the container declares {', '.join(map(str, sorted(numbers)))}"
    return ""


def _listening(scene: Scene, container: Container) -> set[int]:
    """Ports its log says it listens on."""
    found: set[int] = set()
    for log in scene.snapshot.logs_of(container.pod.namespace, container.pod.name):
        if log.container == container.name:
            for line in last_lines(log.text):
                found.update(int(m[1]) for m in _LISTENS.finditer(line[:500]))
    return {p for p in found if 0 < p < 65536}


def _time_hint(scene: Scene, group: list[Container], probe: Body, kind: str) -> str:
    """A liveness or startup probe that kills before the program can have started."""
    container = group[0]
    if kind == "Readiness" or not container.last_end:
        return ""
    if container.spec.get("startupProbe") and kind == "Liveness":
        return ""
    allowed = number(probe.get("initialDelaySeconds")) + number(probe.get("periodSeconds"), 10) * number(
        probe.get("failureThreshold"), 3
    )
    allows = (
        f"it allows {span(allowed)} after the start (initialDelaySeconds {number(probe.get('initialDelaySeconds'))}, "
        f"{number(probe.get('failureThreshold'), 3)} × {number(probe.get('periodSeconds'), 10)} s)"
    )
    takes = starting(scene, group)
    if takes is not None and takes[0] > allowed:
        return f"{allows}, while starting takes {span(takes[0])} ({takes[1]})"
    started, ended = (parse_time(container.last_end.get(f)) for f in ("startedAt", "finishedAt"))
    if started is None or ended is None or container.restarts < 2:
        return ""
    lived = (ended - started).total_seconds()
    grace = number(container.pod.spec.get("terminationGracePeriodSeconds"), 30)
    if lived > allowed + grace + 15:
        return ""
    return (
        f"{allows} and killed the last instance after {span(lived)}: "
        "the program had not started by then, or never answered"
    )


def starting(scene: Scene, group: list[Container]) -> tuple[float, str] | None:
    """How long starting took where it was seen, in seconds, and who says so; the longest of all."""
    found: list[tuple[float, str]] = []
    for container in group:
        for log in scene.snapshot.logs_of(container.pod.namespace, container.pod.name):
            for line in last_lines(log.text) if log.container == container.name else ():
                told = _STARTED.search(line[:500])
                if told is not None and not is_narrative(line):
                    seconds = float(told[1]) * _UNITS[told[2].lower()]
                    found.append((seconds, f"its log: `{quote(line)}`"))
    name = group[0].name
    for pod in scene.graph.pods_of(scene.graph.top(group[0].pod)):
        ready = condition(pod, "Ready")
        for other in containers_of(pod) if ready is not None and ready.status == "True" else ():
            if (
                other.name == name
                and other.started_at is not None
                and ready is not None
                and ready.since is not None
            ):
                took = (ready.since - other.started_at).total_seconds()
                if 0 < took <= _LONGEST_START:
                    found.append((took, f"pod {pod.name} was ready so long after its start"))
    return max(found, default=None)


def _change_hint(scene: Scene, container: Container, kind: str) -> str:
    """The newest rollout changed the probe or the port."""
    rollout = scene.rollouts.of(scene.graph.workload(container.pod))
    if rollout is None:
        return ""
    changes = [
        c
        for c in rollout.changed(f"[{container.name}].{_KINDS[kind]}", f"[{container.name}].ports")
        if c.before or c.after
    ]
    return (
        f"changed by the rollout at {clock(rollout.at)}: " + "; ".join(str(c) for c in changes[:3])
        if changes
        else ""
    )
