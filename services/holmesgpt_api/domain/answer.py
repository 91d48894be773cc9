"""Tell an investigation to every kind of caller at once: one body with the keys that each of them reads.

The seed's and the Python server's keys (`summary`, `root_cause`, `recommendations`, `metadata`), the Go
application's (`investigation.summary`, `strategies[].name`, `patterns`, `context`), and ours (`results`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from libs.contracts.approvals import ToolApproval
from libs.contracts.evidence import EvidenceKind
from libs.contracts.investigations import (
    Investigation,
    InvestigationResults,
    InvestigationStatus,
    InvestigationSummary,
    Recommendation,
)
from services.holmesgpt_api.domain.custom.approval import Approval, State
from services.holmesgpt_api.domain.difference import difference
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.verdict import EVIDENCE_AT_MOST, ModelUse, Verdict

PATH = "/api/v1/investigate"

CANCELLED = "cancelled"
"""`error_code` of one that was stopped."""

TRIAGE_NOT_DONE = "triage-not-done"
"""`degraded_reason` while there is not even triage's result: the Context API does not answer, or nobody has taken it up."""


def investigation(record: Record, *, patterns: Sequence[dict[str, Any]] = ()) -> Investigation:
    """The record as a body. What has not ended says so, and claims nothing.

    `patterns`: what was seen of the same alert before.
    """
    verdict = record.known
    summary = summary_of(record)
    recommended = verdict.recommendations if verdict else []
    context = _context(record)
    target = verdict.results.target if verdict else None
    return Investigation(
        investigation_id=record.id,
        status=record.status,
        progress=record.progress,
        alert_name=record.request.alert_name,
        namespace=record.namespace or (target.namespace if target else None),
        priority=record.priority,
        engine=verdict.engine if verdict else None,
        degraded_reason=verdict.degraded_reason if verdict else _not_yet(record),
        summary=summary,
        root_cause=verdict.root_cause if verdict else None,
        confidence_basis=verdict.confidence_basis if verdict else [],
        recommendations=recommended,
        results=_results(verdict),
        context_used=context,
        error=_error(record),
        error_code=_error_code(record),
        timestamp=record.ended_at or record.read_at,
        duration_seconds=_seconds(record),
        metadata=_metadata(record),
        pending_approvals=[told(one) for one in record.approvals if one.state is State.pending],
        investigation={"summary": summary, "status": record.status.value},
        strategies=[_strategy(one) for one in recommended],
        patterns=list(patterns),
        context=context,
    )


def _results(verdict: Verdict | None) -> InvestigationResults | None:
    """A replay has all that was ever seen at hand; told is no more of it than of any other. What is cited comes first."""
    if verdict is None or len(verdict.results.evidence) <= EVIDENCE_AT_MOST:
        return verdict.results if verdict else None
    return verdict.results.model_copy(update={"evidence": verdict.results.evidence[:EVIDENCE_AT_MOST]})


def line(record: Record) -> InvestigationSummary:
    """The record as one line of a list."""
    return InvestigationSummary(
        investigation_id=record.id,
        status=record.status,
        progress=record.progress,
        alert_name=record.request.alert_name,
        namespace=record.namespace,
        priority=record.priority,
        engine=record.known.engine if record.known else None,
        summary=summary_of(record),
        timestamp=record.created_at,
        duration_seconds=_seconds(record),
    )


def summary_of(record: Record) -> str:
    """One paragraph a person can read, whatever the state: it never reads like a success that is none."""
    if record.verdict is not None:
        return record.verdict.summary
    if record.failure is not None:
        return f"No result: the investigation failed. {record.failure.error}"
    if record.cancelled_by is not None:
        return f"No result: {_error(record)}"
    if record.interim is not None:
        return f"{record.interim.summary} A model is still being asked; its answer: GET {PATH}/{record.id}"
    return f"No result yet: still being investigated ({_stage(record)}). Ask for it at {PATH}/{record.id}"


def _stage(record: Record) -> str:
    return "not begun yet" if record.status is InvestigationStatus.started else record.stage


def _not_yet(record: Record) -> str | None:
    """Why an answer without a verdict has none. One that has ended says it in `error_code`."""
    # Some take every 200 for a result. Of a replay triage's verdict is known, and only not told yet.
    return None if record.ended or record.replay is not None else TRIAGE_NOT_DONE


def _error(record: Record) -> str | None:
    if record.cancelled_by is not None:
        return f"the investigation was cancelled by {record.cancelled_by}"
    return record.failure.error if record.failure else None


def _error_code(record: Record) -> str | None:
    if record.cancelled_by is not None:
        return CANCELLED
    return record.failure.code if record.failure else None


def _context(record: Record) -> dict[str, Any]:
    """What the result rests on, in the detail that was asked for."""
    verdict = record.known
    if verdict is None or not record.request.include_context:
        return {}
    if not record.request.include_metrics:
        return verdict.context_used
    metrics = [one.id for one in verdict.results.evidence if one.kind is EvidenceKind.metric]
    return {**verdict.context_used, "metrics": metrics}


def _strategy(one: Recommendation) -> dict[str, Any]:
    return {
        "name": one.title,
        "description": one.description,
        "action_type": one.action_type,
        "command": one.command,
        "risk": one.risk,
        "confidence": one.confidence,
        "confidence_basis": one.confidence_basis,
    }


def _metadata(record: Record) -> dict[str, Any]:
    """The seed's keys (`duration`, `toolsets_used`, `llm_provider`, `tokens_used`) and how it went."""
    verdict = record.known
    use = verdict.model if verdict else None
    cached = verdict.cached_from if verdict else None
    return {
        "duration": _seconds(record),
        "toolsets_used": ["context-api", *_abroad(verdict.model)] if verdict else [],
        "llm_provider": use.model.partition("/")[0] if use else None,
        "tokens_used": use.tokens if use and not cached else 0,
        "request_id": record.request.request_id,
        "stage": record.stage,
        "runs": record.runs,
        "queue_position": record.queue_position,
        "degraded_detail": verdict.degraded_detail if verdict else _not_yet(record) and _stage(record),
        "triage_agrees": verdict.triage_agrees if verdict else None,
        "disagreement": verdict.disagreement if verdict else None,
        "model": use.model_dump(mode="json") if use else None,
        **({"cached_from": cached} if cached else {}),
        **(
            {"approvals": [told(one).model_dump(mode="json") for one in record.approvals]}
            if record.approvals
            else {}
        ),
        **({"feedback": record.feedback.model_dump()} if record.feedback else {}),
        **_of_replay(record),
    }


def told(one: Approval) -> ToolApproval:
    """A change that is asked for, as people see it."""
    return ToolApproval(**{**asdict(one), "state": one.state.value})


def _abroad(use: ModelUse | None) -> list[str]:
    """The foreign systems that were asked, each with its toolset's version."""
    return sorted({one.toolset for one in use.tools if one.toolset}) if use else []


def _of_replay(record: Record) -> dict[str, Any]:
    """Nothing for one that is no replay."""
    if record.replay is None:
        return {}
    told: dict[str, Any] = {
        "replay_of": record.replay.of,
        "replay": {
            "engine": record.replay.engine,
            "model": record.replay.model,
            "prompt": record.replay.prompt,
        },
    }
    if record.original is not None and record.verdict is not None:
        told["diff"] = difference(record.original, record.verdict).model_dump(mode="json")
    return told


def _seconds(record: Record) -> float:
    return max(round(record.duration.total_seconds(), 3), 0.0)
