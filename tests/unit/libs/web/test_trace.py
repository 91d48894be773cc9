"""Request ids and trace contexts: continued when well-formed, replaced when not."""

from __future__ import annotations

import re

import pytest

from libs.web.trace import context_of

pytestmark = pytest.mark.requirement("API-BR-SEC-012", "HAPI-064")

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()


def test_a_callers_trace_is_continued_with_a_span_of_our_own():
    context = context_of(None, PARENT)

    version, trace, span, flags = context.traceparent.split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != SPAN
    assert context.trace_id == TRACE


@pytest.mark.parametrize(
    "parent",
    [
        None,
        b"",
        f"00-{TRACE}-{SPAN}".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE}-{SPAN}-01\n".encode(),
        b"00-" + b"\xff" * 32 + b"-x-01",
    ],
)
def test_without_a_valid_one_a_trace_begins_here(parent):
    context = context_of(None, parent)

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", context.traceparent)
    assert TRACE not in context.traceparent


def test_a_safe_request_id_is_kept():
    assert context_of(b"order-7.b:2_x", None).request_id == "order-7.b:2_x"


@pytest.mark.parametrize("given", [b"", b"a b", b"a\r\nb", b"\xc3\xa4", b"a" * 129, b"<script>", b"a\n"])
def test_an_unsafe_request_id_is_replaced(given):
    assert re.fullmatch(r"[0-9a-f]{32}", context_of(given, None).request_id)


def test_two_requests_have_different_ids():
    assert len({context_of(None, None).request_id for _ in range(1_000)}) == 1_000
