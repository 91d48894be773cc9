"""Which texts may travel in an argument, and how a tool is called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.domain.custom.words import (
    JOINT,
    NAME,
    TOOL,
    called,
    fault_in,
    fault_in_segment,
    leads_elsewhere,
    plain,
)

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079")


@pytest.mark.parametrize("text", ["web-1", "Straße 5", "a\tb\nc", "数据库", "100 %", ""])
def test_text_that_people_write_travels(text: str):
    assert fault_in(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "a\r\nX: y",
        "a\0",
        "a\x1b[2J",
        "a\u202eb",
        "a\u200bb",
        "a\ufeff",
        "a\U000e0041",
        "\ud800",
        "\ue000",
        "a\u2028b",
    ],
)
def test_what_is_not_seen_or_steers_a_terminal_does_not(text: str):
    assert "U+" in fault_in(text)


def test_lines_travel_only_where_there_may_be_some():
    assert fault_in("a\nb", lines=False)


@pytest.mark.parametrize(
    "text", ["a/b", "a\\b", "a\uff0fb", "\uff0e\uff0e", "%2e%2e", "%2F", "a\u2044b", "ａ", "a\nb"]
)
def test_a_segment_holds_nothing_that_somebody_may_take_for_more(text: str):
    assert fault_in_segment(text)


@pytest.mark.parametrize("segment", ["", ".", "..", "...", "..;a=b", ".;"])
def test_a_segment_of_dots_is_none(segment: str):
    assert leads_elsewhere(segment)


@given(st.text())
def test_a_foreign_text_becomes_one_short_line_that_travels(text: str):
    made = plain(text, 60)

    assert len(made) <= 60
    assert fault_in(made, lines=False) == ""


@given(st.from_regex(NAME, fullmatch=True), st.from_regex(TOOL, fullmatch=True))
def test_a_tools_name_is_taken_by_every_model_and_tells_its_toolset(toolset: str, tool: str):
    name = called(toolset.strip(), tool.strip())

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)
    assert name.partition(JOINT)[::2] == (toolset.strip(), tool.strip())
