"""Put bundles together for one caller: what the alert is about, what it was in the past, what is known now."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from libs.auth.principal import Principal
from libs.cache import key as joined
from libs.cache import made_of
from libs.contracts.bundle import BundleRequest, ContextSource, IncidentRequest
from libs.contracts.context import Topology
from libs.contracts.target import Target
from services.context_api.domain import dossier
from services.context_api.domain.bundle import Wanted, as_sent, bundle
from services.context_api.domain.errors import NamesNoObject, NotReadable
from services.context_api.domain.history import Past
from services.context_api.domain.resolve import resolve_in
from services.context_api.domain.topology import topology
from services.context_api.domain.triage import Judged, judge
from services.context_api.steps.answers import Found
from services.context_api.steps.ask import About, Desk, as_json, citable, report, target_of
from services.context_api.steps.turns import concerning
from services.context_api.steps.views import View

GIVEN = "given"
"""Said instead of a label where the caller named the target."""


class History(Protocol):
    """Where earlier episodes of an alert are looked up. Never raises: what could not be told is said in the answer."""

    async def past(
        self, alertname: str, namespace: str | None, caller: Principal, left: timedelta | None
    ) -> Past: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose target is known."""

    target: Target
    resolved_by: str
    onset: datetime | None
    alertname: str = ""

    @property
    def place(self) -> str | None:
        """The namespace whose evidence is asked for: of a Namespace, itself."""
        return self.target.name if self.target.kind == "Namespace" else self.target.namespace


class Bundles:
    """Takes requests for bundles. One per process."""

    def __init__(self, desk: Desk, history: History) -> None:
        self._desk, self._history = desk, history

    async def bundle(self, request: BundleRequest, caller: Principal, left: timedelta | None) -> bytes:
        """The bundle, as JSON.

        Raises:
            NamesNoObject: the alert's labels name none.
            NotReadable, UnknownCluster, NoEvidence, Busy, TooLate: as for every question.
        """
        desk = self._desk
        seen, asked = await self.looked_up(request, caller, desk.within(left))
        past = await self._past(asked, _sources(request), caller, left)
        return await self.packed(request, seen, asked, past, desk.within(left))

    async def looked_up(
        self, request: IncidentRequest, caller: Principal, limit: timedelta
    ) -> tuple[View, Asked]:
        """What the caller sees, and what the request is about; the caller may read it.

        Raises:
            NamesNoObject, NotReadable, UnknownCluster, NoEvidence: as for `bundle`.
        """
        if request.alert is not None:
            concerning(request.alert.labels.get("severity", ""))
        seen = await self._desk.view(caller, request.cluster, limit)
        asked = about(request, seen, self._desk.cluster)
        if not caller.may_read(asked.place):
            raise NotReadable(asked.place)
        return seen, asked

    async def packed(
        self, request: BundleRequest, seen: View, asked: Asked, past: Past | None, limit: timedelta
    ) -> bytes:
        """The bundle of what was looked up, as JSON.

        Raises:
            Busy, TooLate: as for `bundle`.
        """
        desk = self._desk
        sources = _sources(request)
        wanted = Wanted(request.investigation_type, request.max_tokens, sources, asked.resolved_by, past)

        def find() -> Found:
            judged = self.judged(seen, asked)
            gathered = dossier.of(judged, asked.target)
            return citable(seen, as_sent(bundle(judged, gathered, wanted)), gathered.items)

        # What was asked, all of it, and the past, which the snapshot's name does not tell of.
        asking = hashlib.sha256(f"{request.model_dump_json()}\x00{past!r}".encode()).hexdigest()
        key = joined("bundle", desk.silence, seen.key, asking)
        return await desk.answers.get(key, find, ttl=desk.ttl, limit=limit)

    async def topology(self, named: About, depth: int, caller: Principal, left: timedelta | None) -> bytes:
        """The graph around an object, as JSON."""
        desk = self._desk
        limit = desk.within(left)
        seen = await desk.readable(caller, named.namespace, named.cluster, limit)
        target = target_of(seen, named, named.cluster or desk.cluster)

        def find() -> bytes:
            found: Topology = topology(self.judged(seen, Asked(target, GIVEN, None)), target, depth=depth)
            return as_json(found)

        key = joined("topology", desk.silence, seen.key, target.model_dump_json(), str(depth))
        return await desk.answers.get(key, find, ttl=desk.ttl, limit=limit)

    async def past(
        self, alertname: str, namespace: str | None, caller: Principal, left: timedelta | None
    ) -> Past:
        """Earlier episodes of an alert.

        Raises:
            NotReadable: of a namespace the caller may not read.
        """
        if namespace is not None and not caller.may_read(namespace):
            raise NotReadable(namespace)
        return await self._told(alertname, namespace, caller, left)

    async def _past(
        self, asked: Asked, sources: frozenset[ContextSource], caller: Principal, left: timedelta | None
    ) -> Past | None:
        if not asked.alertname or not sources & {ContextSource.action_history, ContextSource.patterns}:
            return None
        return await self._told(asked.alertname, asked.place, caller, left)

    async def _told(
        self, alertname: str, namespace: str | None, caller: Principal, left: timedelta | None
    ) -> Past:
        past = await self._history.past(alertname, namespace, caller, left)
        made_of(partial=bool(past.missing))
        return past

    def judged(self, seen: View, asked: Asked) -> Judged:
        """What is found out about it, in what the caller sees. Processor work: called in a thread."""
        return judge(
            seen.snapshot,
            target=asked.target,
            onset=asked.onset,
            graph=seen.graph,
            mutes=self._desk.mutes,
            broken=report,
        )


def _sources(request: BundleRequest) -> frozenset[ContextSource]:
    return frozenset(request.sources or ContextSource)


def about(request: IncidentRequest, seen: View, cluster: str) -> Asked:
    """What the request is about.

    Raises:
        NamesNoObject: an alert whose labels name nothing.
    """
    if request.target is not None:
        target = request.target.model_copy(update={"cluster": request.cluster or cluster})
        return Asked(target, GIVEN, request.onset)
    alert = request.alert
    labels = alert.labels if alert is not None else {}
    found = resolve_in(seen.graph, labels, request.cluster or cluster)
    if found.target is None:
        raise NamesNoObject(found.detail)
    began = request.onset or (alert.starts_at if alert is not None else None)
    return Asked(found.target, found.reason, began, labels.get("alertname", ""))
