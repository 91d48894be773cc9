"""Answer the Context API's questions for one caller: may they ask, does it exist, what is the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel

from libs.auth.principal import Principal
from libs.cache import key as joined
from libs.cache import made_of
from libs.contracts.causes import CausesAnswer, FindingsAnswer
from libs.contracts.context import Resolution
from libs.contracts.evidence import EvidenceItem, EvidenceKind, EvidencePage
from libs.contracts.target import Target, is_cluster_name
from libs.logs import get_logger
from services.context_api.domain.dossier import LARGEST_PAGE, gather, page
from services.context_api.domain.errors import NotReadable, UnknownCluster, UnknownEvidence, UnknownObject
from services.context_api.domain.excerpt import Wanted, excerpt
from services.context_api.domain.listing import LARGEST_ANSWER, listing
from services.context_api.domain.mutes import Mutes
from services.context_api.domain.ports import Connectivity, EvidenceSource
from services.context_api.domain.resolve import owner_by_name, resolve_in
from services.context_api.domain.selector import Selector
from services.context_api.domain.triage import find_causes, find_findings
from services.context_api.steps.answers import Answers, Found
from services.context_api.steps.foresight import Foresight
from services.context_api.steps.turns import ASKING
from services.context_api.steps.views import View, Views

LISTING_TTL = timedelta(seconds=30)
"""As older callers were promised. The key holds the labels: an earlier server's did not, and mixed answers up."""

RESOLVED_GAPS = 10
"""Entries of `not_looked_at` told with a resolution whose object is not there."""


@dataclass(frozen=True, slots=True)
class About:
    """The object a path names. `group` is None where the path names only the kind."""

    kind: str
    group: str | None
    namespace: str | None
    name: str
    cluster: str | None = None

    def __str__(self) -> str:
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        return f"{kind}/{self.namespace or '_cluster'}/{self.name}"


class Desk:
    """Takes the questions. One per process."""

    def __init__(
        self,
        source: EvidenceSource,
        answers: Answers,
        *,
        cluster: str,
        limit: timedelta,
        ttl: timedelta,
        mutes: Mutes = (),
        foresight: Foresight | None = None,
    ) -> None:
        self.source, self.answers = source, answers
        self._foresight = foresight
        self.cluster, self.ttl = cluster, ttl
        self._limit = limit
        self._views = Views()
        self.mutes = mutes
        # Processes that share a cache may have been started with different mutes.
        self.silence = hashlib.sha256(repr(list(mutes)).encode()).hexdigest()[:16] if mutes else ""

    async def resolve(
        self, labels: Mapping[str, str], cluster: str | None, caller: Principal, left: timedelta | None
    ) -> Resolution:
        """Which object do these labels speak of? 30 µs (measured), so it is done here and now."""
        seen = await self.view(caller, cluster, self.within(left))
        found = resolve_in(seen.graph, labels, cluster or self.cluster)
        if found.target is not None and not caller.may_read(found.target.namespace):
            raise NotReadable(found.target.namespace)
        gaps = [] if found.exists else [str(gap) for gap in seen.snapshot.not_read[:RESOLVED_GAPS]]
        return found.model_copy(update={"snapshot_at": seen.snapshot.captured_at, "not_looked_at": gaps})

    async def causes(
        self, about: About, onset: datetime | None, caller: Principal, left: timedelta | None
    ) -> bytes:
        """The ranked causes, as JSON."""

        def find(seen: View, target: Target) -> CausesAnswer:
            return find_causes(
                seen.snapshot,
                target=target,
                onset=onset,
                graph=seen.graph,
                mutes=self.mutes,
                broken=report,
            )

        return await self._about(joined("causes", self.silence), about, onset, caller, left, find)

    async def causes_of(self, target: Target, onset: datetime, caller: Principal, left: timedelta) -> bytes:
        """The same, as an investigation asks about the object an alert was resolved to."""
        group, slash, _ = target.api_version.partition("/")
        about = About(target.kind, group if slash else None, target.namespace, target.name, target.cluster)
        return await self.causes(about, onset, caller, left)

    async def findings(self, about: About, caller: Principal, left: timedelta | None) -> bytes:
        """Everything wrong with the object and what it needs, as JSON."""

        def find(seen: View, target: Target) -> FindingsAnswer:
            return find_findings(
                seen.snapshot, target=target, graph=seen.graph, mutes=self.mutes, broken=report
            )

        return await self._about(joined("findings", self.silence), about, None, caller, left, find)

    async def evidence(
        self,
        about: About,
        kind: EvidenceKind | None,
        limit: int,
        cursor: str | None,
        caller: Principal,
        left: timedelta | None,
        *,
        room: int = LARGEST_PAGE,
    ) -> bytes:
        """One page of the facts about an object and what it is connected to, as JSON; `room` in bytes."""

        def find(seen: View, target: Target) -> EvidencePage:
            dossier = gather(seen.snapshot, target, graph=seen.graph, broken=report)
            return page(dossier, kind, limit, cursor, room)

        asked = joined("evidence", kind or "", str(limit), cursor or "", str(room))
        return await self._about(asked, about, None, caller, left, find)

    async def one(self, evidence_id: str, caller: Principal, left: timedelta | None) -> bytes:
        """The fact of that id, as JSON."""
        limit = self.within(left)
        seen = await self.view(caller, None, limit)

        def find() -> bytes:
            item = seen.catalogue.get(evidence_id)
            if item is None:
                raise UnknownEvidence(evidence_id)
            return as_json(item)

        return await self.answers.get(_fact(seen, evidence_id), find, ttl=self.ttl, limit=limit)

    async def logs(
        self, namespace: str, pod: str, wanted: Wanted, caller: Principal, left: timedelta | None
    ) -> bytes:
        """The last lines of one container's log, as JSON."""
        limit = self.within(left)
        seen = await self.readable(caller, namespace, None, limit)

        def find() -> Found:
            answer, item = excerpt(seen.snapshot, namespace, pod, wanted)
            return Found(as_json(answer), {_fact(seen, item.id): as_json(item)})

        key = joined("logs", seen.key, namespace, pod, repr(wanted))
        return await self.answers.get(key, find, ttl=self.ttl, limit=limit)

    async def listing(
        self,
        namespace: str | None,
        resource: str,
        selector: Selector,
        caller: Principal,
        left: timedelta | None,
        *,
        room: int = LARGEST_ANSWER,
    ) -> bytes:
        """The objects of one resource in one namespace, as JSON; `room` in bytes."""
        limit = self.within(left)
        seen = await self.readable(caller, namespace, None, limit)

        def find() -> bytes:
            return as_json(listing(seen.snapshot, namespace, resource, selector, room))

        key = joined("listing", seen.key, namespace or "", resource, str(selector), str(room))
        return await self.answers.get(key, find, ttl=LISTING_TTL, limit=limit)

    async def _about(
        self,
        question: str,
        about: About,
        onset: datetime | None,
        caller: Principal,
        left: timedelta | None,
        find: Callable[[View, Target], CausesAnswer | FindingsAnswer | EvidencePage],
    ) -> bytes:
        limit = self.within(left)
        seen = await self.readable(caller, about.namespace, about.cluster, limit)
        target = target_of(seen, about, about.cluster or self.cluster)
        key = joined(question, seen.key, target.model_dump_json(), onset.isoformat() if onset else "")
        if self._foresight is not None and not ASKING.get().ahead:
            self._foresight.asked(key)
        return await self.answers.get(
            key, lambda: _citable(seen, find(seen, target)), ttl=self.ttl, limit=limit
        )

    async def readable(
        self, caller: Principal, namespace: str | None, cluster: str | None, limit: timedelta
    ) -> View:
        """First whether the caller may ask, then whether there is anything: a refusal tells nothing."""
        if not caller.may_read(namespace):
            raise NotReadable(namespace)
        return await self.view(caller, cluster, limit)

    async def view(self, caller: Principal, cluster: str | None, limit: timedelta) -> View:
        if cluster is not None and not is_cluster_name(cluster):
            raise UnknownCluster("a cluster with an impossible name", self.cluster)
        # An evidence source nobody named speaks for whatever cluster is asked about.
        if cluster is not None and cluster != self.cluster and self.cluster != UNNAMED:
            raise UnknownCluster(cluster, self.cluster)
        snapshot = await self.source.snapshot(limit)
        state = self.source.state
        made_of(
            age=state.age,
            fixed=state.fixed,
            gaps=bool(snapshot.not_read),
            partial=state.connectivity is not Connectivity.healthy,
        )
        return await self._views.of(snapshot, caller)

    def within(self, left: timedelta | None) -> timedelta:
        return self._limit if left is None else min(self._limit, left)


_log = get_logger("triage")

UNNAMED = "local"
"""The name of a cluster that nobody has given one."""


def target_of(seen: View, about: About, cluster: str) -> Target:
    """The object the path names, or the workload a pod that is gone belonged to.

    Raises:
        UnknownObject: neither is in the evidence.
    """
    # Exactly; else with a kind a person typed in lower case; else by what a pod's name tells of its workload.
    exact = seen.snapshot.get(about.kind, about.namespace, about.name, group=about.group)
    found = exact or seen.graph.find(about.kind, about.namespace, about.name)
    if found is not None and about.group in (None, found.group):
        return found.target(cluster)
    if owner_by_name(seen.graph, about.kind, about.namespace, about.name) is None:
        raise UnknownObject(str(about), hint=f"recorded {seen.snapshot.captured_at:%Y-%m-%d %H:%M:%S} UTC")
    return Target(
        cluster=cluster,
        api_version=_version(about.group),
        kind=about.kind,
        namespace=about.namespace,
        name=about.name,
    )


def _version(group: str | None) -> str:
    """The group is what tells kinds apart; the version behind it is a guess and decides nothing."""
    return f"{group}/v1" if group else "v1"


MOST_KEPT = 200
"""Facts of one answer that are kept by their ids: a page's worth, about 300 KB. Two answers share most of theirs."""


def _citable(seen: View, answer: CausesAnswer | FindingsAnswer | EvidencePage) -> Found:
    return citable(seen, as_json(answer), _cited_first(answer))


def citable(seen: View, answer: bytes, facts: Sequence[EvidenceItem]) -> Found:
    """The answer; and its facts, for those who will ask about them by their ids."""
    return Found(answer, {_fact(seen, item.id): as_json(item) for item in facts[:MOST_KEPT]})


def _cited_first(answer: CausesAnswer | FindingsAnswer | EvidencePage) -> list[EvidenceItem]:
    if isinstance(answer, EvidencePage):
        return answer.items
    if isinstance(answer, FindingsAnswer):
        return answer.evidence
    cited = {evidence_id for cause in answer.ranked for evidence_id in cause.evidence_ids}
    return sorted(answer.evidence, key=lambda item: item.id not in cited)


def _fact(seen: View, evidence_id: str) -> str:
    # Not by the snapshot: the next one may not show the fact any more, and it was told all the same.
    return joined("fact", seen.snapshot.source, seen.snapshot.cluster, seen.rights, evidence_id)


def as_json(answer: BaseModel) -> bytes:
    return answer.model_dump_json().encode()


def report(analyzer: str, error: Exception) -> None:
    _log.error("analyzer failed", analyzer=analyzer, exc_info=error)
