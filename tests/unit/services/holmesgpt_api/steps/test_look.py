"""A look asks for what was seen so far only where it may be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.errors import UnknownInvestigation
from services.holmesgpt_api.domain.so_far import SoFar
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import ModelUse
from services.holmesgpt_api.steps.look import Looking
from services.holmesgpt_api.steps.take import Desk
from services.holmesgpt_api.steps.wait import Waiting
from tests.fakes.ledger import MemoryLedger
from tests.support.investigations import CHECKOUT, caller, claimed, evidence, found, request

pytestmark = pytest.mark.requirement("HAPI-003", "HAPI-075")

TRIAGE = conclude(found(), CHECKOUT, claimed(), "model-still-running")
SEEN = SoFar([evidence("ev-7")], ModelUse(model="m", sdk="1", prompt="p", steps=2))


@dataclass
class Told:
    """Of every run the same; `asked` is the log."""

    seen: SoFar | None = SEEN
    away: bool = False
    hangs: bool = False
    asked: list[str] = field(default_factory=list)

    async def so_far(self, investigation_id: str) -> SoFar | None:
        self.asked.append(investigation_id)
        if self.away:
            raise StorageUnavailable("unreachable", "away", retry_after=timedelta(seconds=1))
        if self.hangs:
            await asyncio.Event().wait()
        return self.seen


@asynccontextmanager
async def at_the_model(told: Told, *, begun: bool = True) -> AsyncIterator[tuple[Looking, str]]:
    ledger = MemoryLedger()
    opened = await ledger.open(commission(request(target=CHECKOUT.model_dump()), caller(), None))
    run = await ledger.claim(opened.record.id)
    assert run is not None
    assert await ledger.hold(run, TRIAGE, ["shop"])
    if begun:
        assert await ledger.take_next(1, named=run.id)
    async with Waiting(ledger) as waiting:
        yield Looking(Desk(ledger, waiting, timedelta(seconds=1)), told), run.id


async def ids(looking: Looking, id_: str, **who: object) -> list[str]:
    record = await looking.look(id_, caller(**who))  # type: ignore[arg-type]
    assert record.interim is not None
    return [one.id for one in record.interim.results.evidence]


async def test_what_the_model_has_seen_is_shown_while_it_is_asked():
    async with at_the_model(Told()) as (looking, id_):
        assert (await ids(looking, id_))[-1] == "ev-7"


async def test_another_one_who_may_see_it_is_shown_triages_result_alone():
    told = Told()
    async with at_the_model(told) as (looking, id_):
        assert "ev-7" not in await ids(looking, id_, name="ben", namespaces=("shop",))
    assert told.asked == []


async def test_one_that_waits_for_its_turn_is_not_asked_about():
    told = Told()
    async with at_the_model(told, begun=False) as (looking, id_):
        await ids(looking, id_)
    assert told.asked == []


async def test_a_run_without_a_stored_step_shows_triages_result():
    async with at_the_model(Told(None)) as (looking, id_):
        assert await ids(looking, id_) == [one.id for one in TRIAGE.results.evidence]


async def test_where_what_was_seen_cannot_be_read_triages_result_is_shown_all_the_same():
    async with at_the_model(Told(away=True)) as (looking, id_):
        assert await ids(looking, id_) == [one.id for one in TRIAGE.results.evidence]


async def test_where_it_does_not_come_in_time_triages_result_is_shown_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("services.holmesgpt_api.steps.look.WITHIN", 0.01)
    caplog.set_level("INFO")
    async with at_the_model(Told(hangs=True)) as (looking, id_):
        assert await ids(looking, id_) == [one.id for one in TRIAGE.results.evidence]

    assert "not in time" in caplog.text


async def test_one_that_is_not_the_callers_to_see_is_unknown():
    told = Told()
    async with at_the_model(told) as (looking, id_):
        with pytest.raises(UnknownInvestigation):
            await looking.look(id_, caller("ben", tenant="other"))
    assert told.asked == []
