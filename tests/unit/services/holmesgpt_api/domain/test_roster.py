"""Who is asked first: by rank, by weight among equals, and never first while it is left alone."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from services.holmesgpt_api.domain.roster import (
    ALONE,
    ALONE_UNTIL_MENDED,
    TRYING,
    Entry,
    Roster,
    UnknownModel,
)
from services.holmesgpt_api.engine.messages import ModelAccess, ModelAsked, Word

pytestmark = pytest.mark.requirement("HAPI-160", "HAPI-165")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def access(name: str, key: str = "k") -> ModelAccess:
    return ModelAccess(
        name=name,
        model=f"openai/{name}",
        api_key=key,
        context_tokens=8000,
        output_tokens=1000,
        request_timeout_s=5,
        attempts=1,
    )


def entry(name: str, rank: int = 0, **fields: Any) -> Entry:
    return Entry(access(name), "openai", rank, **fields)


def names(roster: Roster, prefer: str | None = None) -> list[str]:
    return [one.name for one in roster.chain(prefer)]


def failed(name: str, word: Word, times: int = 1, pause: float | None = None) -> list[ModelAsked]:
    return [ModelAsked(step=1, model=name, word=word, pause_s=pause)] * times


def heard(roster: Roster, *all_of: ModelAsked) -> None:
    for one in all_of:
        roster.heard(one)


def test_models_are_asked_by_rank():
    assert names(Roster([entry("b", 1), entry("a", 0), entry("c", 2)])) == ["a", "b", "c"]


def test_equals_share_the_runs_by_their_weights():
    roster = Roster([entry("a", weight=3), entry("b", weight=1), entry("c", 1)], draw=random.Random(7).random)

    first = Counter(names(roster)[0] for _ in range(4000))

    assert set(first) == {"a", "b"}
    assert first["a"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_a_model_that_fails_three_times_in_a_row_goes_to_the_end_and_comes_back_for_one_run():
    clock = Clock()
    roster = Roster([entry("a"), entry("b", 1)], now=clock)

    heard(roster, *failed("a", "model-error", 2))
    assert names(roster) == ["a", "b"]
    heard(roster, *failed("a", "model-error"))
    assert names(roster) == ["b", "a"]

    clock.now += ALONE
    assert names(roster) == ["a", "b"], "one run tries it"
    assert names(roster) == ["b", "a"], "the others wait for what that one hears"
    clock.now += TRYING
    assert names(roster) == ["a", "b"], "it never told"
    heard(roster, ModelAsked(step=1, model="a"))
    assert names(roster) == names(roster) == ["a", "b"]


def test_an_answer_between_failures_keeps_a_model_in_its_place():
    roster = Roster([entry("a"), entry("b", 1)])

    for _ in range(3):
        heard(roster, *failed("a", "model-timeout", 2), ModelAsked(step=1, model="a"))

    assert names(roster) == ["a", "b"]


@pytest.mark.parametrize(
    ("word", "pause", "alone"),
    [
        ("model-unauthorized", None, ALONE_UNTIL_MENDED),
        ("model-misconfigured", None, ALONE_UNTIL_MENDED),
        ("model-rate-limited", 7.0, 7.0),
        ("model-rate-limited", None, ALONE),
    ],
)
def test_what_will_not_be_better_at_the_second_try_is_left_alone_at_once(
    word: Word, pause: float | None, alone: float
):
    clock = Clock()
    roster = Roster([entry("a"), entry("b", 1)], now=clock)

    heard(roster, *failed("a", word, pause=pause))

    clock.now += alone - 0.1
    assert names(roster) == ["b", "a"]
    clock.now += 0.1
    assert names(roster) == ["a", "b"]


def test_a_question_that_is_at_fault_says_nothing_against_the_model():
    roster = Roster([entry("a"), entry("b", 1)])

    heard(roster, *failed("a", "model-context-exceeded", 5), *failed("a", "model-refused", 5))

    assert names(roster) == ["a", "b"]
    assert roster.standings()[0].answered == 10


def test_with_all_left_alone_a_run_still_has_somebody_to_ask():
    roster = Roster([entry("a"), entry("b", 1)])

    heard(roster, *failed("a", "model-unauthorized"), *failed("b", "model-unauthorized"))

    assert names(roster) == ["a", "b"]


@pytest.mark.requirement("HAPI-161")
def test_a_preferred_model_goes_first_and_an_unknown_one_is_refused_by_naming_those_there_are():
    roster = Roster([entry("a"), entry("b", 1)])

    assert names(roster, "b") == ["b", "a"]
    with pytest.raises(UnknownModel, match="no model 'gpt-5'; configured: a, b"):
        roster.chain("gpt-5")


@pytest.mark.requirement("HAPI-162")
def test_models_whose_tools_are_unknown_or_whose_time_is_over_are_to_be_probed():
    clock = Clock()
    roster = Roster([entry("a"), entry("b", 1, tools=True), entry("c", 2, tools=False)], now=clock)

    assert [one.name for one in roster.due()] == ["a"]
    roster.probed("a", tools=False)
    assert roster.due() == []
    assert [(one.name, one.tools) for one in roster.chain()] == [("a", False), ("b", True), ("c", False)]
    heard(roster, *failed("b", "model-unauthorized"))
    assert roster.due() == []
    clock.now += ALONE_UNTIL_MENDED
    assert [one.name for one in roster.due()] == ["b"]


@pytest.mark.requirement("HAPI-024")
def test_what_is_known_of_a_model_outlives_a_reload_unless_it_is_asked_in_another_way():
    roster = Roster([entry("a"), entry("b", 1)])
    heard(roster, *failed("a", "model-unauthorized"), *failed("b", "model-unauthorized"))

    roster.replace([Entry(access("a", key="another"), "openai", 0), entry("b", 1), entry("c", 2)])

    assert names(roster) == ["a", "c", "b"]
    heard(roster, ModelAsked(step=1, model="gone"))
    assert roster.names == ["a", "b", "c"]


def test_a_standing_tells_availability_and_response_time():
    roster = Roster([entry("a")])
    assert roster.standings()[0].state == "unknown"

    heard(roster, ModelAsked(step=1, model="a", seconds=1.0), ModelAsked(step=2, model="a", seconds=2.0))
    heard(roster, *failed("a", "model-error"))
    standing = roster.standings()[0]

    assert (standing.state, standing.requests, standing.answered, standing.seconds) == ("ready", 3, 2, 1.5)
    assert standing.word == "model-error"
