"""What callers stop and say is counted under labels that cannot grow."""

from __future__ import annotations

import pytest

from libs.contracts.feedback import FeedbackRequest
from libs.metrics import Metrics
from services.holmesgpt_api.adapters.course_meters import CourseMeters

pytestmark = pytest.mark.requirement("HAPI-172", "HAPI-174")


def test_cancellings_and_feedback_are_counted():
    metrics = Metrics("holmesgpt-api")
    meters = CourseMeters(metrics)

    meters.cancelled()
    meters.feedback(FeedbackRequest(helpful=True, correct_cause=False, comment="x"))
    meters.feedback(FeedbackRequest(comment="y"))

    told = metrics.exposition().decode()
    assert "holmesgpt_api_investigations_cancelled_total 1.0" in told
    assert 'holmesgpt_api_feedback_total{correct_cause="no",helpful="yes"} 1.0' in told
    assert 'holmesgpt_api_feedback_total{correct_cause="unsaid",helpful="unsaid"} 1.0' in told
