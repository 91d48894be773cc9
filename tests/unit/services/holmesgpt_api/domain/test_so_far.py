"""What a model has seen is told while it goes on: to whom it may be, and never more than that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from libs.contracts.investigations import InvestigationStatus
from libs.contracts.target import Target
from services.holmesgpt_api.domain.answer import investigation
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.so_far import SoFar, is_for, with_what_was_seen
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import EVIDENCE_AT_MOST, ModelUse
from tests.support.investigations import CHECKOUT, NOW, caller, claimed, evidence, found, record

pytestmark = pytest.mark.requirement("HAPI-003", "HAPI-075")

TRIAGE = conclude(found(), CHECKOUT, claimed(), "model-still-running")
USE = ModelUse(
    model="openai/m", sdk="1", prompt="p", steps=3, requests=2, prompt_tokens=900, completion_tokens=70
)
NODE = Target(kind="Node", name="worker-3")


def asked(**fields: Any) -> Record:
    return record(**({"status": InvestigationStatus.running, "interim": TRIAGE} | fields))


def shown(so_far: SoFar, who: str = "ana", *, namespaces: tuple[str, ...] = ("*",)) -> list[str]:
    told = with_what_was_seen(asked(), so_far, caller(who, namespaces=namespaces))
    assert told.interim is not None
    return [one.id for one in told.interim.results.evidence]


def test_who_asked_and_who_reads_everything_are_told():
    mine = asked(asker="ana")

    assert is_for(mine, caller("ana", namespaces=("shop",)))
    assert is_for(mine, caller("ben", namespaces=("*",)))
    assert not is_for(mine, caller("ben", namespaces=("shop",)))


@pytest.mark.parametrize(
    "fields", [{"interim": None}, {"queue_position": 2}, {"ended_at": NOW, "verdict": TRIAGE}]
)
def test_only_a_run_at_the_model_has_something_to_tell(fields: dict[str, Any]):
    assert not is_for(asked(**fields), caller())


def test_what_was_seen_follows_triages_evidence_and_comes_once():
    triage = [one.id for one in TRIAGE.results.evidence]

    assert shown(SoFar([evidence("e1"), evidence("ev-7"), evidence("ev-8", None)], USE)) == [
        *triage,
        "ev-7",
        "ev-8",
    ]


def test_what_the_caller_may_not_read_is_left_out():
    seen = SoFar([evidence("ev-7"), evidence("ev-8", CHECKOUT), evidence("ev-9", NODE)], USE)

    assert "ev-8" in shown(seen, namespaces=("shop",))
    assert not {"ev-7", "ev-9"} & set(shown(seen, namespaces=("shop",)))


def test_no_more_is_told_than_a_verdict_tells():
    many = SoFar([evidence(f"ev-{number}") for number in range(2 * EVIDENCE_AT_MOST)], USE)

    assert len(shown(many)) == EVIDENCE_AT_MOST


def test_the_answer_says_that_it_goes_on_and_what_was_used_until_now():
    body = investigation(with_what_was_seen(asked(), SoFar([evidence("ev-7")], USE), caller()))

    assert (body.status, body.engine, body.degraded_reason) == ("running", "triage", "model-still-running")
    assert body.root_cause == TRIAGE.root_cause
    assert body.metadata["tokens_used"] == 970
    assert body.metadata["model"]["steps"] == 3
    assert body.results is not None
    assert body.results.evidence[-1].id == "ev-7"


def test_without_triages_result_there_is_nothing_to_add_to():
    bare = replace(asked(), interim=None)

    assert with_what_was_seen(bare, SoFar([], USE), caller()) == bare
