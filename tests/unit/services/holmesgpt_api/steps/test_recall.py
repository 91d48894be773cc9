"""Recalling: bounded, within the window, and only what the caller may see."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.analysis import PatternRequest
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.history import Match, Past
from services.holmesgpt_api.steps.recall import LOOKED_AT, Recall
from tests.support.investigations import NOW, caller, record

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-075")

KEPT = timedelta(days=30)
LONG = timedelta(seconds=25)
HOUR_NS = 3600 * 10**9


@dataclass
class ListedHistory:
    past: list[Past]
    away: bool = False
    hangs: bool = False
    calls: list[tuple[Match, str, timedelta]] = field(default_factory=list)

    async def like(
        self, match: Match, word: str, *, tenant: str, within: timedelta, at_most: int
    ) -> Sequence[Past]:
        if self.away:
            raise StorageUnavailable("unreachable", "away", retry_after=timedelta(seconds=1))
        self.calls.append((match, word, within))
        if self.hangs:
            await asyncio.Event().wait()
        key = {"alert": "alert_name", "cause": "cause_reason", "target": "target_kind"}[match]
        return [one for one in self.past if getattr(one, key) == word][:at_most]


def past(id_: str, **fields: Any) -> Past:
    values: dict[str, Any] = {
        "asker": "ana",
        "seen": ("shop",),
        "alert_name": "KubePodCrashLooping",
        "cause_reason": "Oom",
        "cause_target": "Pod/shop/p",
        "target_kind": "Pod",
        "recommended": "More memory",
        "status": "completed",
        "created_at": NOW,
        "ended_at": NOW,
    }
    return Past(id=id_, **(values | fields))


def asked(**fields: Any) -> PatternRequest:
    return PatternRequest.model_validate({"alert_context": {"name": "KubePodCrashLooping"}, **fields})


async def test_the_same_alert_is_looked_for_by_default_and_for_words_that_nobody_knows():
    history = ListedHistory([past("1"), past("2", alert_name="B")])
    for kind in ("", "memory_leak"):
        answer = await Recall(history, KEPT, LONG).patterns(asked(pattern_type=kind), caller())

        assert [one.alert_name for one in answer.patterns] == ["KubePodCrashLooping"]
    assert {match for match, _, _ in history.calls} == {"alert"}


@pytest.mark.parametrize(("kind", "word"), [("cause", "Oom"), ("target", "Pod")])
async def test_kin_are_looked_for_by_what_is_usual_for_this_alert(kind: str, word: str):
    history = ListedHistory([past("1"), past("2", alert_name="B")])
    answer = await Recall(history, KEPT, LONG).patterns(asked(pattern_type=kind), caller())

    assert [(match, said) for match, said, _ in history.calls][1] == (kind, word)
    assert {one.alert_name for one in answer.patterns} == {"KubePodCrashLooping", "B"}
    assert answer.looked_at == 2


@pytest.mark.parametrize(
    ("window", "looked_back"),
    [(0, KEPT), (HOUR_NS, timedelta(hours=1)), (2**63 - 1, KEPT)],
)
async def test_nothing_is_looked_for_beyond_what_is_kept(window: int, looked_back: timedelta):
    history = ListedHistory([])
    answer = await Recall(history, KEPT, LONG).patterns(asked(time_window=window), caller())

    assert history.calls[0][2] == looked_back
    assert answer.time_window == looked_back // timedelta(microseconds=1) * 1000


async def test_what_the_caller_may_not_see_counts_for_nothing():
    hidden = past("2", seen=("data",), cause_reason="Secret", cause_target="Pod/data/x")
    answer = await Recall(ListedHistory([past("1"), hidden]), KEPT, LONG).patterns(
        asked(), caller(namespaces=["shop"])
    )

    assert answer.looked_at == 1
    assert [one.cause_reason for one in answer.patterns] == ["Oom"]


async def test_older_ones_left_out_are_told():
    many = [past(str(number)) for number in range(LOOKED_AT + 1)]
    answer = await Recall(ListedHistory(many), KEPT, LONG).patterns(asked(), caller())

    assert (answer.looked_at, answer.more) == (LOOKED_AT, True)


async def test_beside_a_result_stands_what_was_seen_before_it_and_not_itself():
    history = ListedHistory([past("inv-1"), past("inv-0")])
    beside = await Recall(history, KEPT, LONG).beside(record(id="inv-1"), caller())

    assert [one["investigation_ids"] for one in beside] == [["inv-0"]]


async def test_a_result_is_told_without_its_past_when_the_database_is_away():
    assert await Recall(ListedHistory([], away=True), KEPT, LONG).beside(record(), caller()) == []


@pytest.mark.requirement("HAPI-130")
async def test_a_result_is_told_without_its_past_when_that_cannot_be_found_in_time():
    history = ListedHistory([], hangs=True)
    async with asyncio.timeout(5):
        beside = await Recall(history, KEPT, LONG).beside(record(), caller(), within=timedelta(seconds=0.02))

    assert (beside, len(history.calls)) == ([], 1)


@pytest.mark.requirement("HAPI-130")
async def test_patterns_that_cannot_be_found_in_time_are_told_as_that():
    recall = Recall(ListedHistory([], hangs=True), KEPT, LONG)
    with pytest.raises(StorageUnavailable, match="timeout"):
        async with asyncio.timeout(5):
            await recall.patterns(asked(), caller(), timedelta(seconds=0.6))
