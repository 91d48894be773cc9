"""Meters of the API's own doings: what callers stop and what they say of results. Fulfils `ports.Tally`."""

from __future__ import annotations

from libs.contracts.feedback import FeedbackRequest
from libs.metrics import Metrics

_SAID = ("yes", "no", "unsaid")


class CourseMeters:
    def __init__(self, metrics: Metrics) -> None:
        self._cancelled = metrics.counter(
            "holmesgpt_api_investigations_cancelled_total", "Investigations that a caller has stopped.", {}
        )

        self._feedback = metrics.counter(
            "holmesgpt_api_feedback_total",
            "Feedback given on results, given again included.",
            {"helpful": _SAID, "correct_cause": _SAID},
        )

    def feedback(self, given: FeedbackRequest) -> None:
        self._feedback.inc(helpful=_word(given.helpful), correct_cause=_word(given.correct_cause))

    def cancelled(self) -> None:
        self._cancelled.inc()


def _word(said: bool | None) -> str:
    return "unsaid" if said is None else "yes" if said else "no"
