"""Questions are counted by how they were asked and who answered."""

from __future__ import annotations

import pytest

from libs.contracts.chat import ChatAnswer
from libs.metrics import Metrics
from services.holmesgpt_api.adapters.chat_meters import ChatMeters
from tests.support.investigations import NOW

pytestmark = pytest.mark.requirement("HAPI-018", "HAPI-172")


def test_an_answer_is_counted_with_its_time():
    metrics = Metrics("holmesgpt-api")
    meters = ChatMeters(metrics)
    said = {"engine": "triage", "response_time": 1.5}

    meters.answered("rest", ChatAnswer(response="a", session_id="s", timestamp=NOW, metadata=said))
    meters.sockets(3)

    text = metrics.exposition().decode()
    assert 'holmesgpt_api_chat_messages_total{engine="triage",session_type="rest"} 1.0' in text
    assert 'holmesgpt_api_chat_response_time_seconds_sum{session_type="rest"} 1.5' in text
    assert "holmesgpt_api_chat_sockets 3.0" in text
