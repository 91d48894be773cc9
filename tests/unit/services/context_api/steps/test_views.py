from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest

from libs.auth.principal import Principal, principal_for
from services.context_api.steps.views import MOST, Views
from tests.support import kube

pytestmark = pytest.mark.requirement("HAPI-178", "API-BR-CAPI-018")

SNAPSHOT = replace(kube.snapshot(kube.pod("a", "shop"), kube.pod("b", "bank")), id="s1")


def caller(*namespaces: str, name: str = "x") -> Principal:
    return principal_for(name, tenant="t", roles=[], namespaces=namespaces, method="token", credential="")


async def seen(namespaces: Sequence[str]) -> list[str]:
    return [str(item) for item in (await Views().of(SNAPSHOT, caller(*namespaces))).snapshot.objects]


@pytest.mark.parametrize(
    ("namespaces", "objects"),
    [
        (["*"], ["Pod/shop/a", "Pod/bank/b"]),
        (["shop"], ["Pod/shop/a"]),
        (["sh*", "x"], ["Pod/shop/a"]),
        ([], []),
    ],
)
async def test_a_caller_sees_the_namespaces_of_the_credential(namespaces: list[str], objects: list[str]):
    assert await seen(namespaces) == objects


async def test_callers_with_the_same_namespaces_share_a_view():
    views = Views()

    mine = await views.of(SNAPSHOT, caller("a", "shop"))
    assert await views.of(SNAPSHOT, caller("shop", "a", "a", name="y")) is mine


async def test_views_of_different_callers_and_snapshots_have_different_keys():
    views = Views()
    later = replace(SNAPSHOT, id="s2")

    keys = [
        (await views.of(s, caller(*n))).key
        for s in (SNAPSHOT, later)
        for n in (["shop"], ["*"], [], ["shop", "bank"])
    ]

    assert len(set(keys)) == 8


async def test_only_so_many_views_are_kept():
    views = Views()
    first = await views.of(SNAPSHOT, caller("shop"))
    for number in range(MOST):
        await views.of(SNAPSHOT, caller(f"n{number}"))

    assert await views.of(SNAPSHOT, caller("shop")) is not first


async def test_those_who_ask_at_once_wait_for_one_view():
    views = Views()

    found = await asyncio.gather(*(views.of(SNAPSHOT, caller("shop")) for _ in range(20)))

    assert all(one is found[0] for one in found)


async def test_a_new_snapshot_lets_the_old_ones_views_go():
    views = Views()
    old = weakref.ref((await views.of(SNAPSHOT, caller("shop"))).graph)
    await views.of(replace(SNAPSHOT, id="s2"), caller("bank"))

    gc.collect()
    assert old() is None


async def test_who_gives_up_does_not_end_it_for_the_others():
    views = Views()
    impatient = asyncio.create_task(views.of(SNAPSHOT, caller("shop")))
    patient = asyncio.create_task(views.of(SNAPSHOT, caller("shop")))
    await asyncio.sleep(0)
    impatient.cancel()

    assert (await patient).snapshot.objects
