"""When a measured value reaches a limit, and when nobody can say."""

from __future__ import annotations

import pytest

from services.context_api.domain.trend import (
    bent,
    forecast,
    increase,
    is_held,
    line,
    past_spell,
    stepped,
    was_reached,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def points(*values: float, step: float = 300.0):
    return [(step * i, float(v)) for i, v in enumerate(values)]


def test_a_steady_rise_reaches_the_limit_by_its_own_line():
    found = forecast(points(10, 20, 30, 40, 50), 100)

    assert found is not None
    assert found.slope == pytest.approx(10 / 300)
    assert found.left == pytest.approx(1500)
    assert found.at == pytest.approx(1200 + 1500)
    assert found.fit == pytest.approx(1.0)


def test_noise_around_a_rise_is_borne():
    found = forecast(points(10, 22, 29, 41, 48, 62, 69, 81), 100)

    assert found is not None
    assert 500 < found.left < 620


@pytest.mark.parametrize(
    "values",
    [
        (10, 10, 10, 10, 10),
        (50, 40, 30, 20, 10),
        (10, 90, 10, 90, 10, 90),
        (10, 20, 30),
        (10, 40, 60, 70, 70, 70, 70, 70, 70),
        (10, 20, 30, 40, 10, 20, 30, 40, 50),
    ],
    ids=["flat", "falling", "to and fro", "too few", "levelled off", "reset long before the limit"],
)
def test_what_does_not_rise_steadily_has_no_forecast(values):
    assert forecast(points(*values), 100) is None


def test_a_reset_at_the_limit_starts_the_forecast_anew():
    found = forecast(points(70, 80, 95, 10, 20, 30, 40, 50), 100)

    assert found is not None
    assert found.samples == 5


def test_minutes_are_no_trend():
    assert forecast(points(10, 20, 30, 40, 50, step=30), 100) is None


def test_what_is_over_the_limit_is_there_now():
    found = forecast(points(60, 70, 80, 90, 105), 100)

    assert found is not None
    assert found.left == 0


def test_a_line_through_points_that_do_not_move_is_flat():
    assert line(points(5, 5, 5)) == (0.0, 0.0)
    assert line([(0.0, 1.0), (0.0, 2.0)]) == (0.0, 0.0)


def test_values_no_program_measures_have_no_forecast_and_raise_nothing():
    assert line(points(1e200, 2e200, 3e200, 4e200, 5e200)) == (0.0, 0.0)
    assert forecast(points(1e200, 2e200, 3e200, 4e200, 5e200), 1e300) is None
    assert forecast([], 100) is None


def test_a_counter_that_began_anew_counts_from_zero():
    assert increase(points(10, 15, 2, 4)) == 9
    assert increase(points(10)) == 0


def test_a_step_is_told_with_both_levels_and_when_it_was():
    found = stepped(points(*[2] * 10, 2.2, 8, *[9] * 10), 2)

    assert found is not None
    assert (found.before, found.after, found.since) == (2, 9, 11 * 300)


@pytest.mark.parametrize(
    "values",
    [
        [2] * 20,
        [2] * 10 + [9] * 6 + [2] * 6,
        [9] * 20,
        [2] * 10 + [3] * 10,
        [9, 2] * 10,
        [2] * 4 + [9] * 4,
        [0] * 20,
    ],
    ids=["level", "back again", "high all the time", "a little", "swings", "too few samples", "nothing"],
)
def test_what_stays_or_comes_back_is_no_step(values):
    assert stepped(points(*values), 2) is None


def test_a_spell_is_told_from_its_first_sample_to_the_first_after_it():
    found = past_spell(points(*[0] * 5, 3, 4, *[0] * 8), 2)

    assert found is not None
    assert (found.began, found.ended, found.most) == (5 * 300, 7 * 300, 4)


@pytest.mark.parametrize(
    "values",
    [[0] * 15, [0] * 5 + [3] * 10, [3] * 5 + [0] * 10, [0] * 10 + [3] * 2 + [0] * 3],
    ids=["never", "goes on", "began before the record", "just now"],
)
def test_what_goes_on_or_was_not_seen_to_begin_is_no_past_spell(values):
    assert past_spell(points(*values), 2) is None


def test_a_bend_is_where_a_level_ends_and_a_rise_begins():
    values = [3, 3.1, 3, 2.9, 3, 3.1, 3, *(3 + n for n in range(1, 9))]

    assert bent(points(*values)) == pytest.approx(6 * 300)


@pytest.mark.parametrize(
    "values",
    [
        range(20),
        [3, 3.1, 2.9] * 7,
        [*[3, 3.1, 2.9] * 3, *range(3, 10), 3, 3, 3, 3],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0],
        [1, 9, 1, 9, 1, 9, 1, 9, 5, 6, 7, 8, 9],
        [1, 2],
    ],
    ids=["always rose", "level", "fell again", "falls", "within its noise", "too few"],
)
def test_what_did_not_leave_a_level_for_good_has_no_bend(values):
    assert bent(points(*values)) is None


def test_a_rise_that_began_within_the_record_is_foretold_from_where_it_began():
    found = forecast(points(*[30] * 20, *[30 + 2 * n for n in range(20)]), 100)

    assert found is not None
    assert found.samples == 20
    assert found.left == pytest.approx(32 / 2 * 300)


@pytest.mark.parametrize(
    "values",
    [
        [10, 30, 50, 70, 60, 50, 40, 30, 20, 10, 30, 50, 70],
        [50, 52, 48, 51, 49, 50, 51, 48, 50, 49, 50, 51, 52],
    ],
    ids=["the ups and downs of a day", "a level that breathes"],
)
def test_a_later_rise_to_where_it_was_before_has_no_forecast(values):
    assert forecast(points(*values), 100) is None


HOURLY = 3600.0


@pytest.mark.parametrize(
    ("values", "held", "reached"),
    [
        ([10] * 40, True, True),
        ([10, *[4] * 38, 10], False, True),
        ([4] * 30 + [10] * 10, False, False),
        ([10] * 10, False, False),
    ],
    ids=["all along", "a day ago, and down between", "since a few hours", "a short record"],
)
def test_a_level_is_known_by_how_long_it_has_been_there(values, held: bool, reached: bool):
    whole = points(*values, step=HOURLY)

    assert is_held(whole, whole[-1][0]) is held
    assert was_reached(whole, whole[-1][0]) is reached
