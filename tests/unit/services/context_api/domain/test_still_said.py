"""Which complaints of a program that runs well still hold."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.domain.still_said import Over, Timed, left_behind, lives_with, over_in
from tests.support.kube import NOW, crashing, kube, log, moment, pod, running

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

REFUSED = "cannot reach the register"


def said(*minutes: float, words: str = REFUSED) -> list[Timed]:
    return [(moment(m), words) for m in minutes]


def goes_on(*, since: float = 30) -> list[Timed]:
    return [(moment(since - n), f"served a request of {n}") for n in range(int(since))]


def over(lines: list[Timed], *, started: float | None = 600, alert: float = 10) -> bool:
    begun = moment(started) if started is not None else None
    return REFUSED in left_behind(lines, begun, NOW, moment(alert))


def test_what_was_said_long_before_the_alert_and_not_since_is_over():
    assert over(said(300, 299, 298) + goes_on())


@pytest.mark.parametrize(
    "lines",
    [
        said(300, 60) + goes_on(),
        said(40) + goes_on(),
        said(300, 299, 298),
        [*said(300), (None, REFUSED), *goes_on()],
        said(840, 480, 120) + goes_on(),
    ],
    ids=["said again", "within the hour before", "nothing said since", "without a time", "each six hours"],
)
def test_what_goes_on_may_do_so_or_ends_the_log_holds(lines: list[Timed]):
    assert not over(lines)


def test_what_was_said_long_before_an_alert_of_this_morning_holds_if_it_came_with_it():
    assert not over(said(300, 299) + goes_on(), alert=290)


def test_a_rhythm_that_was_missed_twice_is_none():
    assert over(said(600, 540, 480) + goes_on())


def test_what_a_program_said_only_while_it_started_is_over():
    assert over(said(20, 19.8, 19.5) + goes_on(since=18), started=20)


@pytest.mark.parametrize(
    ("lines", "started"),
    [
        (said(20, 15) + goes_on(since=14), 20),
        (said(20, 19), 20),
        (said(5, 4.5) + goes_on(since=4), 5),
        (said(20, 19) + goes_on(since=18), None),
    ],
    ids=["and later", "and nothing since", "it has just started", "nobody knows when it started"],
)
def test_a_complaint_of_the_start_holds_while_nothing_says_that_it_passed(lines: list[Timed], started: float | None):  # fmt: skip
    assert not over(lines, started=started)


def test_what_ended_or_is_not_ready_is_not_judged_by_its_silence():
    lines = said(300) + goes_on()
    well, ill = kube(pod("api-1")), kube(pod("api-1", statuses=[crashing()]))
    text = log(pod("api-1"), "")

    assert over_in(well, text, lines, NOW, moment(10)) == {REFUSED: Over.long_ago}
    assert over_in(ill, text, lines, NOW, moment(10)) == {}
    assert over_in(well, log(pod("api-1"), "", previous=True), lines, NOW, moment(10)) == {}


def test_why_a_complaint_is_over_is_told_apart():
    began = left_behind(said(20, 19.8) + goes_on(since=18), moment(20), NOW, moment(10))
    past = left_behind(said(300) + goes_on(), moment(600), NOW, moment(10))

    assert (began[REFUSED], past[REFUSED]) == (Over.at_start, Over.long_ago)


@pytest.mark.parametrize("hours", [-8, -5, -3, 2], ids=["Los Angeles", "New York", "Montevideo", "Athens"])
def test_a_log_in_a_local_time_that_names_no_zone_has_left_nothing_behind(hours: int):
    later = timedelta(hours=hours)
    now = [*said(9, 8), *((moment(7 - n), f"served a request of {n}") for n in range(7))]

    assert not over([(when + later if when is not None else None, line) for when, line in now])


def test_a_log_that_has_stopped_has_left_nothing_behind():
    assert over(said(300) + [(moment(20 - n), "served") for n in range(6)])
    assert not over(said(300) + [(moment(25 - n), "served") for n in range(6)])


@pytest.mark.parametrize(
    ("first", "lives"),
    [(599, True), (60 * 26, True), (300, False), (40, False), (None, False)],
    ids=["since its start", "for more than a day", "hours before", "shortly before", "nobody knows"],
)
def test_a_ready_program_lives_with_what_it_complained_of_since_its_start_or_for_days(first: float | None, lives: bool):  # fmt: skip
    well, ill = kube(pod("api-1")), kube(pod("api-1", statuses=[crashing()]))
    begun = moment(first) if first is not None else None

    assert lives_with(well, "app", begun, moment(10)) is lives
    assert not lives_with(ill, "app", begun, moment(10))
    assert not lives_with(well, "app", begun, None)


def test_what_a_container_that_is_new_complained_of_at_its_start_may_be_why_an_alert_came():
    fresh = kube(pod("api-1", statuses=[running(minutes=20)]))

    assert not lives_with(fresh, "app", moment(20), moment(10))
    assert not lives_with(kube(pod("api-1")), "proxy", moment(599), moment(10))
