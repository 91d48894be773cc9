"""Containers that end again and again: crash loops of any container, and containers that cannot be started.

Sees the last termination, its exit code and message, restart counts, back-off, and the last words of the
log. Groups the pods of one workload. Leaves to others: kills for memory (`oom_kill`), kills by a failed
probe (`probe_failure`), images and configuration that keep a container from being made. No fault are workers that end by
their own decision after a good while (`meant`), nor what runs again after its whole node was stopped (`endings`).
Cannot see why a program ends when it says nothing; then the exit code is all there is.

Rests on: kubernetes.io/docs, "Pod Lifecycle" (container states, restart policy) and "Debug Running Pods".
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import remedies
from services.context_api.domain.containers import Container
from services.context_api.domain.dependencies import blames
from services.context_api.domain.endings import (
    CANNOT_START,
    began,
    crashing,
    ended_fact,
    ended_with_its_node,
    exit_code,
    killed_by_probe,
    last_words,
    meaning,
    out_of_memory,
    quoted,
)
from services.context_api.domain.kube import strings, text
from services.context_api.domain.logs import Line, cut, quote
from services.context_api.domain.meant import ended_by_decision
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import by_top, how_many

NAME = "pod_crash_loop"
_REASONS = frozenset({"BackOff", "Failed", "CrashLoopBackOff"})


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload and container."""
    ended = [c for c in scene.graph.restless if crashing(c, scene.now) and not _of_others(scene, c)]
    for top, group in by_top(scene, ended):
        for name in dict.fromkeys(c.name for c in group):
            members = [c for c in group if c.name == name]
            refused = next((c for c in members if _start_message(c)), None)
            yield _cannot_start(scene, top, members, refused) if refused else _crash(scene, top, members)


def _of_others(scene: Scene, container: Container) -> bool:
    return (
        out_of_memory(container)
        or killed_by_probe(scene.graph, container) is not None
        or ended_by_decision(scene, container)
        or (bool(container.running) and ended_with_its_node(scene, container))
    )


def _crash(scene: Scene, top: KubeObject, group: list[Container]) -> Observation:
    lines, facts = last_words(scene, group)
    return Observation(
        about=top,
        reason="CrashLoopBackOff",
        text=_crash_text(scene, top, group, lines),
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.7 if lines and lines[0].weight > 1 else 0.55,
        facts=(*(ended_fact(c) for c in group[:2]), *facts),
        basis=_basis(group, lines),
        onset=began(scene, [c.pod for c in group], _REASONS),
        remediation=remedies.read_log(
            group[0].pod, group[0].name, "Read what the container says before it ends."
        ),
        blames=blames(scene.deps, top, lines),
    )


def _crash_text(scene: Scene, top: KubeObject, group: list[Container], lines: list[Line]) -> str:
    worst = max(group, key=lambda c: c.restarts)
    code = exit_code(worst)
    how = f"exit code {code} ({meaning(code)})" if code is not None else "no exit code recorded"
    words = (
        f"{worst} crashes in {how_many(scene, top, [c.pod for c in group])}: {how}, {worst.restarts} restarts"
    )
    if lines:
        words += f"; last words: {quoted(lines)}"
    return words[0].upper() + words[1:]


def _basis(group: list[Container], lines: list[Line]) -> tuple[str, ...]:
    basis = [
        f"restart count {max(c.restarts for c in group)} and termination state of {len(group)} container(s)"
    ]
    if lines:
        basis.append("the log's last error lines")
    else:
        basis.append("against it: no log was recorded, so only the exit code speaks")
    return tuple(basis)


def _start_message(container: Container) -> str:
    """The runtime's word why the process could not be started."""
    if text(container.last_end.get("reason")) in CANNOT_START:
        return text(container.last_end.get("message")) or text(container.last_end.get("reason"))
    if container.waiting_reason in CANNOT_START:
        return text(container.waiting.get("message")) or container.waiting_reason
    return ""


def _cannot_start(scene: Scene, top: KubeObject, group: list[Container], refused: Container) -> Observation:
    command = [*strings(refused.spec.get("command")), *strings(refused.spec.get("args"))]
    shown = f" (command: `{cut(redact(' '.join(command)), 160)}`)" if command else ""
    message = quote(_start_message(refused))
    return Observation(
        about=top,
        reason="ContainerCannotStart",
        text=f"The process of {refused} cannot be started in {how_many(scene, top, [c.pod for c in group])}{shown}: `{message}`",
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85,
        facts=(ended_fact(refused),),
        basis=("the container runtime says why it cannot start the process",),
        onset=began(scene, [c.pod for c in group], _REASONS),
        remediation=remedies.edit(scene.graph.workload(refused.pod), f"Correct the command of {refused}."),
    )
