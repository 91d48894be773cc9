"""So far: what a model's run has seen until its last stored step, and which reader is told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from libs.auth.principal import Principal
from libs.contracts.evidence import EvidenceItem
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.verdict import EVIDENCE_AT_MOST, ModelUse, Verdict
from services.holmesgpt_api.domain.visibility import may_read_all_of


@dataclass(frozen=True, slots=True)
class SoFar:
    """Cleared of secrets, as a verdict's evidence is."""

    evidence: Sequence[EvidenceItem]
    """In the order in which it was seen."""
    use: ModelUse


def is_for(record: Record, caller: Principal) -> bool:
    """Whether this caller is told how a run is getting on beyond triage's result.

    Whether a reader may see an investigation is decided by what it has shown. What a run is looking at now is known
    at its end; until then it is for who may read whatever the run may.
    """
    at_the_model = record.interim is not None and not record.ended and record.queue_position is None
    return at_the_model and may_read_all_of(caller, record.reads)


def for_reader(record: Record, caller: Principal) -> Record:
    """The record without what a model's tools were asked about, for a reader who may not read all that its asker may:
    what `seen` says is what the verdict shows, and tools may have looked further."""
    if may_read_all_of(caller, record.reads):
        return record
    return replace(record, verdict=_unasked(record.verdict), interim=_unasked(record.interim))


def _unasked(verdict: Verdict | None) -> Verdict | None:
    if verdict is None or verdict.model is None or not verdict.model.tools:
        return verdict
    tools = [one.model_copy(update={"arguments": {}, "detail": ""}) for one in verdict.model.tools]
    return verdict.model_copy(update={"model": verdict.model.model_copy(update={"tools": tools})})


def with_what_was_seen(record: Record, so_far: SoFar) -> Record:
    """The record with the run's evidence after triage's, and what the run took. Where all is too much to be told, half
    of it at least is the run's latest."""
    interim = record.interim
    if interim is None:
        return record
    triage = interim.results.evidence
    known = {item.id for item in triage}
    new = [item for item in so_far.evidence if item.id not in known]
    kept = triage[: EVIDENCE_AT_MOST - min(len(new), EVIDENCE_AT_MOST // 2)]
    latest = new[-(EVIDENCE_AT_MOST - len(kept)) :]
    results = interim.results.model_copy(update={"evidence": [*kept, *latest]})
    return replace(record, interim=interim.model_copy(update={"results": results, "model": so_far.use}))
