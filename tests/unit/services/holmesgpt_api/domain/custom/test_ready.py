"""What of a toolset can be offered now, and as what a model is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.holmesgpt_api.domain.custom.pin import Offer, Pin
from services.holmesgpt_api.domain.custom.ready import AFTER_APPROVAL, by_name, ready
from tests.support.toolsets import http, listed, mcp

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079")

OFFER = Offer(
    "lookup", "Finds a runbook", {"type": "object", "properties": {"q": {"type": "string"}}}, None, None
)
PIN = Pin("runbooks", "1.0.0", "lookup", OFFER.hash, OFFER)


def test_tools_over_http_are_ready_at_once_and_say_where_they_are_from():
    tools = by_name(ready(listed(http("https://cmdb.example.com")), {}))

    assert list(tools) == ["cmdb__owner", "cmdb__any", "cmdb__restart"]
    assert tools["cmdb__owner"].told == "[cmdb: Register of hosts and services] Who runs a host"
    assert tools["cmdb__restart"].told.endswith(AFTER_APPROVAL)
    assert tools["cmdb__owner"].release == "cmdb@1.2.0"


def test_a_servers_tools_are_ready_once_looked_at_and_only_those_that_are_listed():
    bound = listed(mcp("https://runbooks.example.com"))

    assert ready(bound, {}) == []
    assert list(by_name(ready(bound, {"lookup": PIN, "other": PIN}))) == ["runbooks__lookup"]
    assert ready(bound, {"lookup": replace(PIN, fault="has changed")}) == []
    assert ready(bound, {"lookup": replace(PIN, offer=None)}) == []


def test_what_is_agreed_to_is_bound_to_what_the_server_says_of_it():
    (one,) = ready(listed(mcp("https://runbooks.example.com")), {"lookup": PIN})
    (other,) = ready(
        listed(mcp("https://runbooks.example.com")),
        {"lookup": replace(PIN, offer=replace(OFFER, description="x"))},
    )

    assert one.wanted({"q": "x"}, "why").key != other.wanted({"q": "x"}, "why").key
