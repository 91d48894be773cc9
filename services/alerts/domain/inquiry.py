"""Decide whether an incident is investigated, how long that is waited for, and what its end means.

A repeat of a firing alert never starts an investigation; nor does a new alert of an incident that is
already explained or being looked into.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from libs.contracts.alerts import Decision
from libs.contracts.investigations import Investigation, InvestigationStatus


class Phase(StrEnum):
    """How far an open incident has come; closed is a time beside it, not a phase."""

    open = "open"
    investigating = "investigating"
    explained = "explained"
    unexplained = "unexplained"


@dataclass(frozen=True, slots=True)
class InquiryPolicy:
    again_after: timedelta
    """How old a fruitless investigation must be before a new alert starts another."""
    attempts: int
    """Investigations of one incident, at most."""
    give_up: timedelta
    """How long an investigation may take in all, waiting for an unreachable service included."""


def attempt_for(
    phase: Phase, attempts: int, ended_at: datetime | None, now: datetime, policy: InquiryPolicy
) -> tuple[int | None, Decision]:
    """The number of the investigation to start now for a new alert of the incident; None for none."""
    if attempts == 0:
        return 1, _decision("requested", "new-incident")
    if phase is Phase.explained:
        return None, _decision("not-requested", "already-explained")
    if phase is not Phase.unexplained:
        return None, _decision("not-requested", "already-under-way")
    if attempts >= policy.attempts:
        return None, _decision("not-requested", "often-enough", f"{attempts} found no cause")
    if ended_at is not None and now - ended_at < policy.again_after:
        return None, _decision("not-requested", "no-cause-found-recently", f"ended {ended_at.isoformat()}")
    return attempts + 1, _decision("requested", "new-alert-after-no-cause", f"attempt {attempts + 1}")


def attempt_after_rekeying(
    phase: Phase, attempts: int, policy: InquiryPolicy
) -> tuple[int | None, Decision | None]:
    """Another investigation once it is known what an incident is about, if the one before found nothing."""
    if phase is not Phase.unexplained or attempts >= policy.attempts:
        return None, None
    return attempts + 1, _decision("requested", "target-known-now", f"attempt {attempts + 1}")


def _decision(outcome: str, reason: str, detail: str = "") -> Decision:
    return Decision(subject="investigation", outcome=outcome, reason=reason, detail=detail)


def pause(tries: int, waits: Sequence[float]) -> timedelta:
    """The wait before the next try; the last one repeats.

    Args:
        tries: how many there have been, 1 or more.
        waits: seconds.
    """
    return timedelta(seconds=waits[min(tries, len(waits)) - 1])


# Triage ends within a second, a model within minutes.
LOOK_WAITS = (0.5, 0.5, 1, 1, 2, 3, 5, 10, 15)
# A service that restarts is back in seconds; one that is down for an hour need not be asked every second.
PEER_WAITS = (1, 2, 5, 10, 20, 30, 60)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the end of an investigation means for its incident."""

    phase: Phase
    reason: str
    detail: str
    no_cause_reason: str | None


def conclude(investigation: Investigation) -> Conclusion | None:
    """None while it runs. A cause counts only when the investigation completed: nothing is made up."""
    match investigation.status:
        case InvestigationStatus.failed:
            why = investigation.error or "the investigation failed"
            return Conclusion(Phase.unexplained, "investigation-failed", why, "investigation-failed")
        case InvestigationStatus.cancelled:
            why = investigation.error or "the investigation was cancelled"
            return Conclusion(Phase.unexplained, "investigation-cancelled", why, "investigation-cancelled")
        case InvestigationStatus.completed:
            results = investigation.results
            if results is not None and results.cause is not None:
                cause = results.cause
                detail = f"{cause.target}: {cause.reason} (confidence {cause.confidence.value:.2f})"
                return Conclusion(Phase.explained, "cause-found", detail, None)
            if results is None and investigation.root_cause:
                # An engine that names a cause in words alone: told as such, without a target.
                return Conclusion(Phase.explained, "cause-found", investigation.root_cause[:500], None)
            why = (results.no_cause_reason if results else None) or "insufficient-evidence"
            return Conclusion(Phase.unexplained, "no-cause-found", why, why)
        case _:
            return None


def gave_up(reason: str, detail: str) -> Conclusion:
    """The investigation was not to be had."""
    return Conclusion(Phase.unexplained, reason, detail, reason)
