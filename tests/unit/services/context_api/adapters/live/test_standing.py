"""How current each list is, and what of that is said."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from services.context_api.adapters.live.discovery import Resource
from services.context_api.adapters.live.feed import Feed, Phase, World
from services.context_api.adapters.live.standing import Standing, standing_of
from services.context_api.adapters.live.store import Budget
from services.context_api.domain.snapshot import NotRead

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "HAPI-BR-HEALTH-020")

NOW = 1_000.0


class Shared:
    budget = Budget(1_000_000, 1_000)


def feed(plural: str = "pods", phase: Phase = Phase.watching, **state: Any) -> Feed:
    made = Feed(Resource("", plural, "v1", "Pod", True), None, cast(World, Shared()), tried=asyncio.Event())
    made.phase = phase
    made.heard = NOW - 1
    for name, value in state.items():
        setattr(made, name, value)
    return made


def standing(*feeds: Feed) -> Standing:
    return standing_of(
        feeds,
        NOW,
        stale_limit=timedelta(minutes=5),
        poll=timedelta(minutes=1),
        say=lambda moment: f"{moment - NOW:+g} s",
    )


def test_lists_that_are_watched_are_used_and_nothing_is_said():
    seen = standing(feed(), feed("nodes"))

    assert (len(seen.usable), seen.gaps, seen.behind) == (2, [], 0)


def test_a_watch_that_is_being_renewed_is_no_news():
    assert standing(feed(phase=Phase.behind, as_of=NOW - 4)).gaps == []


def test_a_broken_watch_is_used_and_its_time_said():
    seen = standing(feed(phase=Phase.behind, as_of=NOW - 60, trouble="connection refused"), feed("nodes"))

    assert seen.gaps == [NotRead("pods as they are now", "connection refused; this is as of -60 s")]
    assert (len(seen.usable), seen.behind) == (2, 1)


def test_one_that_is_broken_for_too_long_is_named_as_not_read():
    seen = standing(feed(phase=Phase.behind, as_of=NOW - 301, trouble="connection refused"), feed("nodes"))

    assert [one.what for one in seen.usable] == ["nodes"]
    assert seen.gaps == [
        NotRead("pods", "connection refused; what is there is as of -301 s, and too old to be used")
    ]


def test_what_may_not_be_read_is_named_in_the_servers_words():
    seen = standing(feed("secrets", Phase.refused, trouble='not allowed (HTTP 403: User "x" cannot list)'))

    assert seen.gaps == [NotRead("secrets", 'not allowed (HTTP 403: User "x" cannot list)')]
    assert seen.usable == []


@pytest.mark.parametrize(
    ("trouble", "words"), [("", "being read for the first time"), ("no route", "no route")]
)
def test_what_has_not_come_yet_is_named(trouble: str, words: str):
    assert standing(feed(phase=Phase.begins, trouble=trouble)).gaps == [NotRead("pods", words)]


@pytest.mark.parametrize(("age", "said"), [(100, False), (130, True)])
def test_a_list_that_is_polled_may_be_two_polls_old(age: float, said: bool):
    assert bool(standing(feed(phase=Phase.polled, as_of=NOW - age)).gaps) is said


def test_what_is_left_out_for_want_of_room_is_named_with_the_setting():
    full = feed()
    full.table.cut = True

    (gap,) = standing(full).gaps

    assert (gap.what, "EVIDENCE_CACHE_BYTES" in gap.why) == ("some of pods", True)


def test_the_list_that_was_silent_for_longest_is_known():
    seen = standing(feed(heard=NOW - 3), feed("leases", heard=NOW - 43), feed("nodes", Phase.refused))

    assert (seen.quietest_what, seen.quietest) == ("leases", 43)
