"""Pods of one workload that fare unlike each other: those whose logs complain of connections, and those that are well.

Decides which pods count as complaining and as well, by the last minutes of their logs; only pods of one template are
compared, for only they run the same program with the same settings. What all of them share (the release, a mounted
file, the Service that they call) is then a poor reason for what only some of them meet; where they run is a good one.

Rests on: kubernetes.io/docs, "Logging Architecture"; "Labels and annotations" (pods of one ReplicaSet are alike).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.context_api.domain.containers import is_ready
from services.context_api.domain.dependencies import trouble_in
from services.context_api.domain.kube import text
from services.context_api.domain.logs import LINES, cut, is_narrative, readable, time_of
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject

RECENT = timedelta(minutes=15)
FEWEST = 3
SHARE = 0.2
"""Part of the last minutes' lines from which a pod complains; as `analyzers.log_errors`."""

MOST_PODS = 40


@dataclass(frozen=True, slots=True)
class Complaint:
    """One pod that complains, with an example."""

    pod: KubeObject
    container: str
    line: str
    count: int


@dataclass(frozen=True, slots=True)
class Uneven:
    """Both sides, neither of them empty."""

    bad: Sequence[Complaint]
    good: Sequence[KubeObject]

    @property
    def node(self) -> str:
        """The one node on which all that complain run, and none that is well; empty when there is no such node."""
        there = {node_of(one.pod) for one in self.bad}
        elsewhere = {node_of(pod) for pod in self.good}
        return next(iter(there)) if len(there) == 1 and not there & elsewhere else ""


def node_of(pod: KubeObject) -> str:
    return text(pod.spec.get("nodeName"))


def uneven(scene: Scene, top: KubeObject) -> Uneven | None:
    """The pods of a workload that complain and those that do not; None where all that can be told fare alike."""
    makers: dict[int, tuple[list[Complaint], list[KubeObject]]] = {}
    for pod in scene.graph.pods_of(top)[:MOST_PODS]:
        if not is_ready(pod):
            continue
        bad, good = makers.setdefault(id(scene.graph.owner(pod)), ([], []))
        complaint, well = _of_pod(scene, pod)
        bad += [complaint] if complaint is not None else []
        good += [pod] if well else []
    return next((Uneven(bad, good) for bad, good in makers.values() if bad and good), None)


def _of_pod(scene: Scene, pod: KubeObject) -> tuple[Complaint | None, bool]:
    """Its complaint, if it has one; and whether its logs tell that it is well."""
    well = False
    for log in scene.snapshot.logs_of(pod.namespace, pod.name):
        recent = [] if log.previous else list(_recent(scene, log.text))
        bad = [line for line in recent if trouble_in(line) and not is_narrative(line)]
        if len(bad) >= FEWEST and len(bad) >= SHARE * len(recent):
            return Complaint(pod, log.container, redact(cut(bad[-1])), len(bad)), False
        well = well or (len(recent) >= FEWEST and not bad)
    return None, well


def _recent(scene: Scene, log: str) -> Iterator[str]:
    for line in log[-LINES * 500 :].splitlines()[-LINES:]:
        moment = time_of(line)
        if moment is not None and timedelta(0) <= scene.now - moment <= RECENT:
            yield readable(line)
