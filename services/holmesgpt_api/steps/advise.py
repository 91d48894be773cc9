"""Advise on strategies: what triage finds for the alert, and the offered ones ranked against it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from libs.auth.principal import Principal
from libs.contracts.analysis import StrategyAnswer, StrategyRequest
from libs.contracts.causes import Cause
from libs.contracts.investigations import InvestigationRequest
from libs.contracts.target import Target
from services.holmesgpt_api.domain.clusters import UNKNOWN_CLUSTER, Clusters, why_unknown
from services.holmesgpt_api.domain.commission import claimed_namespace, labels_to_resolve
from services.holmesgpt_api.domain.errors import EngineError, NotReadable
from services.holmesgpt_api.domain.patience import NOTHING, Clock, answer_by
from services.holmesgpt_api.domain.ports import Evidence
from services.holmesgpt_api.domain.strategies import priority_word, rank
from services.holmesgpt_api.domain.triage import chosen, without_secrets
from services.holmesgpt_api.domain.visibility import limit

OUT_OF_TIME = "deadline-passed"
NO_TARGET = "no-target"


@dataclass(frozen=True, slots=True)
class _Found:
    causes: list[Cause]
    target: Target | None = None
    word: str | None = None
    """Why there is no cause, where something kept us from looking."""
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Advising:
    clusters: Clusters
    evidence: Mapping[str, Evidence]
    """By the clusters' addresses."""
    patience: timedelta
    """Longest wait for one answer of the Context API."""
    sync_answer_timeout: timedelta
    now: Clock = time.monotonic

    async def advise(
        self,
        request: StrategyRequest,
        caller: Principal,
        caller_has: timedelta | None,
        *,
        spent: timedelta = NOTHING,
    ) -> StrategyAnswer:
        """The ranking. Where the cause cannot be known, it stands on what the caller tells, and says so.

        Raises:
            NotReadable: the alert speaks of a namespace the caller may not read.
        """
        until = answer_by(self.sync_answer_timeout, caller_has, spent=spent, now=self.now)
        alert = _alert(request)
        namespace = claimed_namespace(alert)
        if namespace is not None and not caller.may_read(namespace):
            raise NotReadable(namespace)
        # Two questions one after the other, and both must fit into what the caller has.
        patience = min(self.patience, until.to_tell / 2)
        found = await self._found(alert, caller, patience)
        answer = rank(request, found.causes, unknown=found.detail)
        return answer.model_copy(
            update={
                "target": found.target,
                "degraded_reason": found.word,
                "degraded_detail": found.detail if found.word else None,
            }
        )

    async def _found(self, alert: InvestigationRequest, caller: Principal, patience: timedelta) -> _Found:
        if patience <= timedelta(0):
            return _Found([], word=OUT_OF_TIME, detail="the caller's deadline left no time to look")
        route = self.clusters.route(alert)
        if route.address is None:
            detail = why_unknown(self.clusters, route.cluster, caller.namespaces)
            return _Found([], word=UNKNOWN_CLUSTER, detail=detail)
        evidence = self.evidence[route.address]
        try:
            resolution = await evidence.resolve(
                labels_to_resolve(alert), tenant=caller.tenant, deadline=patience
            )
            target = chosen(resolution)
            if target is None:
                why = resolution.detail or resolution.reason
                return _Found([], word=NO_TARGET, detail=f"the alert's labels name no object: {why}")
            if not caller.may_read(target.namespace):
                raise NotReadable(target.namespace)
            answer = await evidence.causes(
                target, onset=None, priority=alert.priority, tenant=caller.tenant, deadline=patience
            )
            # Not on the loop: a megabyte of evidence takes most of a second.
            answer = await asyncio.to_thread(without_secrets, limit(answer, caller.may_read))
        except EngineError as error:
            return _Found([], word=error.code, detail=error.detail)
        if answer.no_cause or not answer.ranked:
            why = answer.no_cause_reason.value if answer.no_cause_reason else "none found"
            return _Found([], target=answer.target or target, detail=why)
        return _Found(list(answer.ranked), target=answer.target or target)


def _alert(request: StrategyRequest) -> InvestigationRequest:
    alert = request.alert_context
    return InvestigationRequest(
        alert_name=alert.name,
        labels=alert.labels,
        annotations=alert.annotations,
        priority=priority_word(alert.severity),
    )
