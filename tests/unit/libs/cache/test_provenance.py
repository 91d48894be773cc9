"""What an answer is made of is told by those who read it, whatever lies between them and who keeps it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from libs.cache import made_of
from libs.cache.provenance import noted

pytestmark = pytest.mark.requirement("API-BR-CAPI-012")


def test_the_oldest_part_decides_the_age_and_one_gap_is_enough():
    with noted() as told:
        made_of(age=timedelta(seconds=5), fixed=True)
        made_of(age=timedelta(seconds=9), fixed=True, gaps=True)
        made_of(age=timedelta(seconds=1), fixed=True, partial=True)

    assert (told.age, told.fixed, told.gaps, told.partial) == (timedelta(seconds=9), True, True, True)


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_an_answer_can_change_when_one_part_of_it_can(order: tuple[bool, bool]):
    with noted() as told:
        for fixed in order:
            made_of(fixed=fixed)

    assert told.fixed is False


def test_where_nobody_listens_nothing_happens():
    made_of(age=timedelta(seconds=1), partial=True)

    with noted() as told:
        pass
    assert (told.age, told.fixed, told.partial) == (timedelta(0), None, False)


async def test_two_answers_under_way_do_not_hear_of_each_other():
    async def one(seconds: int) -> timedelta:
        with noted() as told:
            await asyncio.sleep(0)
            made_of(age=timedelta(seconds=seconds))
            await asyncio.sleep(0)
            return told.age

    assert await asyncio.gather(one(1), one(2)) == [timedelta(seconds=1), timedelta(seconds=2)]
