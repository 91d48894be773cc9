"""A model's verdict is given again for the same question on the same evidence, and for nothing else."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from services.holmesgpt_api.domain.commission import question
from services.holmesgpt_api.domain.keeping import evidence_key
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import Verdict
from tests.support.investigations import CHECKOUT, DATABASE, NOW, cause, claimed, evidence, found, request

pytestmark = pytest.mark.requirement("HAPI-141", "HAPI-144")

FACTS = [
    evidence("e1").model_copy(update={"content_hash": "1" * 64}),
    evidence("e2", DATABASE).model_copy(update={"content_hash": "2" * 64}),
]


def interim(target: Any = CHECKOUT, facts: Any = FACTS) -> Verdict:
    found_ = found(cause(evidence_ids=["e1", "e2"]), evidence=facts, findings=[], target=target)
    return conclude(found_, target, claimed(), "x")


def key(
    run: Claimed | None = None, verdict: Verdict | None = None, model: str = "m 1", place: str = ""
) -> bytes:
    return evidence_key(run or claimed(), verdict or interim(), asked_of=model, place=place)


def test_when_and_in_what_order_it_was_observed_does_not_count():
    later = [
        fact.model_copy(update={"observed_at": NOW, "freshness_s": 3.0, "id": fact.id}) for fact in FACTS
    ]
    again = claimed(id="inv-2", fence=7, asker="ben", age=timedelta(seconds=9), reads=("*", "shop"))

    assert key(verdict=interim(facts=later[::-1])) == key()
    assert key(again) == key()


def test_in_what_detail_it_is_told_does_not_count():
    brief = request(target=CHECKOUT.model_dump(), include_context=False, include_metrics=True)

    assert key(claimed(request=brief)) == key()


@pytest.mark.parametrize(
    "other",
    [
        key(claimed(tenant="acme")),
        key(claimed(reads=("shop",))),
        key(claimed(request=request(target=CHECKOUT.model_dump(), annotations={"a": "b"}))),
        key(claimed(request=request(target=CHECKOUT.model_dump(), context={"ticket": "OPS-1"}))),
        key(claimed(request=request(target=CHECKOUT.model_dump(), include_history=True))),
        key(verdict=interim(DATABASE)),
        key(verdict=interim(facts=FACTS[:1])),
        key(verdict=interim(facts=[FACTS[0], FACTS[1].model_copy(update={"content_hash": "3" * 64})])),
        key(model="m 2"),
        pytest.param(key(place="eu"), marks=pytest.mark.requirement("HAPI-179")),
    ],
)
def test_whatever_else_differs_is_asked_anew(other: bytes):
    assert other != key()


@pytest.mark.requirement("HAPI-179")
def test_without_clusters_what_was_kept_before_there_were_any_is_found():
    target, hashes = CHECKOUT.model_dump(mode="json"), [fact.content_hash for fact in FACTS]
    told = ["default", ["*"], question(claimed().request).hex(), target, hashes, "m 1"]

    assert key() == hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()
