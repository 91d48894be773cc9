"""Triage: the engine that needs no model. It asks the Context API for causes and says what they are.

Decides which object is asked about and what the answer means. Finding and ranking causes is the Context
API's part; nothing is concluded here that its answer does not say.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from libs.contracts.causes import Cause, CausesAnswer, NoCause
from libs.contracts.context import Resolution
from libs.contracts.evidence import EvidenceItem
from libs.contracts.investigations import Claim, InvestigationResults
from libs.contracts.target import Target
from libs.redaction import Redactor, Unredactable
from services.holmesgpt_api.domain.claims import HYPOTHESIS, by_citation
from services.holmesgpt_api.domain.clearing import cleared
from services.holmesgpt_api.domain.commission import labels_to_resolve
from services.holmesgpt_api.domain.errors import Impossible
from services.holmesgpt_api.domain.patience import Clock, answer_by
from services.holmesgpt_api.domain.ports import Evidence, ReportProgress
from services.holmesgpt_api.domain.recommend import recommendations
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.verdict import EVIDENCE_AT_MOST, Verdict
from services.holmesgpt_api.domain.visibility import limit, reader
from services.holmesgpt_api.domain.wording import about, first_sentence

NAME = "triage"
NO_MODEL = "no-model-configured"
"""Why no model answered, in an installation that has none."""

SUMMARY = 400
"""Characters of the cause in a summary; `root_cause` carries all of it."""


class Triage:
    """Fulfils `ports.Engine`."""

    name = NAME

    def __init__(
        self,
        evidence: Evidence,
        *,
        patience: timedelta,
        degraded_reason: Callable[[], str] = lambda: NO_MODEL,
        now: Clock = time.monotonic,
    ) -> None:
        """Args:
        patience: longest wait for one answer of the Context API. A run's time is for both together.
        degraded_reason: why triage answers and no model.
        """
        self._evidence, self._patience, self._degraded_reason = evidence, patience, degraded_reason
        self._now = now

    async def run(self, run: Claimed, report_progress: ReportProgress) -> Verdict:
        until = answer_by(run.time_left, None, now=self._now)
        target, resolution = run.request.target, None
        if target is None:
            await report_progress(10, "resolving the alert's labels")
            labels = labels_to_resolve(run.request)
            resolution = await self._evidence.resolve(
                labels, tenant=run.tenant, deadline=min(self._patience, until.left)
            )
            target = chosen(resolution)
        if target is None:
            return no_target(resolution, self._degraded_reason())
        may_read = reader(run.tenant, run.reads)
        if not may_read(target.namespace):
            raise Impossible("not-readable", f"{target} lies where the caller may not read")
        await report_progress(30, f"looking for causes of what is wrong with {target}")
        answer = await self._evidence.causes(
            target,
            onset=run.request.starts_at,
            priority=run.request.priority,
            tenant=run.tenant,
            deadline=min(self._patience, until.left),
        )
        await report_progress(90, "writing the verdict")
        # Not on the loop: a megabyte of evidence takes most of a second.
        clear = await asyncio.to_thread(without_secrets, limit(answer, may_read))
        return conclude(clear, target, run, self._degraded_reason())


def without_secrets(answer: CausesAnswer) -> CausesAnswer:
    """The answer once more without secrets. The Context API has taken them out; what it missed stays here.

    Raises:
        Impossible: it cannot be looked at, so nothing of it is told.
    """
    try:
        return cleared(answer, Redactor(os.urandom(16)))
    except (Unredactable, UnicodeError) as error:
        raise Impossible("redaction-failed", "the evidence could not be cleared of secrets") from error


def chosen(resolution: Resolution) -> Target | None:
    """The object the labels name; its owner when the object itself is gone (a pod that was replaced)."""
    return resolution.target if resolution.exists else resolution.owner or resolution.target


def no_target(resolution: Resolution | None, degraded_reason: str) -> Verdict:
    """The alert names no object: nothing was looked at, and that is what is said."""
    why = (resolution.detail or resolution.reason) if resolution else "no labels"
    return Verdict(
        engine=NAME,
        degraded_reason=degraded_reason,
        summary=f"The alert's labels name no Kubernetes object, so nothing could be looked at: {why}.",
        results=InvestigationResults(
            cause=None,
            target=None,
            not_looked_at=[f"everything: {why}"],
            no_cause_reason=NoCause.insufficient,
        ),
    )


def conclude(answer: CausesAnswer, target: Target, run: Claimed, degraded_reason: str) -> Verdict:
    """What the Context API's answer means for the alert. Pure."""
    asked = answer.target or target
    ranked = [] if answer.no_cause else list(answer.ranked)
    cause = ranked[0] if ranked else None
    cited, left_out = _cited(answer, ranked)
    claims = by_citation(_claims(answer, ranked), {item.id for item in cited})
    not_looked_at = [*answer.not_looked_at, *left_out]
    return Verdict(
        engine=NAME,
        degraded_reason=degraded_reason,
        summary=_summary(asked, cause, answer, not_looked_at),
        root_cause=about(cause.target, cause.text) if cause else None,
        confidence_basis=list(cause.confidence.basis) if cause else [],
        recommendations=recommendations(ranked, run.priority),
        results=InvestigationResults(
            cause=cause,
            target=asked,
            contributing=ranked[1:],
            claims=claims,
            evidence=cited,
            not_looked_at=not_looked_at,
            no_cause_reason=None if cause else (answer.no_cause_reason or NoCause.insufficient),
        ),
        context_used=_context_used(answer, cited),
    )


def _cited(answer: CausesAnswer, ranked: Iterable[Cause]) -> tuple[list[EvidenceItem], list[str]]:
    """The evidence that the causes and findings cite, in the order they cite it."""
    by_id = {item.id: item for item in answer.evidence}
    order: dict[str, None] = {}
    for ids in [cause.evidence_ids for cause in ranked] + [one.evidence_ids for one in answer.findings]:
        order.update(dict.fromkeys(id_ for id_ in ids if id_ in by_id))
    kept = [by_id[id_] for id_ in order][:EVIDENCE_AT_MOST]
    more = len(order) - len(kept)
    return kept, [f"{more} more pieces of evidence, to keep the answer readable"] if more else []


def _claims(answer: CausesAnswer, ranked: list[Cause]) -> list[Claim]:
    """What is asserted: the causes, and the findings that the first of them accounts for; each once."""
    asserted: dict[str, dict[str, None]] = {}
    for cause in ranked:
        asserted.setdefault(about(cause.target, cause.text), {}).update(dict.fromkeys(cause.evidence_ids))
    explained = set(ranked[0].explains) if ranked else set()
    for finding in answer.findings:
        if not ranked or f"{finding.target}: {finding.reason}" in explained:
            text = about(finding.target, finding.text)
            asserted.setdefault(text, {}).update(dict.fromkeys(finding.evidence_ids))
    return [Claim(text=text, status=HYPOTHESIS, evidence_ids=list(ids)) for text, ids in asserted.items()]


def _summary(asked: Target, cause: Cause | None, answer: CausesAnswer, not_looked_at: list[str]) -> str:
    if cause is not None:
        way = f" The way to {asked}: {' → '.join(cause.path)}." if len(cause.path) > 1 else ""
        said = about(cause.target, first_sentence(cause.text, SUMMARY))
        return f"{said} Confidence {cause.confidence.value:.2f}.{way}"
    match answer.no_cause_reason:
        case NoCause.nothing_wrong:
            said = f"Nothing is wrong with {asked}, nor with what it depends on."
        case NoCause.recovered:
            said = f"{asked} had trouble and is healthy again; nothing is wrong with it now."
        case NoCause.muted:
            said = f"What is wrong with {asked}, or with what it depends on, is known and muted: {'; '.join(answer.muted[:3])}."
        case _:
            said = f"The evidence does not tell why {asked} alerts."
    said += f" {answer.no_cause_text}" if answer.no_cause_text else ""
    missing = f" Not looked at: {'; '.join(not_looked_at[:3])}." if not_looked_at else ""
    return said + missing


def _context_used(answer: CausesAnswer, cited: list[EvidenceItem]) -> dict[str, Any]:
    return {
        "source": "context-api",
        "snapshot_at": answer.snapshot_at.isoformat() if answer.snapshot_at else None,
        "evidence": dict(sorted(Counter(item.kind.value for item in cited).items())),
        "findings": len(answer.findings),
    }


def namespaces_in(verdict: Verdict) -> set[str]:
    """Every namespace the verdict shows something of; cluster scope as the empty text."""
    results = verdict.results
    targets = [results.target, *(item.target for item in results.evidence)]
    targets += [cause.target for cause in (results.cause, *results.contributing) if cause is not None]
    return {target.namespace or "" for target in targets if target is not None}
