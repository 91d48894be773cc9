"""Decide what of the evidence an asker may see, and which investigations a reader may.

The Context API answers our service's credential, which reads every namespace; so what the asker may not
read is taken out before anything is concluded from it.
"""

from __future__ import annotations

from collections.abc import Iterable

from libs.auth.principal import EVERY_NAMESPACE, Principal, principal_for
from libs.contracts.causes import CausesAnswer, MayRead, NoCause, narrowed
from libs.contracts.target import Target
from services.holmesgpt_api.domain.commission import CLUSTER


def reader(tenant: str, namespaces: Iterable[str]) -> MayRead:
    """Who may read these namespaces (globs) and nothing else."""
    return principal_for(
        "asker", tenant=tenant, roles=(), namespaces=tuple(namespaces), method="token", credential=""
    ).may_read


def limit(answer: CausesAnswer, may_read: MayRead) -> CausesAnswer:
    """The answer without what lies in namespaces the asker may not read; says how much was left out."""

    def visible(target: Target | None) -> bool:
        return target is None or may_read(target.namespace)

    evidence = [item for item in answer.evidence if visible(item.target)]
    ranked = [narrowed(cause, may_read) for cause in answer.ranked if visible(cause.target)]
    findings = [finding for finding in answer.findings if visible(finding.target)]
    hidden = len(answer.ranked) - len(ranked), len(answer.findings) - len(findings)
    if ranked == answer.ranked and not any(hidden) and len(evidence) == len(answer.evidence):
        return answer
    kept = {item.id for item in evidence}
    left_out = (
        f"namespaces this caller may not read: {hidden[0]} causes, {hidden[1]} findings and "
        f"{len(answer.evidence) - len(evidence)} pieces of evidence were left out"
    )
    return answer.model_copy(
        update={
            "ranked": [
                cause.model_copy(update={"evidence_ids": [one for one in cause.evidence_ids if one in kept]})
                for cause in ranked
            ],
            "findings": findings,
            "evidence": evidence,
            "no_cause": not ranked,
            "no_cause_reason": answer.no_cause_reason
            if answer.no_cause
            else (None if ranked else NoCause.insufficient),
            "not_looked_at": [*answer.not_looked_at, left_out],
        }
    )


def may_read_all_of(principal: Principal, reads: Iterable[str]) -> bool:
    """Whether a reader may read whatever an asker may that reads these namespaces (globs); compared as they are written."""
    return EVERY_NAMESPACE in principal.namespaces or set(reads) <= set(principal.namespaces)


def may_see(principal: Principal, *, tenant: str, asker: str, seen: Iterable[str]) -> bool:
    """Whether a reader may see an investigation that has seen these namespaces.

    Everything it has seen, the reader must be allowed to read. One that has seen none (its alert names no
    namespace) is for who asked for it, and for who may read everything.
    """
    if principal.tenant != tenant:
        return False
    namespaces = list(seen)
    if not namespaces:
        return principal.name == asker or EVERY_NAMESPACE in principal.namespaces
    return all(principal.may_read(None if one == CLUSTER else one) for one in namespaces)
