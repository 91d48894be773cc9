"""Incidents that are kept: for whom, one at a time, and within a size."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from libs.cache import MemoryCache
from libs.contracts.bundle import IncidentRequest
from services.context_api.domain.errors import Busy, IncidentTooLarge, NamesNoObject, NotReadable, TooLate
from services.context_api.steps import freeze as module
from services.context_api.steps.answers import Answers
from services.context_api.steps.bundles import Bundles
from services.context_api.steps.freeze import Freezer, Pack
from tests.unit.services.context_api.steps.test_ask import caller, desk
from tests.unit.services.context_api.steps.test_bundles import API, Archive

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "HAPI-178", "API-BR-CAPI-018")

ABOUT = IncidentRequest.model_validate({"target": API})


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    made = Answers(MemoryCache(max_entries=100, max_bytes=10_000_000), most_waiting=9, observe=lambda _: None)
    yield made
    await made.close()


def freezer(answers: Answers, pack: Pack) -> Freezer:
    at = desk(answers)
    return Freezer(at, Bundles(at, Archive()), pack)


async def test_it_is_called_by_its_time_and_object_and_says_what_it_is_of(answers: Answers):
    seen = []

    def pack(snapshot, name, facts) -> bytes:
        seen.append((len(snapshot.objects), name, dict(facts)))
        return b"archive"

    name, archive = await freezer(answers, pack).freeze(ABOUT, caller("*"), None)

    assert (name, archive) == ("incident-20261118t093000z-deployment-api.tar.gz", b"archive")
    assert seen[0][1:] == (
        "incident-20261118t093000z-deployment-api",
        {"cluster": "local", "incident": "Deployment/shop/api"},
    )


async def test_who_may_not_read_it_may_not_keep_it_and_others_keep_what_they_may_read(answers: Answers):
    namespaces: set[str | None] = set()

    def pack(snapshot, name, facts) -> bytes:
        namespaces.update(o.namespace for o in snapshot.objects)
        return b""

    with pytest.raises(NotReadable):
        await freezer(answers, pack).freeze(ABOUT, caller("bank"), None)
    await freezer(answers, pack).freeze(ABOUT, caller("shop"), None)
    assert namespaces == {"shop"}


async def test_what_names_nothing_and_what_is_too_large_is_refused(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "LARGEST", 3)
    nobody = IncidentRequest.model_validate({"alert": {"labels": {"alertname": "Watchdog"}}})

    with pytest.raises(NamesNoObject):
        await freezer(answers, lambda *_: b"").freeze(nobody, caller("*"), None)
    with pytest.raises(IncidentTooLarge, match="kubernaut record"):
        await freezer(answers, lambda *_: b"1234").freeze(ABOUT, caller("*"), None)


async def test_one_is_packed_at_a_time_a_few_wait_and_more_are_told_to_come_back(answers: Answers):
    go, under_way, most = threading.Event(), [0], [0]

    def pack(*_: object) -> bytes:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        go.wait(20)
        under_way[0] -= 1
        return b"x"

    made = freezer(answers, pack)
    waiting = [asyncio.create_task(made.freeze(ABOUT, caller("*"), None)) for _ in range(module.MOST_PACKING)]
    async with asyncio.timeout(20):
        while not under_way[0]:
            await asyncio.sleep(0.01)
    with pytest.raises(Busy):
        await made.freeze(ABOUT, caller("*"), None)
    go.set()

    assert [a for _, a in await asyncio.gather(*waiting)] == [b"x"] * module.MOST_PACKING
    assert most == [1]


async def test_nobody_waits_longer_than_they_said(answers: Answers):
    go = threading.Event()

    with pytest.raises(TooLate):
        await freezer(answers, lambda *_: b"x" if go.wait(20) else b"").freeze(
            ABOUT, caller("*"), timedelta(milliseconds=300)
        )
    go.set()


async def test_a_long_or_odd_name_becomes_one_that_every_file_system_takes(answers: Answers):
    odd = {**API, "kind": "ClusterRole", "namespace": None, "name": "system:" + "n" * 246}

    name, _ = await freezer(answers, lambda *_: b"").freeze(
        IncidentRequest.model_validate({"target": odd}), caller("*"), None
    )

    assert name == f"incident-20261118t093000z-clusterrole-system-{'n' * 53}.tar.gz"


async def test_a_place_is_free_again_only_when_the_work_has_ended(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MOST_PACKING", 1)
    go = threading.Event()
    made = freezer(answers, lambda *_: b"x" if go.wait(20) else b"")

    with pytest.raises(TooLate):
        await made.freeze(ABOUT, caller("*"), timedelta(milliseconds=300))
    with pytest.raises(Busy):
        await made.freeze(ABOUT, caller("*"), None)
    go.set()
    async with asyncio.timeout(20):
        while True:
            try:
                assert (await made.freeze(ABOUT, caller("*"), None))[1] == b"x"
                break
            except Busy:
                await asyncio.sleep(0.01)
