"""What a model has seen is told while it goes on: to whom it may be, and never more than that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from libs.contracts.evidence import EvidenceItem
from libs.contracts.investigations import InvestigationStatus
from services.holmesgpt_api.domain.answer import investigation
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.so_far import SoFar, for_reader, is_for, with_what_was_seen
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import EVIDENCE_AT_MOST, ModelUse, ToolUse
from tests.support.investigations import CHECKOUT, NOW, caller, claimed, evidence, found, record

pytestmark = pytest.mark.requirement("HAPI-003", "HAPI-075")

TRIAGE = conclude(found(), CHECKOUT, claimed(), "model-still-running")
USE = ModelUse(
    model="openai/m", sdk="1", prompt="p", steps=3, requests=2, prompt_tokens=900, completion_tokens=70
)


def asked(**fields: Any) -> Record:
    values = {"status": InvestigationStatus.running, "interim": TRIAGE, "reads": ("shop", "data")}
    return record(**(values | fields))


def shown(*seen: EvidenceItem, one: Record | None = None) -> list[str]:
    told = with_what_was_seen(one or asked(), SoFar(seen, USE))
    assert told.interim is not None
    return [item.id for item in told.interim.results.evidence]


def test_those_are_told_who_may_read_whatever_the_run_may():
    assert is_for(asked(), caller("ana", namespaces=("data", "shop")))
    assert is_for(asked(), caller("ben", namespaces=("shop", "data", "web")))
    assert is_for(asked(), caller("ben", namespaces=("*",)))
    assert not is_for(asked(), caller("ana", namespaces=("shop",)))
    assert not is_for(asked(reads=("*",)), caller("ben", namespaces=("shop", "data")))


@pytest.mark.parametrize(
    "fields", [{"interim": None}, {"queue_position": 2}, {"ended_at": NOW, "verdict": TRIAGE}]
)
def test_only_a_run_at_the_model_has_something_to_tell(fields: dict[str, Any]):
    assert not is_for(asked(**fields), caller())


def test_what_tools_were_asked_about_is_for_who_may_read_it():
    asked_for = ToolUse(
        tool="get_causes", arguments={"target": "Secret/data/db"}, ok=False, detail="data/db is away"
    )
    use = USE.model_copy(update={"tools": [asked_for]})
    one = asked(ended_at=NOW, verdict=TRIAGE.model_copy(update={"model": use}))

    assert for_reader(one, caller("ben", namespaces=("data", "shop"))) == one
    narrow = for_reader(one, caller("ben", namespaces=("shop",)))
    assert "data/db" not in investigation(narrow).model_dump_json()
    assert [each["tool"] for each in investigation(narrow).metadata["model"]["tools"]] == ["get_causes"]


def test_what_was_seen_follows_triages_evidence_and_comes_once():
    triage = [one.id for one in TRIAGE.results.evidence]

    assert shown(evidence("e1"), evidence("ev-7"), evidence("ev-8", None)) == [*triage, "ev-7", "ev-8"]


def test_no_more_is_told_than_a_verdict_tells_and_the_latest_first_of_all():
    many = [evidence(f"ev-{number}") for number in range(2 * EVIDENCE_AT_MOST)]
    full = TRIAGE.results.model_copy(
        update={"evidence": [evidence(f"e{n}") for n in range(EVIDENCE_AT_MOST)]}
    )
    of_much = asked(interim=TRIAGE.model_copy(update={"results": full}))

    assert len(shown(*many)) == EVIDENCE_AT_MOST
    assert shown(*many)[-1] == many[-1].id
    assert shown(*many[:3], one=of_much)[-4:] == [f"e{EVIDENCE_AT_MOST - 4}", "ev-0", "ev-1", "ev-2"]
    assert shown(*many, one=of_much)[EVIDENCE_AT_MOST // 2 :] == [
        one.id for one in many[-EVIDENCE_AT_MOST // 2 :]
    ]


def test_the_answer_says_that_it_goes_on_and_what_was_used_until_now():
    body = investigation(with_what_was_seen(asked(), SoFar([evidence("ev-7")], USE)))

    assert (body.status, body.engine, body.degraded_reason) == ("running", "triage", "model-still-running")
    assert body.root_cause == TRIAGE.root_cause
    assert body.metadata["tokens_used"] == 970
    assert body.metadata["model"]["steps"] == 3
    assert body.results is not None
    assert body.results.evidence[-1].id == "ev-7"


def test_without_triages_result_there_is_nothing_to_add_to():
    bare = replace(asked(), interim=None)

    assert with_what_was_seen(bare, SoFar([], USE)) == bare
