"""Answer older callers' questions in their shapes, by what the newer ones are answered by."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from libs.auth.principal import Principal
from libs.cache import key as joined
from libs.contracts.bundle import BundleRequest, ContextSource, InvestigationType
from libs.contracts.older_context import (
    ActionHistoryContext,
    AlertContext,
    ContextTypeRow,
    Discovery,
    InvestigationContext,
    MetricsContext,
    PatternContext,
    ServiceDiscovery,
    ToolsetRow,
)
from libs.contracts.target import Target
from services.context_api.domain import history
from services.context_api.domain.adequacy import adequacy
from services.context_api.domain.bundle import tokens
from services.context_api.domain.discover import Wish, discover
from services.context_api.domain.durations import parse_duration
from services.context_api.domain.errors import NamesNoObject
from services.context_api.domain.readings import readings
from services.context_api.domain.registry import TYPES
from services.context_api.domain.tiers import Tier, assess, kept
from services.context_api.domain.toolsets import statistics, toolsets
from services.context_api.domain.tuning import Subject, eased, room
from services.context_api.steps.ask import Desk, as_json
from services.context_api.steps.bundles import Bundles

METRICS_TTL = timedelta(minutes=1)
"""As older callers were promised."""

ROOM = {Tier.simple: 1_500, Tier.moderate: 3_000, Tier.complex: 6_000, Tier.critical: 12_000}
"""Tokens of an alert's context by its tier, where it leaves out as much as it may."""

Reduction = Callable[[str, Subject], Awaitable[float]]


class Older:
    """Takes older callers' questions. One per process."""

    def __init__(
        self, desk: Desk, bundles: Bundles, reduction: Reduction, fresh: Mapping[str, timedelta]
    ) -> None:
        """Args:
        reduction: how much context is left out for a tenant's subject now.
        fresh: by source, how long an answer is kept.
        """
        self._desk, self._bundles, self._reduction, self._fresh = desk, bundles, reduction, fresh

    async def metrics(
        self, namespace: str, resource: str, time_range: str, caller: Principal, left: timedelta | None
    ) -> bytes:
        """Series about a resource, as JSON; an unknown one has none, as it always had."""
        desk = self._desk
        limit = desk.within(left)
        seen = await desk.readable(caller, namespace, None, limit)

        def find() -> bytes:
            found = readings(seen.graph, namespace, resource, parse_duration(time_range))
            return as_json(
                MetricsContext(
                    namespace=namespace,
                    resource=resource,
                    time_range=time_range,
                    metrics=found,
                    collection_time=seen.snapshot.captured_at,
                )
            )

        key = joined("metrics", seen.key, namespace, resource, time_range)
        return await desk.answers.get(key, find, ttl=METRICS_TTL, limit=limit)

    async def action_history(
        self, alert_type: str, namespace: str | None, caller: Principal, left: timedelta | None
    ) -> ActionHistoryContext:
        past = await self._bundles.past(alert_type, namespace, caller, left)
        return ActionHistoryContext(
            alert_type=alert_type,
            context_hash=hashlib.sha256(f"{alert_type}\x00{namespace or ''}".encode()).hexdigest(),
            namespace=namespace or "",
            history_data=history.action_history(past),
            retrieved_time=datetime.now(UTC),
        )

    async def patterns(
        self,
        signature: str,
        alert_type: str,
        namespace: str | None,
        caller: Principal,
        left: timedelta | None,
    ) -> PatternContext:
        past = await self._bundles.past(alert_type, namespace, caller, left)
        now = datetime.now(UTC)
        return PatternContext(
            signature=signature,
            namespace=namespace or "",
            alert_type=alert_type,
            pattern_context=history.patterns(past, signature, now),
            retrieved_time=now,
        )

    async def discover(
        self, wish: Wish, severity: str, caller: Principal, *, score: bool, worse: bool = False
    ) -> Discovery:
        """Which kinds of context there are; with `severity` and no tier, the tier it stands for.

        `worse`: whoever asks says that answers got worse, and gets a step more than its tenant's tuning gives.
        """
        assessed = assess(severity, wish.alert_type) if severity else None
        tier = wish.tier or (assessed.tier if assessed is not None else None)
        if tier is not None:
            subject = Subject(tier, wish.investigation or InvestigationType.root_cause)
            share = await self._reduction(caller.tenant, subject)
            share = min(
                eased(subject, share) if worse else share, wish.left_out if wish.left_out is not None else 1.0
            )
            wish = replace(wish, tier=tier, left_out=share)
        rate = round(self._desk.answers.rate.value, 4)
        rows = discover(wish, rate, self._fresh)
        found = Discovery(
            available_types=[ContextTypeRow.model_validate(row) for row in rows],
            total_types=len(rows),
            timestamp=datetime.now(UTC),
            complexity_tier=wish.tier,
            tier_reason=assessed.reason if assessed is not None else None,
        )
        if not score:
            return found
        judged = adequacy(
            wish.investigation or InvestigationType.basic,
            {ContextSource(row["name"]) for row in rows},
        )
        return found.model_copy(
            update={
                "context_adequate": judged.adequate,
                "adequacy_score": judged.score,
                "missing": [str(one) for one in judged.missing],
            }
        )

    def toolsets(self, version: str) -> list[ToolsetRow]:
        """Those there are now."""
        return toolsets(version, datetime.now(UTC), serves=self._desk.source.state.serves)

    def service_discovery(self, version: str) -> ServiceDiscovery:
        """How the evidence source stands, and how many toolsets there are."""
        state = self._desk.source.state
        return ServiceDiscovery(
            health={"kubernetes": state.connectivity, "detail": state.reason},
            statistics=statistics(self.toolsets(version)),
            timestamp=datetime.now(UTC),
        )

    async def alert(
        self,
        severity: str,
        name: str,
        namespace: str | None,
        description: str,
        caller: Principal,
        left: timedelta | None,
    ) -> AlertContext:
        """As much context as the alert's tier calls for.

        Raises:
            NamesNoObject: no namespace is given, and nothing else says what the alert is about.
        """
        assessed = assess(severity, name, description)
        subject = Subject(assessed.tier, InvestigationType.root_cause)
        reduction = await self._reduction(caller.tenant, subject)
        types, size = kept(assessed.tier, left_out=reduction), room(subject, ROOM[assessed.tier], reduction)
        labels = {"alertname": name, "severity": severity} | ({"namespace": namespace} if namespace else {})
        request = BundleRequest.model_validate(
            {
                "alert": {"labels": labels},
                "max_tokens": size,
                "sources": [row.source for row in types],
            }
        )
        try:
            made = await self._made(request, caller, left)
        except NamesNoObject as error:
            why = "an alert's name does not tell what it is about"
            remedy = "give the namespace it fired in, or ask for a bundle by the alert's labels"
            raise NamesNoObject(why, field="query.namespace", remedy=remedy) from error
        return AlertContext(
            context=made,
            context_size=tokens(len(orjson.dumps(made))),
            complexity_tier=assessed.tier,
            optimization_applied=len(types) < len(TYPES),
            metadata={
                "tier_reason": assessed.reason,
                "context_types": [row.source for row in types],
                "max_tokens": size,
                "context_reduction": reduction,
            },
            timestamp=datetime.now(UTC),
        )

    async def investigation(
        self,
        investigation: InvestigationType,
        namespace: str,
        max_tokens: int,
        caller: Principal,
        left: timedelta | None,
    ) -> InvestigationContext:
        request = BundleRequest(
            target=Target(kind="Namespace", name=namespace),
            investigation_type=investigation,
            max_tokens=max_tokens,
        )
        made = await self._made(request, caller, left)
        return InvestigationContext(
            context=made,
            context_adequate=made["adequacy"]["adequate"],
            adequacy_score=made["adequacy"]["score"],
            enrichment_applied=bool(made["causes"]),
            metadata={"missing": made["adequacy"]["missing"], "max_tokens": max_tokens},
            timestamp=datetime.now(UTC),
        )

    async def _made(
        self, request: BundleRequest, caller: Principal, left: timedelta | None
    ) -> dict[str, Any]:
        made: dict[str, Any] = orjson.loads(await self._bundles.bundle(request, caller, left))
        return made
