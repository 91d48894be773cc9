"""A cause shown to somebody names nothing of namespaces that person may not read."""

from __future__ import annotations

import pytest

from libs.contracts.causes import Cause, Confidence, FindingSeverity, narrowed
from libs.contracts.target import Target

pytestmark = pytest.mark.requirement("HAPI-178", "HAPI-075")


def cause(*, basis: list[str], path: list[str], explains: list[str]) -> Cause:
    return Cause(
        target=Target(kind="ConfigMap", namespace="shop", name="cfg"),
        reason="ConfigChangedBeforeOnset",
        text="text",
        severity=FindingSeverity.critical,
        confidence=Confidence(value=0.9, basis=basis),
        evidence_ids=[],
        path=path,
        explains=explains,
    )


def shop_only(namespace: str | None) -> bool:
    return namespace == "shop"


def test_whatever_names_an_unreadable_object_is_left_out_and_the_rest_stays():
    told = cause(
        basis=[
            "restart count 8",
            "HTTP GET :8080/readyz failed 3/4 times",
            "seen at Service/shop/cart: fine",
        ],
        path=["ConfigMap/shop/cfg", "Pod/data/orders-db-0", "Node/_cluster/n1"],
        explains=["Pod/shop/cart-1: CrashLoopBackOff", "Pod/data/orders-db-0: CrashLoopBackOff"],
    )

    against = ["NoReadyEndpoints of Service/data/orders-db explains it", "no log was recorded"]
    seen = narrowed(told.model_copy(update={"against": against}), shop_only)

    assert seen.against == ["no log was recorded"]

    assert seen.confidence.basis == [
        "restart count 8",
        "HTTP GET :8080/readyz failed 3/4 times",
        "seen at Service/shop/cart: fine",
    ]
    assert seen.path == ["ConfigMap/shop/cfg"]
    assert seen.explains == ["Pod/shop/cart-1: CrashLoopBackOff"]


def test_who_may_read_everything_reads_everything():
    told = cause(basis=["of Service/data/db"], path=["Node/_cluster/n1"], explains=["Pod/data/db-0: X"])

    assert narrowed(told, lambda _: True) == told
