"""In what two verdicts on the same evidence differ. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from libs.contracts.replay import Changed, Exchanged, VerdictDifference
from libs.contracts.target import Target
from services.holmesgpt_api.domain.verdict import Verdict


def difference(before: Verdict, after: Verdict) -> VerdictDifference:
    """What changes from one to the other. The engine's name alone makes no difference of substance."""
    one, other = before.results.cause, after.results.cause
    cause = _changed(one.reason if one else None, other.reason if other else None)
    target = _changed(one.target if one else None, other.target if other else None)
    confidence = _changed(one.confidence.value if one else None, other.confidence.value if other else None)
    recommendations = _exchanged(
        [it.title for it in before.recommendations], [it.title for it in after.recommendations]
    )
    claims = _exchanged(_claims(before), _claims(after))
    differs = any((cause, target, confidence, *recommendations, *claims))
    return VerdictDifference(
        same=not differs,
        engine=_changed(before.engine, after.engine),
        cause=cause,
        target=target,
        confidence=confidence,
        recommendations=Exchanged(added=recommendations[0], removed=recommendations[1]),
        claims=Exchanged(added=claims[0], removed=claims[1]),
    )


def _claims(verdict: Verdict) -> list[str]:
    return [f"{claim.status}: {claim.text}" for claim in verdict.results.claims]


def _changed(before: str | float | Target | None, after: str | float | Target | None) -> Changed | None:
    return None if before == after else Changed(before=before, after=after)


def _exchanged(before: Sequence[str], after: Sequence[str]) -> tuple[list[str], list[str]]:
    """Added and removed, each in its own order."""
    return [one for one in after if one not in before], [one for one in before if one not in after]
