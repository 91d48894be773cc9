"""What a foreign system answers: failures that look like successes, the part that is shown, and evidence of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.evidence import EvidenceKind, content_hash
from services.holmesgpt_api.domain.custom.reading import (
    NotThere,
    fact,
    failure,
    is_text,
    parsed,
    selected,
    told,
)

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-158")

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"stderr": "connection refused", "count": 0}},
        {"stderr": "denied"},
        {"error": "no such host"},
        {"return_code": 1},
        {"data": {"return_code": "127"}},
        {"success": False, "message": "not found"},
        {"ok": False},
        {"status": "error", "detail": "boom"},
        {"status": "FAILED"},
        {"errors": [{"message": "Cannot query field"}], "data": None},
        {"errors": {"host": "is invalid"}},
    ],
)
def test_a_failure_that_looks_like_a_success_is_seen(answer: dict[str, Any]):
    assert failure(answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"stderr": "", "stdout": "ok"}},
        {"error": None},
        {"error": ""},
        {"return_code": 0},
        {"success": True},
        {"status": "ok"},
        {"status": 200},
        {"errors": []},
        {"errors": 3},
        ["error"],
        "error",
        None,
    ],
)
def test_a_success_is_none(answer: Any):
    assert failure(answer) == ""


@pytest.mark.parametrize(
    ("pointer", "part"),
    [(None, {"a/b": [{"~": 1}]}), ("", {"a/b": [{"~": 1}]}), ("/a~1b", [{"~": 1}]), ("/a~1b/0/~0", 1)],
)
def test_a_pointer_selects_what_is_shown(pointer: str | None, part: Any):
    assert selected({"a/b": [{"~": 1}]}, pointer) == part


@pytest.mark.parametrize("pointer", ["/b", "/a~1b/1", "/a~1b/-", "/a~1b/0/x", "/a~1b/00000001", "/a~1b/²"])
def test_what_is_not_there_is_said(pointer: str):
    with pytest.raises(NotThere):
        selected({"a/b": [{"~": 1}]}, pointer)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", "application/json"),
        (b"{", "application/json"),
        (b'{"a": NaN}', "application/json"),
        (b"\xff\xfe", "text/plain"),
        (b"[" * 100_000, "application/json"),
        (b"9" * 10_000, "application/problem+json"),
    ],
)
def test_what_is_not_what_it_says_is_refused(body: bytes, kind: str):
    with pytest.raises(ValueError):
        parsed(body, kind)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("application/json; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/plain", True),
        ("text/html", False),
        ("application/octet-stream", False),
        ("image/svg+xml", False),
        ("application/gzip", False),
        ("", False),
    ],
)
def test_json_and_text_are_read_and_nothing_else(kind: str, text: bool):
    assert is_text(kind) is text


def test_a_fact_says_where_it_is_from_and_counts_like_a_log():
    made = fact("cmdb", "1.2.0", "owner", {"host": "web-1"}, {"team": "blue"}, room=4_000, at=NOW)

    assert (made.source, made.kind, made.target) == ("custom:cmdb", EvidenceKind.log, None)
    assert made.content_hash == content_hash(made.body)
    assert made.body["result"] == {"team": "blue"}
    assert json.loads(told(made).replace("\\u003c", "<"))["evidence"][0]["id"] == made.id
    assert (
        made.id == fact("cmdb", "1.2.0", "owner", {"host": "web-1"}, {"team": "blue"}, room=9_000, at=NOW).id
    )


@given(st.text(max_size=3_000) | st.lists(st.text(max_size=200), max_size=30), st.integers(800, 3_000))
def test_a_model_reads_no_more_than_there_is_room_for_and_nothing_closes_its_place(result: Any, room: int):
    text = told(fact("cmdb", "1.2.0", "any", {}, result, room=room, at=NOW))

    assert len(text) <= room + 400
    assert not set(text) & set("<>")
