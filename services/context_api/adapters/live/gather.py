"""Make one snapshot of a live cluster: discover, list, choose and read logs, ask for metrics, put in order.

Decides what a partial answer is worth: whatever could not be read is named, and there is no snapshot only when
nothing could be. Where objects are kept current by watches (`watching`), only logs and metrics are read here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import orjson

from services.context_api.adapters.live.api import KubeApi
from services.context_api.adapters.live.discovery import Discovered, Resource, discover
from services.context_api.adapters.live.errors import ApiFailure, NotAnswering, Why
from services.context_api.adapters.live.gate import Gate
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.lists import Listed, Room, fill
from services.context_api.adapters.live.logs import LogReader
from services.context_api.adapters.live.loki import KeptLines, Loki
from services.context_api.adapters.live.prometheus import Metrics, Prometheus
from services.context_api.adapters.recording.notes import Notes
from services.context_api.domain.events import about, read_event
from services.context_api.domain.kept_logs import KeptLog, gone_pods, kept_logs
from services.context_api.domain.kube import mapping, text
from services.context_api.domain.metric_questions import metric_questions
from services.context_api.domain.snapshot import ContainerLog, KubeObject, MetricAnswer, NotRead, Snapshot
from services.context_api.domain.sources import Outcome, Part, SourceName
from services.context_api.domain.wanted_logs import WantedLog, WantedLogs, wanted_logs

SOURCE = "kubernetes"

FIRST = (
    "pods",
    "nodes",
    "events",
    "namespaces",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "jobs.batch",
    "services",
    "persistentvolumeclaims",
    "endpointslices.discovery.k8s.io",
)
LAST = frozenset({"customresourcedefinitions.apiextensions.k8s.io", "leases.coordination.k8s.io"})
"""Large or many, and rarely what explains a failure."""

Progress = Callable[[str, int, int], None]
"""What is being done, how many of how many."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is read. Cluster-scoped objects are, whatever the namespaces: nodes and classes decide about pods."""

    namespaces: tuple[str, ...] = ()
    """Empty for all."""
    since: timedelta | None = None
    """How far back events and logs reach; None for as far as the cluster keeps them."""


def _quiet(what: str, done: int, of: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Found:
    """Objects that were read, in order, and what a snapshot still needs to know about them."""

    now: datetime
    kept: Sequence[KubeObject]
    events: Sequence[KubeObject]
    pods: Sequence[KubeObject]
    """Those whose logs may be worth reading."""
    gaps: Sequence[NotRead]
    digests: Sequence[bytes]
    """What all objects together say, in any order: the same objects, the same digests."""
    first: Sequence[NotRead] = ()
    """Gaps to be named before all others."""
    logs: Sequence[ContainerLog] | None = None
    """When they are not to be read anew."""
    part: Part | None = None
    """How the API server took part."""


@dataclass(frozen=True)
class Gathering:
    """Everything needed to make a snapshot, again and again."""

    api: KubeApi
    limits: LiveLimits = field(default_factory=LiveLimits)
    scope: Scope = Scope()
    prometheus: Prometheus | None = None
    loki: Loki | None = None
    kubelets: Gate | None = None
    """The door to container logs; None: one for each snapshot."""
    read_pod_logs: bool = True
    """False: logs come from Loki alone."""

    async def discover(self) -> Discovered:
        """Raises NotAnswering: there is nobody to ask."""
        try:
            return await discover(self.api)
        except ApiFailure as failure:
            raise NotAnswering(f"{self.api.server}: {failure.reason}") from failure

    async def snapshot(self, known: Discovered | None = None, progress: Progress = _quiet) -> Snapshot:
        """One snapshot, as of the newest time the server told.

        Raises:
            NotAnswering: nothing could be read.
            NoAccess: the credentials cannot be read.
        """
        progress("finding out what the cluster has", 0, 1)
        discovered = known or await self.discover()
        room = Room(self.limits.total_bytes, self.limits.objects)
        began = datetime.now(UTC)
        async with self.metrics_of(began) as metrics:
            lists = await self._lists(discovered.resources, room, progress)
            answering = [one for one in lists if one.failed is None or one.items]
            if not answering:
                first = next((str(gap) for one in lists for gap in one.gaps), "it lists nothing")
                raise NotAnswering(f"{self.api.server} gives no list at all ({first})")
            # The server's clock, the newest it told: nothing that was listed happened after it.
            told = [date for date in (discovered.date, *(one.date for one in lists)) if date]
            now = max(told, default=began)
            items = (item for one in lists for item in one.items)
            kept, events = await asyncio.to_thread(ordered, items, self.scope, now)
            failed = sum(one.failed is not None for one in lists)
            found = Found(
                part=Part(
                    SourceName.kubernetes,
                    Outcome.partial if failed else Outcome.read,
                    age=timedelta(),
                    took=datetime.now(UTC) - began,
                    deadline=self.limits.lists_within,
                    calls=len(lists),
                    reason=f"{failed} of {len(lists)} lists could not be read" if failed else "",
                ),
                now=now,
                kept=kept,
                events=events,
                pods=[item for item in kept if is_pod(item)],
                gaps=[*discovered.gaps, *(gap for one in lists for gap in one.gaps)],
                digests=[digest for one in lists for digest in one.digests],
            )
            return await self.complete(found, metrics, room, progress)

    @asynccontextmanager
    async def metrics_of(self, now: datetime) -> AsyncIterator[asyncio.Task[Metrics]]:
        """The answers of Prometheus, asked for while other things are read."""
        asking = asyncio.create_task(self._metrics(now), name="metrics")
        try:
            yield asking
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def complete(
        self, found: Found, metrics: asyncio.Task[Metrics], room: Room, progress: Progress = _quiet
    ) -> Snapshot:
        """The snapshot of what was found, with its logs and metrics."""
        logs, missed, parts = found.logs, list[NotRead](), self._logs_as_they_were()
        if logs is None:
            logs, missed, parts = await self._logs(found, room, progress)
        asked = await metrics
        notes = Notes(self.limits.notes)
        for gap in [*found.first, *_limited(self.scope), *found.gaps, *missed, *asked.gaps]:
            notes.add(gap.what, gap.why)
        told = [part for part in (found.part, *parts, asked.part) if part is not None]
        return await asyncio.to_thread(_made, found, logs, asked.answers, notes.entries(), told)

    async def _lists(self, resources: Sequence[Resource], room: Room, progress: Progress) -> list[Listed]:
        lists = [
            Listed(resource, namespace)
            for resource in sorted(resources, key=rank)
            for namespace in ((self.scope.namespaces or (None,)) if resource.namespaced else (None,))
        ]
        at_once = asyncio.Semaphore(self.limits.at_once)

        async def one(listed: Listed) -> None:
            async with at_once:
                await fill(listed, self.api, self.limits, room)
            progress("reading objects", sum(each.done for each in lists), len(lists))

        tasks = [asyncio.create_task(one(listed), name=f"list {listed.what}") for listed in lists]
        if tasks:
            try:
                await asyncio.wait(tasks, timeout=self.limits.lists_within.total_seconds())
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:
                # `fill` names failures of calls; whatever else ends a list ends the snapshot.
                if isinstance(error, Exception):
                    raise error
        for listed in lists:
            if not listed.done:
                listed.failed = Why.slow
                listed.give_up(f"not read within {self.limits.lists_within.total_seconds():g} s")
        return lists

    async def _logs(
        self, found: Found, room: Room, progress: Progress
    ) -> tuple[list[ContainerLog], list[NotRead], list[Part | None]]:
        """Logs from kubelets, then what they could not give from Loki; what is missing; how both took part."""
        wanted = await asyncio.to_thread(_wanted, found, self.limits)
        reader = LogReader(self.api, self.limits, room, since=self.scope.since, gate=self.kubelets)
        progress("reading logs", 0, len(wanted.chosen))
        if self.read_pod_logs:
            await reader.read(wanted.chosen)
        progress("reading logs", len(wanted.chosen), len(wanted.chosen))
        missed = reader.missed if self.read_pod_logs else wanted.chosen
        kept = await self._kept(missed, found, room)
        got = {(log.namespace, log.pod, log.container, log.previous) for log in kept.logs}
        served = {str(log) for log in missed if (log.namespace, log.pod, log.container, log.previous) in got}
        gaps = [
            NotRead(f"{count} more container logs", f"over the limit of {self.limits.logs} ({reason})")
            for reason, count in wanted.left_out
        ]
        gaps += [gap for gap in reader.gaps if gap.what not in served]
        parts = [reader.part() if self.read_pod_logs else None, kept.part]
        return _logs_sorted([*reader.logs, *kept.logs]), [*gaps, *kept.gaps], parts

    def _logs_as_they_were(self) -> list[Part | None]:
        """Where the API server does not answer nobody is asked for logs; those of before are told again."""
        gate = self.kubelets
        if gate is None or gate.last is None:
            return []
        reason = "not asked, as the API server does not answer"
        return [replace(gate.last, outcome=Outcome.stale, age=gate.age, calls=0, size=0, reason=reason)]

    async def _kept(self, missed: Sequence[WantedLog], found: Found, room: Room) -> KeptLines:
        if self.loki is None:
            return KeptLines()
        wanted = await asyncio.to_thread(_of_the_store, missed, found)
        return await self.loki.read(wanted, self.limits, room)

    async def _metrics(self, now: datetime) -> Metrics:
        if self.prometheus is None:
            return Metrics()
        return await self.prometheus.ask(metric_questions(self.scope.namespaces), now, self.limits)


def rank(resource: Resource) -> int:
    """Where time or room runs out, what says most is there already."""
    name = str(resource)
    return FIRST.index(name) if name in FIRST else len(FIRST) + (name in LAST)


def _limited(scope: Scope) -> list[NotRead]:
    """What was not asked for is a gap as well: a cause may lie there."""
    gaps = []
    if scope.namespaces:
        gaps.append(NotRead("other namespaces", f"only {', '.join(scope.namespaces)} was asked for"))
    if scope.since is not None:
        gaps.append(
            NotRead(
                "older events and logs", f"only the last {scope.since.total_seconds():g} s were asked for"
            )
        )
    return gaps


def _belongs(item: KubeObject, scope: Scope, now: datetime) -> bool:
    """Of cluster-scoped objects not what is another namespace's alone; of events not those too old."""
    if _is_event(item) and scope.since is not None:
        last = read_event(item).last
        if last is not None and now - last > scope.since:
            return False
    if not scope.namespaces or item.namespace is not None:
        return True
    if item.kind == "Namespace" and item.api_version == "v1":
        return item.name in scope.namespaces
    if item.kind == "PersistentVolume":
        owner = text(mapping(item.spec.get("claimRef")).get("namespace"))
        return not owner or owner in scope.namespaces
    return True


def ordered(
    found: Iterable[KubeObject], scope: Scope, now: datetime
) -> tuple[list[KubeObject], list[KubeObject]]:
    """Objects and events, each in an order of their own: what answered first must change nothing."""
    items = [item for item in found if _belongs(item, scope, now)]
    items.sort(key=lambda o: (o.namespace or "", o.kind, o.group, o.name))
    return [o for o in items if not _is_event(o)], [o for o in items if _is_event(o)]


def _is_event(item: KubeObject) -> bool:
    return item.kind == "Event" and item.group in ("", "events.k8s.io")


def is_pod(item: KubeObject) -> bool:
    return item.kind == "Pod" and item.api_version == "v1"


def _wanted(found: Found, limits: LiveLimits) -> WantedLogs:
    return wanted_logs(
        found.pods, warned(found.events), found.now, most=limits.logs, healthy=limits.healthy_logs
    )


def _of_the_store(missed: Sequence[WantedLog], found: Found) -> list[KeptLog]:
    there = {(item.namespace or "", item.name) for item in found.kept if is_pod(item)}
    return [*kept_logs(missed, found.pods, found.now), *gone_pods(found.events, there, found.now)]


def warned(events: Iterable[KubeObject]) -> set[tuple[str, str]]:
    """(namespace, name) of the pods that warnings are about."""
    pods = set()
    for event in events:
        reference = about(event)
        if event.body.get("type") == "Warning" and reference.get("kind") == "Pod":
            pods.add((text(reference.get("namespace")), text(reference.get("name"))))
    return pods


def _logs_sorted(logs: Iterable[ContainerLog]) -> list[ContainerLog]:
    return sorted(logs, key=lambda log: (log.namespace, log.pod, log.container, log.previous))


def _made(
    found: Found,
    logs: Sequence[ContainerLog],
    metrics: Sequence[MetricAnswer],
    not_read: Sequence[NotRead],
    parts: Sequence[Part],
) -> Snapshot:
    seen = blake2b(digest_size=16)
    for digest in sorted(found.digests):
        seen.update(digest)
    for log in logs:
        seen.update(f"{log.namespace}/{log.pod}/{log.container}/{log.previous}\0{log.text}\0".encode())
    for metric in metrics:
        seen.update(metric.query.encode() + orjson.dumps(metric.data))
    for gap in not_read:
        seen.update(f"{gap}\0".encode())
    seen.update(found.now.isoformat().encode())
    return Snapshot(
        captured_at=found.now,
        objects=tuple(found.kept),
        events=tuple(found.events),
        logs=tuple(logs),
        metrics=tuple(metrics),
        not_read=tuple(not_read),
        parts=tuple(parts),
        source=SOURCE,
        id=seen.hexdigest(),
    )
