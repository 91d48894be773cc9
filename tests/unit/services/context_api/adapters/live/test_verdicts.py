"""What follows the end of a list or a watch, why, and after which pause."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.adapters.live.errors import Why
from services.context_api.adapters.live.verdicts import (
    Next,
    Pause,
    Pauses,
    Reason,
    Verdict,
    backoff,
    checked,
    list_ended,
    version_of,
    wait_of,
    watch_ended,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")

LONG = timedelta(minutes=6)
PAUSES = Pauses()


def ended(why: Why | None, *, lasted: timedelta = LONG, changes: int = 5, failures: int = 0) -> Verdict:
    return watch_ended(why, lasted=lasted, changes=changes, failures=failures)


@pytest.mark.parametrize("why", list(Why))
def test_every_failure_of_a_watch_a_list_and_a_check_has_a_verdict_with_a_reason(why: Why):
    assert ended(why).reason in Reason
    assert list_ended(why, watchable=True, version=1).reason in Reason
    assert checked(why, ours=1, told=None).reason in Reason


@pytest.mark.parametrize("why", list(Why))
def test_no_failure_is_tried_again_at_once_twice_in_a_row(why: Why):
    assert ended(why, failures=1).pause is not Pause.none
    if why is not Why.large:
        assert list_ended(why, watchable=True, version=1).pause is not Pause.none
    assert checked(why, ours=1, told=None).pause is not Pause.none


def test_a_watch_that_the_server_ends_goes_on_from_where_it_was():
    assert ended(None) == Verdict(Next.watch, Reason.ended, Pause.none)


def test_a_watch_that_ends_at_once_and_brought_nothing_is_a_failure():
    verdict = ended(None, lasted=timedelta(milliseconds=3), changes=0)

    assert (verdict.next, verdict.pause, verdict.failed) == (Next.watch, Pause.backoff, True)


@pytest.mark.parametrize("why", [Why.expired, Why.went_back, Why.error_event, Why.garbled, Why.large])
def test_what_may_have_missed_a_change_is_listed_anew(why: Why):
    assert ended(why).next is Next.list


def test_the_first_410_is_listed_at_once_and_the_next_after_a_pause():
    assert (ended(Why.expired).pause, ended(Why.expired, failures=1).pause) == (Pause.none, Pause.backoff)


@pytest.mark.parametrize("why", [Why.unreachable, Why.broken, Why.slow, Why.silent])
def test_after_a_break_it_is_asked_whether_the_store_is_still_the_same(why: Why):
    assert ended(why).next is Next.check


def test_an_overloaded_server_is_given_the_time_it_asks_for_and_no_list():
    verdict = ended(Why.overloaded)

    assert verdict.next is Next.watch
    assert wait_of(verdict, 0, 0.0, PAUSES, timedelta(seconds=17)) == timedelta(seconds=17)


@pytest.mark.parametrize("why", [Why.forbidden, Why.missing])
def test_what_may_be_listed_and_not_watched_is_listed_again_and_again(why: Why):
    assert (ended(why).next, ended(why).pause) == (Next.list, Pause.poll)


@pytest.mark.parametrize("why", [Why.forbidden, Why.missing])
def test_what_may_not_even_be_listed_is_left_alone_for_long(why: Why):
    verdict = list_ended(why, watchable=True, version=None)

    assert (verdict.next, verdict.pause, verdict.failed) == (Next.list, Pause.long, False)
    assert wait_of(verdict, 0, 0.0, PAUSES, None) > timedelta(minutes=4)


def test_a_whole_list_is_watched_from_its_version():
    assert list_ended(None, watchable=True, version=7).next is Next.watch
    assert list_ended(Why.large, watchable=True, version=7).next is Next.watch, (
        "its beginning is kept current"
    )


@pytest.mark.parametrize(("watchable", "version"), [(False, 7), (True, None)])
def test_without_a_watch_or_a_version_to_begin_from_it_is_polled(watchable: bool, version: int | None):
    assert list_ended(None, watchable=watchable, version=version) == Verdict(
        Next.list, Reason.polled, Pause.poll
    )


@pytest.mark.parametrize(
    ("ours", "told", "then", "reason"),
    [
        (7, 7, Next.watch, Reason.same_store),
        (7, 9, Next.watch, Reason.same_store),
        (7, 6, Next.list, Reason.went_back),
        (None, 6, Next.list, Reason.went_back),
        (7, None, Next.list, Reason.went_back),
    ],
)
def test_a_store_that_is_behind_what_it_told_is_another_one(
    ours: int | None, told: int | None, then: Next, reason: Reason
):
    verdict = checked(None, ours=ours, told=told)

    assert (verdict.next, verdict.reason) == (then, reason)


def test_pauses_grow_to_a_bound_and_are_spread():
    middles = [backoff(n, 0.5, PAUSES) for n in range(12)]

    assert middles[:4] == [timedelta(seconds=s) for s in (0.5, 1, 2, 4)]
    assert middles[-1] == PAUSES.most
    for n in range(12):
        assert backoff(n, 0.0, PAUSES) == middles[n] / 2
        assert backoff(n, 0.999, PAUSES) < middles[n] * 1.5


def test_kinds_that_were_refused_together_do_not_come_back_together():
    verdict = list_ended(Why.forbidden, watchable=True, version=None)
    waits = {wait_of(verdict, 0, n / 70, PAUSES, None) for n in range(70)}

    assert max(waits) - min(waits) > timedelta(seconds=50)


@pytest.mark.parametrize(
    ("text", "version"),
    [("12", 12), ("0", None), ("", None), ("abc", None), ("-3", None), ("1" * 21, None), ("²", None), (12, None), (None, None)],
)  # fmt: skip
def test_only_numbers_are_versions_to_be_compared(text: object, version: int | None):
    assert version_of(text) == version
