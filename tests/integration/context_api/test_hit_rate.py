"""How many of a recorded trace's questions are answered by what was kept, with the settings as they come."""

from __future__ import annotations

from collections import Counter

import pytest

from libs.web.pages import hit_ratio
from services.context_api.settings import Settings
from tests.support.replay import replay
from tests.support.trace import A_SECOND, DIFFERENT, SECONDS, TRACE, questions, written

pytestmark = pytest.mark.requirement("API-BR-CAPI-012", "API-BR-PERF-011")


def test_the_trace_is_ten_thousand_questions_few_of_them_often():
    numbers = Counter(number for _, number in questions())

    assert numbers.total() == SECONDS * A_SECOND == 10_000
    assert max(numbers) < DIFFERENT
    assert numbers[0] > 5 * numbers[9]
    assert TRACE.read_text() == written()


async def test_at_least_four_of_five_questions_are_answered_by_what_was_kept():
    outcomes, made = await replay(questions(), Settings())
    everything = sum(outcomes.values(), Counter[str]())

    assert everything.total() == 10_000
    assert hit_ratio(everything) >= 0.80
    # Those that were given stale and made anew behind count as hits, and as work.
    assert made <= 0.3 * 10_000


async def test_without_giving_stale_answers_it_is_less_and_still_most():
    outcomes, _ = await replay(questions(), Settings.model_validate({"keep_stale": 0}))

    assert 0.7 < hit_ratio(sum(outcomes.values(), Counter[str]())) < 1
    assert sum(counted["stale"] for counted in outcomes.values()) == 0
