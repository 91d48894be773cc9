"""Containers the kernel killed for memory, also when they run again.

Sees the termination reason `OOMKilled` in the current or the last state of any container (init and sidecar
too), the limit, the image's declared heap against it, and a rollout that changed either.
Cannot see a child process killed inside a container that lives on (cgroup v1), nor who leaked.

Rests on: kubernetes.io/docs, "Assign Memory Resources" and "Resource Management for Pods and Containers".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity, Remediation
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import Container, ends_again_and_again
from services.context_api.domain.endings import began, ended_fact, last_words, out_of_memory
from services.context_api.domain.kube import at, entries, quantity, strings, text
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import by_top, clock, how_many, size

NAME = "oom_kill"
_REASONS = frozenset({"OOMKilling", "BackOff"})
_HEAP = re.compile(
    r"-Xmx(\d{1,8})([kKmMgG]?)|--max[-_]old[-_]space[-_]size=(\d{1,8})|GOMEMLIMIT=(\d{1,8})([KMG]i?)?B?"
)


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload and container that is being killed for memory."""
    killed = [c for c in scene.graph.restless if out_of_memory(c) and ends_again_and_again(c, scene.now)]
    for top, group in by_top(scene, killed):
        for name in dict.fromkeys(c.name for c in group):
            yield _observation(scene, top, [c for c in group if c.name == name])


def _observation(scene: Scene, top: KubeObject, group: list[Container]) -> Observation:
    worst = max(group, key=lambda c: c.restarts)
    workload = scene.graph.workload(worst.pod)
    limit = text(at(worst.spec, "resources", "limits", "memory"))
    _, facts = last_words(scene, [worst])
    pods = [c.pod for c in group]
    heap = _heap(worst)
    words = f"{worst} is killed for memory (OOMKilled, exit code 137) in {how_many(scene, top, pods)}: " + (
        f"its memory limit is {limit}" if limit else "it has no memory limit, so its node ran out of memory"
    )
    words += (
        f"; {worst.restarts} restarts, last killed at {clock(parse_time(worst.last_end.get('finishedAt')))}"
    )
    allowed = quantity(limit)
    if heap is not None and allowed is not None and heap[1] > 0.9 * allowed:
        words += f"; its own setting `{heap[0]}` lets the heap alone grow to {size(heap[1])}"
    change = _memory_change(scene, workload, worst.name)
    if change:
        words += f"; {change}"
    return Observation(
        about=top,
        reason="OOMKilled",
        text=words[0].upper() + words[1:],
        severity=FindingSeverity.critical if not all(c.ready for c in group) else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.9 if limit else 0.75,
        facts=(
            *(ended_fact(c) for c in group[:2]),
            evidence.field(
                worst.pod,
                f"spec.containers[{worst.name}].resources",
                worst.spec.get("resources") or {},
                f"memory limit of {worst}: {limit or 'none'}",
            ),
            *facts[:1],
        ),
        basis=(
            "the kubelet reports OOMKilled",
            f"memory limit {limit}" if limit else "no memory limit is set",
        ),
        onset=began(scene, pods, _REASONS) or parse_time(worst.last_end.get("finishedAt")),
        remediation=_remedy(workload, worst, limit, allowed),
    )


def _remedy(workload: KubeObject, worst: Container, limit: str, allowed: float | None) -> Remediation:
    if not limit or allowed is None or workload.kind == "Pod":
        return remedies.edit(
            workload, f"Give {worst} a memory limit that fits what it needs, or find the leak."
        )
    return remedies.set_memory(workload, worst.name, size(allowed * 2), limit)


def _memory_change(scene: Scene, workload: KubeObject, container: str) -> str:
    """What the newest rollout changed about this container's memory."""
    rollout = scene.rollouts.of(workload)
    if rollout is None:
        return ""
    changes = [
        c for c in rollout.changed("memory", "Xmx", "JAVA", "HEAP") if f"[{container}]" in c.path and c.before
    ]
    if not changes:
        return ""
    return f"changed by the rollout at {clock(rollout.at)}: " + "; ".join(str(c) for c in changes[:2])


def _heap(container: Container) -> tuple[str, float] | None:
    """A heap size the container was told (Java, Node.js, Go), in bytes."""
    told = [f"{text(e.get('name'))}={text(e.get('value'))}" for e in entries(container.spec.get("env"))]
    for words in [*strings(container.spec.get("command")), *strings(container.spec.get("args")), *told]:
        found = _HEAP.search(words[:4096])
        if found is None:
            continue
        if found[1]:
            return found[0], float(found[1]) * {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}[found[2].lower()]
        if found[3]:
            return found[0], float(found[3]) * 2**20
        return found[0], float(found[4]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[(found[5] or "")[:1]]
    return None
