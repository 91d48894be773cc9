"""What was so before an alert, and is not felt where the alert is: it did not begin it.

Decides three things of what is not well on an alert's way. *Long before*: it and all it accounts for were so for more than a
day before the alert, and nothing of that is about the alert's own object, which is a place or says that it works. *Always
said*: of an alert about a namespace or a node, what somebody's log there complained of an hour before it. *At a distance*:
nothing is seen to be amiss with a workload whose pods are all ready, and what is not well did not begin with the alert and
is the node beneath, what once wrote it, its account or a class: what was written serves on, and a node that ails shows in
its pods. The same holds of whom only its settings name, and at any time of what nobody else feels (`unfelt`).
A program that fails in silence shows nothing either. So, but for what nobody feels, somebody has to say that it is well: its
own log, which goes on and would complain of whom it calls, or (of what lies beneath it) a share of its failures.
Cannot see a fault that waited for its first use.

Rests on: https://kubernetes.io/docs/concepts/architecture/controller/ (what a controller wrote stays when it fails),
https://sre.google/sre-book/effective-troubleshooting/ (what changed before it stopped working).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.context_api.domain.causality import Causality
from services.context_api.domain.containers import is_main, is_ready
from services.context_api.domain.effect import unharmed
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import WORKLOADS
from services.context_api.domain.logs import timed_lines
from services.context_api.domain.observation import Depth
from services.context_api.domain.relation import Relations
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.still_said import GOES_ON, LEFT_BEHIND
from services.context_api.domain.unfelt import Unfelt

LONG_BEFORE = timedelta(days=1)
"""A state that is this much older than an alert did not begin it. A guess; no rule waits that long."""

BEFORE = timedelta(minutes=30)
"""As the ranking counts what only shares the alert's namespace and time."""

ITSELF, STANDS_FOR = 0.99, 0.95
"""As in the ranking: nearness of the alerting object and its owners, and of the pods that a Service or route stands for."""

PODS, LATELY = 3, timedelta(minutes=15)
"""Pods whose logs are looked at, and how new their lines have to be."""

PLACES = frozenset({"Namespace", "Node"})
"""What an alert about holds much that has to do with it by its place alone."""

_CALLED = frozenset({"named"})
"""Relations over which a fault is complained of, or not felt."""

_BENEATH = frozenset({"node", "made", "account", "class"})
"""Relations over which a fault is felt in the pods, or not at all."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What is known of one alert."""

    tree: Causality
    relations: Relations
    target: KubeObject | None
    onset: datetime | None
    well: bool
    """Nothing is seen to be amiss with the alert's own object, which has pods that are all ready."""
    speaks: bool
    """Its log goes on, and would complain of whom it calls in vain."""
    measured: bool
    """Its series say that as few of its requests fail as ever."""
    unfelt: Unfelt

    def holds(self, index: int) -> bool:
        """Whether an observation did not begin the alert."""
        if self.target is None or self.onset is None:
            return False
        if self._is_old(index, self.target, self.onset) or self._is_unfelt(index, self.onset):
            return True
        return self.target.kind in PLACES and self._always_said(index, self.onset)

    def _is_old(self, index: int, target: KubeObject, onset: datetime) -> bool:
        if not self.speaks and target.kind not in PLACES:
            return False
        own = ITSELF if target.kind in PLACES else STANDS_FOR
        seen = [self.tree.observations[i] for i in (index, *self.tree.all_effects(index))]
        if any(self.relations.nearness(one.about) >= own for one in seen):
            return False
        return all(one.onset is not None and one.onset < onset - LONG_BEFORE for one in seen)

    def _is_unfelt(self, index: int, onset: datetime) -> bool:
        seen = self.tree.observations[index]
        near = self.relations.nearness(seen.about)
        if not self.well or seen.measured or near >= STANDS_FOR:
            return False
        # Asked of what is near alone: who might use an object takes the reading of all others.
        if near and self.unfelt.why(seen.about):
            return True
        if not (self.speaks or self.measured) or (seen.onset is not None and seen.onset >= onset - BEFORE):
            return False
        if seen.about.kind == "Node":
            return True
        return bool(self.relations.ways(seen.about) & (_BENEATH | _CALLED if self.speaks else _BENEATH))

    def _always_said(self, index: int, onset: datetime) -> bool:
        """Whether it is only what somebody's log there complains of, and did so an hour before."""
        seen = self.tree.observations[index]
        said = seen.latent and not seen.measured and seen.depth < Depth.mechanism
        return said and seen.onset is not None and seen.onset < onset - LEFT_BEHIND


def tops_of(graph: Graph, target: KubeObject | None) -> list[KubeObject]:
    """The workload that an alert is about, or those that a Service leads to; nothing for other objects."""
    if target is None or target.kind not in WORKLOADS | {"Service"}:
        return []
    return graph.behind(target) if target.kind == "Service" else [graph.top(target)]


def speaks(scene: Scene, tops: Sequence[KubeObject]) -> bool:
    """Whether a log of their pods was written lately, by what does their work."""
    for pod in (pod for top in tops for pod in scene.graph.pods_of(top)[:PODS]):
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            if not is_main(pod, log.container):
                continue
            times = [moment for moment, _ in timed_lines(log.text) if moment is not None]
            if sum(timedelta(0) <= scene.now - moment <= LATELY for moment in times) >= GOES_ON:
                return True
    return False


def is_measured_well(scene: Scene, tops: Sequence[KubeObject], since: datetime | None) -> bool:
    """Whether recorded series say of each that no more of its requests fail, or take longer, than before."""
    return bool(tops) and since is not None and all(unharmed(scene, top, since) is not None for top in tops)


def serves(graph: Graph, target: KubeObject | None) -> bool:
    """Whether it is a workload, or leads to one, and all pods of it are ready."""
    pods = [pod for top in tops_of(graph, target) for pod in graph.pods_of(top)]
    return bool(pods) and all(map(is_ready, pods))
