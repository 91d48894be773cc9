"""The Context API, as its callers see it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from libs.clients.peer import Peer, segment
from libs.contracts.bundle import Bundle, BundleRequest
from libs.contracts.causes import CausesAnswer, FindingsAnswer
from libs.contracts.context import ContextHealth, KubernetesContext, Resolution, ResolveRequest, Topology
from libs.contracts.evidence import EvidenceItem, EvidenceKind, EvidencePage, LogAnswer
from libs.contracts.target import CLUSTER_SCOPE, Target

_ROOT = "/api/v1/context"

PRIORITY = "X-Request-Priority"
"""Header in which a service says how urgent a question is."""


class ContextClient(Peer):
    """Calls the Context API. Raises what `Peer.call` raises."""

    name = "context-api"

    async def resolve(
        self,
        labels: Mapping[str, str],
        *,
        cluster: str | None = None,
        onset: datetime | None = None,
        tenant: str,
        deadline: timedelta,
    ) -> Resolution:
        """Which object do these alert labels speak of, and who owns it?

        Args:
            onset: when the alert began, where its causes will be asked for: they are gathered meanwhile.
        """
        # In the query and not in the body: an earlier Context API ignores the one and refuses the other.
        return await self.call(
            "POST",
            f"{_ROOT}/resolve",
            answer=Resolution,
            body=ResolveRequest(labels=dict(labels), cluster=cluster),
            query={"onset": onset.isoformat()} if onset else None,
            tenant=tenant,
            deadline=deadline,
        )

    async def causes(
        self,
        target: Target,
        *,
        onset: datetime | None = None,
        priority: str | None = None,
        tenant: str,
        deadline: timedelta,
    ) -> CausesAnswer:
        """Ranked causes of what is wrong with the target; `onset` is when its alert began.

        Args:
            priority: of the investigation, which decides whose turn it is where many ask.
        """
        query = {"cluster": target.cluster} | ({"onset": onset.isoformat()} if onset else {})
        return await self.call(
            "GET",
            _about("causes", target),
            answer=CausesAnswer,
            query=query,
            headers={PRIORITY: priority} if priority else None,
            tenant=tenant,
            deadline=deadline,
        )

    async def findings(self, target: Target, *, tenant: str, deadline: timedelta) -> FindingsAnswer:
        """Everything wrong with the target itself, unranked."""
        return await self.call(
            "GET",
            _about("findings", target),
            answer=FindingsAnswer,
            query={"cluster": target.cluster},
            tenant=tenant,
            deadline=deadline,
        )

    async def evidence(
        self,
        target: Target,
        *,
        kind: EvidenceKind | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        tenant: str,
        deadline: timedelta,
    ) -> EvidencePage:
        """Facts about the target and what it is connected to; `cursor` is the `next_cursor` of the page before."""
        asked = {"cluster": target.cluster, "kind": kind, "limit": limit, "cursor": cursor}
        return await self.call(
            "GET",
            _about("evidence", target),
            answer=EvidencePage,
            query=_given(asked),
            tenant=tenant,
            deadline=deadline,
        )

    async def evidence_item(self, evidence_id: str, *, tenant: str, deadline: timedelta) -> EvidenceItem:
        """The fact an answer cites; refused with 404 where the caller may not read it."""
        return await self.call(
            "GET",
            f"{_ROOT}/evidence/{segment(evidence_id)}",
            answer=EvidenceItem,
            tenant=tenant,
            deadline=deadline,
        )

    async def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str | None = None,
        previous: bool = False,
        tail: int | None = None,
        contains: str | None = None,
        clustered: bool = False,
        tenant: str,
        deadline: timedelta,
    ) -> LogAnswer:
        """The last lines of a container's log; refused with 404 (which names what there is) where there is none."""
        asked = {"container": container, "previous": previous or None, "tail": tail, "contains": contains}
        return await self.call(
            "GET",
            f"{_ROOT}/logs/{segment(namespace)}/{segment(pod)}",
            answer=LogAnswer,
            query=_given({**asked, "clustered": clustered or None}),
            tenant=tenant,
            deadline=deadline,
        )

    async def kubernetes(
        self,
        namespace: str,
        resource: str,
        *,
        labels: Mapping[str, str] | None = None,
        tenant: str,
        deadline: timedelta,
    ) -> KubernetesContext:
        """Objects of one resource in one namespace, as older callers read them."""
        selector = ",".join(f"{name}={value}" for name, value in (labels or {}).items())
        return await self.call(
            "GET",
            f"{_ROOT}/kubernetes/{segment(namespace)}/{segment(resource)}",
            answer=KubernetesContext,
            query={"labels": selector} if selector else None,
            tenant=tenant,
            deadline=deadline,
        )

    async def bundle(self, request: BundleRequest, *, tenant: str, deadline: timedelta) -> Bundle:
        """Everything that matters to one incident, most relevant first, within a budget of tokens."""
        return await self.call(
            "POST", f"{_ROOT}/bundle", answer=Bundle, body=request, tenant=tenant, deadline=deadline
        )

    async def topology(
        self, target: Target, *, depth: int | None = None, tenant: str, deadline: timedelta
    ) -> Topology:
        """What the target needs and what it is made of, `depth` steps far."""
        return await self.call(
            "GET",
            _about("topology", target),
            answer=Topology,
            query=_given({"cluster": target.cluster, "depth": depth}),
            tenant=tenant,
            deadline=deadline,
        )

    async def health(self, *, tenant: str, deadline: timedelta) -> ContextHealth:
        """Raises PeerUnavailable (`http-503`) when the evidence source is not healthy."""
        return await self.call(
            "GET", f"{_ROOT}/health", answer=ContextHealth, tenant=tenant, deadline=deadline
        )


def _given(query: Mapping[str, object]) -> dict[str, str]:
    """The parameters that were given, as text; JSON's words for the truth."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


def _about(question: str, target: Target) -> str:
    namespace = target.namespace or CLUSTER_SCOPE
    return f"{_ROOT}/{question}/{segment(namespace)}/{segment(kind_in_path(target))}/{segment(target.name)}"


def kind_in_path(target: Target) -> str:
    """`Kind` for core objects, `Kind.group` for the others (`Deployment.apps`)."""
    group, slash, _ = target.api_version.partition("/")
    return f"{target.kind}.{group}" if slash else target.kind
