from __future__ import annotations

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


def seen(namespaces: Sequence[str], views: Views | None = None) -> list[str]:
    return [str(item) for item in (views or Views()).of(SNAPSHOT, caller(*namespaces)).snapshot.objects]


@pytest.mark.parametrize(
    ("namespaces", "objects"),
    [
        (["*"], ["Pod/shop/a", "Pod/bank/b"]),
        (["shop"], ["Pod/shop/a"]),
        (["sh*", "x"], ["Pod/shop/a"]),
        ([], []),
    ],
)
def test_a_caller_sees_the_namespaces_of_the_credential(namespaces: list[str], objects: list[str]):
    assert seen(namespaces) == objects


def test_callers_with_the_same_namespaces_share_a_view():
    views = Views()

    assert views.of(SNAPSHOT, caller("a", "shop")) is views.of(SNAPSHOT, caller("shop", "a", "a", name="y"))


def test_views_of_different_callers_and_snapshots_have_different_keys():
    views = Views()
    later = replace(SNAPSHOT, id="s2")

    keys = [
        views.of(s, caller(*n)).key
        for s in (SNAPSHOT, later)
        for n in (["shop"], ["*"], [], ["shop", "bank"])
    ]

    assert len(set(keys)) == 8


def test_only_so_many_views_are_kept():
    views = Views()
    first = views.of(SNAPSHOT, caller("shop"))
    for number in range(MOST):
        views.of(SNAPSHOT, caller(f"n{number}"))

    assert views.of(SNAPSHOT, caller("shop")) is not first
