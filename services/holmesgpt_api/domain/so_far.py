"""So far: what a model's run has seen until its last stored step, told while it goes on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from libs.auth.principal import EVERY_NAMESPACE, Principal
from libs.contracts.evidence import EvidenceItem
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.verdict import EVIDENCE_AT_MOST, ModelUse


@dataclass(frozen=True, slots=True)
class SoFar:
    """Cleared of secrets, as a verdict's evidence is."""

    evidence: Sequence[EvidenceItem]
    use: ModelUse


def is_for(record: Record, caller: Principal) -> bool:
    """Whether this caller is told how a run is getting on beyond triage's result.

    Where the model has looked is known to be the reader's to see once the run has ended, and `seen` says it all; until
    then it is for who asked, and for who may read everything.
    """
    at_the_model = record.interim is not None and not record.ended and record.queue_position is None
    return at_the_model and (caller.name == record.asker or EVERY_NAMESPACE in caller.namespaces)


def with_what_was_seen(record: Record, so_far: SoFar, caller: Principal) -> Record:
    """The record with the run's evidence after triage's, as far as the caller may read it, and what the run took."""
    interim = record.interim
    if interim is None:
        return record
    known = {item.id: item for item in interim.results.evidence}
    for item in so_far.evidence:
        if item.target is None or caller.may_read(item.target.namespace):
            known.setdefault(item.id, item)
    results = interim.results.model_copy(update={"evidence": list(known.values())[:EVIDENCE_AT_MOST]})
    return replace(record, interim=interim.model_copy(update={"results": results, "model": so_far.use}))
