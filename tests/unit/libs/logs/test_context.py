from __future__ import annotations

import pytest

from libs.logs.context import RequestContext

pytestmark = pytest.mark.requirement("API-BR-SEC-012")


def test_the_trace_id_is_the_second_part_of_the_trace_context():
    assert RequestContext("r", f"00-{'1' * 32}-{'2' * 16}-01").trace_id == "1" * 32
