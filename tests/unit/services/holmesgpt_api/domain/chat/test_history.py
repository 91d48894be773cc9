"""A model reads what fits: the newest in full, older ones as a line, and how many there were before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.domain.chat.history import MOST_FOLDED, MOST_TURNS, fold
from services.holmesgpt_api.domain.chat.session import Said

pytestmark = pytest.mark.requirement("HAPI-007")


def said(count: int, length: int = 40) -> list[Said]:
    return [Said(f"question {n}?", f"Answer {n}. {'x' * length}") for n in range(1, count + 1)]


def test_a_short_history_is_told_whole_in_its_order():
    told = fold(said(3), room=10_000)

    assert ([one.question for one in told.turns], told.folded, told.left_out) == (
        ["question 1?", "question 2?", "question 3?"],
        (),
        0,
    )


def test_older_ones_become_a_line_of_question_and_first_sentence():
    told = fold(said(MOST_TURNS + 2), room=10_000)

    assert len(told.turns) == MOST_TURNS
    assert told.folded[0].startswith("question 1? → Answer 1.")
    assert len(told.folded) == 2


def test_the_oldest_of_all_are_only_counted():
    told = fold(said(MOST_TURNS + MOST_FOLDED + 5), room=100_000, gone=7)

    assert (len(told.folded), told.left_out) == (MOST_FOLDED, 12)


def test_one_answer_too_long_for_the_room_is_told_as_a_line():
    told = fold(said(1, length=5_000), room=1_000)

    assert (told.turns, len(told.folded)) == ((), 1)


@given(
    st.lists(st.builds(Said, st.text(max_size=300), st.text(max_size=900)), max_size=60),
    st.integers(0, 20_000),
    st.integers(0, 50),
)
def test_it_never_takes_more_room_and_loses_nobody_uncounted(earlier: list[Said], room: int, gone: int):
    told = fold(earlier, room=room, gone=gone)

    size = sum(len(one.question) + len(one.answer) for one in told.turns) + sum(map(len, told.folded))
    assert size <= room
    assert len(told.turns) + len(told.folded) + told.left_out == len(earlier) + gone
