"""What is agreed to is one change and no other; what was decided is told and never asked again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.holmesgpt_api.domain.custom.approval import (
    Approval,
    DecidedAlready,
    State,
    TooLate,
    Wanted,
    approval,
    idempotency_key,
    said,
    standing,
)

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079")

NOW = datetime(2026, 11, 27, tzinfo=UTC)
WANTED = Wanted(
    "cmdb", "1.2.0", "d1", "restart", {"service": "web", "reason": "x"}, "POST /services/web/restart"
)
ONE = Approval("apr-1", "cmdb", "1.2.0", "restart", {}, "why", State.pending, NOW, NOW, decided_by="ann")


@pytest.mark.parametrize(
    "fields",
    [
        {"arguments": {"service": "web2", "reason": "x"}},
        {"arguments": {"service": "web"}},
        {"tool": "stop"},
        {"toolset": "cmdb2"},
        {"digest": "d2"},
    ],
)
def test_another_change_is_another_approval_and_has_another_key(fields: dict[str, Any]):
    other = replace(WANTED, **fields)

    assert other.key != WANTED.key
    assert idempotency_key("inv-1", other) != idempotency_key("inv-1", WANTED)


def test_the_same_change_is_the_same_however_it_is_written():
    same = replace(WANTED, arguments={"reason": "x", "service": "web"}, why="another", version="1.2.0")

    assert same.key == WANTED.key
    assert idempotency_key("inv-1", same) == idempotency_key("inv-1", WANTED)
    assert idempotency_key("inv-2", same) != idempotency_key("inv-1", WANTED)


YES = (State.approved, State.executing, State.done, State.failed, State.unknown, State.lapsed)


@pytest.mark.parametrize("state", YES)
def test_the_same_decision_again_changes_nothing_and_another_one_is_refused(state: State):
    standing(replace(ONE, state=state), approved=True)
    with pytest.raises(DecidedAlready, match="approved by ann"):
        standing(replace(ONE, state=state), approved=False)


def test_what_was_denied_stays_denied():
    standing(replace(ONE, state=State.denied), approved=False)
    with pytest.raises(DecidedAlready, match="denied by ann"):
        standing(replace(ONE, state=State.denied), approved=True)


@pytest.mark.parametrize("approved", [True, False])
def test_what_nobody_decided_in_time_cannot_be_decided_any_more(approved: bool):
    with pytest.raises(TooLate):
        standing(replace(ONE, state=State.expired), approved=approved)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.denied, "denied this: not now"),
        (State.expired, "not approved in time"),
        (State.lapsed, "nothing was done"),
        (State.unknown, "may have happened"),
        (State.executing, "may have happened"),
        (State.failed, "failed: no"),
        (State.done, "done, once: no"),
    ],
)
def test_the_model_is_told_how_it_ended_and_never_to_try_again(state: State, words: str):
    told = said(replace(ONE, state=state, comment="not now", outcome="no"))

    assert words in told
    assert "try again" not in told


def test_it_is_read_from_rows_and_from_json():
    row = {
        "id": "apr-1",
        "toolset": "cmdb",
        "version": "1.2.0",
        "tool": "restart",
        "arguments": {},
        "why": "why",
        "state": "denied",
        "asked_at": NOW,
        "expires_at": "2026-11-27T00:00:00+00:00",
        "decided_by": "ann",
        "decided_at": None,
        "comment": None,
        "outcome": None,
    }

    assert approval(row) == replace(ONE, state=State.denied)
