"""One request as the document has it, and what its answer is worth."""

from __future__ import annotations

from typing import Any

import pytest

from services.holmesgpt_api.adapters.toolset_http import Request, request
from services.holmesgpt_api.domain.custom.document import HttpTool
from services.holmesgpt_api.domain.custom.errors import Unfit
from tests.support.toolsets import ANY, OWNER, RESTART, of

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079")


def tool(raw: dict[str, Any], **fields: Any) -> HttpTool:
    return HttpTool.model_validate({**raw, **fields})


def test_a_request_is_the_documents_with_the_arguments_in_their_places():
    asked = {"thing": "a b?", "q": "x&y=1", "hours": 3}

    assert request(tool(OWNER), {"host": "web-1"}) == Request("GET", "/hosts/web-1/owner", None)
    assert request(tool(ANY), asked).target == "/things/a%20b%3F?q=x%26y%3D1&at=now-3h"
    assert request(tool(ANY), {"thing": "a"}).target == "/things/a"
    assert request(tool(RESTART), {"service": "web", "reason": '"}, {"x": "'}) == Request(
        "POST", "/services/web/restart", b'{"reason": "\\"}, {\\"x\\": \\"", "by": "kubernaut"}'
    )


def test_arguments_too_long_for_a_request_are_refused():
    long = tool(ANY, parameters=of(thing={"type": "string", "maxLength": 4_000}), query={})

    with pytest.raises(Unfit, match="too long"):
        request(long, {"thing": "ü" * 3_000})
