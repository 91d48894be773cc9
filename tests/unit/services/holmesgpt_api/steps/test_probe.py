"""Probes go on until the end, one after the other, and only for models that need one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.holmesgpt_api.domain.roster import Entry, Roster
from services.holmesgpt_api.engine.messages import ModelAccess
from services.holmesgpt_api.steps.probe import Probing

pytestmark = pytest.mark.requirement("HAPI-162", "HAPI-165")


def entry(name: str, tools: bool | None) -> Entry:
    access = ModelAccess(
        name=name,
        model=f"openai/{name}",
        api_key="k",
        context_tokens=8000,
        output_tokens=1000,
        request_timeout_s=5,
        attempts=1,
    )
    return Entry(access, "openai", 0, tools=tools)


async def test_each_model_of_unknown_tools_is_probed_until_they_are_known():
    roster = Roster([entry("a", None), entry("b", True), entry("c", None)])
    stop, asked = asyncio.Event(), list[str]()

    async def probe(model: ModelAccess) -> None:
        asked.append(model.name)
        if asked.count(model.name) == 2:
            roster.probed(model.name, tools=True)
        if not roster.due():
            stop.set()

    await asyncio.wait_for(Probing(roster, probe, every=timedelta(milliseconds=1)).run(stop), 5)

    assert asked == ["a", "c", "a", "c"]


async def test_nothing_is_probed_while_it_is_switched_off():
    roster, stop = Roster([entry("a", None)]), asyncio.Event()
    turns = 0

    def wanted() -> bool:
        nonlocal turns
        turns += 1
        if turns == 3:
            stop.set()
        return False

    async def probe(model: ModelAccess) -> None:
        raise AssertionError(model.name)

    await asyncio.wait_for(
        Probing(roster, probe, every=timedelta(milliseconds=1), wanted=wanted).run(stop), 5
    )
    assert turns == 3
