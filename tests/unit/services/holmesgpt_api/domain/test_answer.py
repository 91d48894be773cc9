"""One body for every caller, and none of its states reads like a success that is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.causes import NoCause
from libs.contracts.evidence import EvidenceKind
from libs.contracts.investigations import InvestigationStatus
from services.holmesgpt_api.domain.answer import investigation, line
from services.holmesgpt_api.domain.custom.approval import Approval, State
from services.holmesgpt_api.domain.record import Failure, Record, Replay
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import ModelUse, ToolUse
from tests.support.investigations import (
    CHECKOUT,
    NOW,
    cause,
    claimed,
    evidence,
    found,
    nothing,
    record,
    request,
)

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-045")

END = NOW + timedelta(seconds=1.5)


def completed(**fields: object) -> Record:
    verdict = conclude(found(), CHECKOUT, claimed(), "no-model-configured")
    values = {"status": InvestigationStatus.completed, "progress": 100, "verdict": verdict, "ended_at": END}
    return record(**(values | fields))


def failed() -> Record:
    failure = Failure("context-unavailable", "No result within 300 s. Last trouble: timeout.")
    return record(status=InvestigationStatus.failed, failure=failure, ended_at=END, progress=30)


def running() -> Record:
    return record(status=InvestigationStatus.running, progress=30, stage="looking for causes", runs=2)


def test_the_go_application_finds_what_it_reads():
    body = investigation(completed()).model_dump(mode="json")

    assert "orders-db-config" in body["investigation"]["summary"]
    assert [one["name"] for one in body["strategies"]] == [
        "Put the old value back (ConfigMap/data/orders-db-config)"
    ]
    assert body["patterns"] == []
    assert body["context"]["source"] == "context-api"


def test_the_python_servers_and_the_seeds_keys_are_all_there():
    body = investigation(completed(request=request(request_id="inv-1731921850"))).model_dump(mode="json")

    assert body["alert_name"] == "KubePodCrashLooping"
    assert (body["namespace"], body["status"], body["duration_seconds"]) == ("shop", "completed", 1.5)
    assert body["root_cause"].startswith("ConfigMap/data/orders-db-config")
    assert set(body["recommendations"][0]) >= {
        "title",
        "description",
        "action_type",
        "priority",
        "confidence",
        "confidence_basis",
    }
    assert body["strategies"][0]["confidence_basis"] == body["recommendations"][0]["confidence_basis"]
    assert body["recommendations"][0]["confidence_basis"][1:] == body["confidence_basis"]
    assert body["context_used"] == body["context"]
    assert body["metadata"] == {
        "duration": 1.5,
        "toolsets_used": ["context-api"],
        "llm_provider": None,
        "tokens_used": 0,
        "request_id": "inv-1731921850",
        "stage": "",
        "runs": 0,
        "queue_position": None,
        "degraded_detail": None,
        "triage_agrees": None,
        "disagreement": None,
        "model": None,
    }


@pytest.mark.requirement("HAPI-011")
def test_what_the_result_rests_on_is_told_in_the_detail_that_was_asked_for():
    metric = evidence("m1").model_copy(update={"kind": EvidenceKind.metric})
    measured = found(cause(evidence_ids=["m1", "e1"]), evidence=[metric, evidence("e1")], findings=[])
    verdict = conclude(measured, CHECKOUT, claimed(), "no-model-configured")

    def told(**asked: bool) -> dict[str, Any]:
        body = investigation(completed(verdict=verdict, request=request(**asked)))
        assert body.context == body.context_used
        return body.context_used

    assert told() == verdict.context_used
    assert told(include_metrics=True) == {**verdict.context_used, "metrics": ["m1"]}
    assert told(include_context=False, include_metrics=True) == {}


def test_the_engine_and_its_reason_stand_in_the_answer_once_there_is_one():
    assert (investigation(completed()).engine, investigation(completed()).degraded_reason) == (
        "triage",
        "no-model-configured",
    )


@pytest.mark.requirement("HAPI-130")
@pytest.mark.parametrize(
    ("one", "status", "detail"),
    [(record(), "started", "not begun yet"), (running(), "running", "looking for causes")],
)
def test_while_triage_is_not_done_the_answer_names_that(one: Record, status: str, detail: str):
    body = investigation(one)

    assert (body.status, body.engine, body.degraded_reason) == (status, None, "triage-not-done")
    assert body.metadata["degraded_detail"] == detail
    assert detail in body.investigation["summary"]


@pytest.mark.parametrize(
    "one", [failed(), replace(running(), replay=Replay("inv-0", "triage"))], ids=["failed", "replay"]
)
def test_triage_is_not_said_to_be_awaited_where_it_is_not(one: Record):
    assert investigation(one).degraded_reason is None
    assert investigation(one).metadata["degraded_detail"] is None


@pytest.mark.parametrize("one", [record(), running(), failed()], ids=["started", "running", "failed"])
def test_what_has_no_verdict_claims_nothing(one: Record):
    body = investigation(one)

    assert (body.results, body.root_cause, body.recommendations, body.strategies) == (None, None, [], [])
    assert body.summary.startswith("No result")
    assert body.investigation["summary"] == body.summary


def test_what_runs_says_how_far_it_is_and_where_to_ask_again():
    body = investigation(running())

    assert (body.status, body.progress) == (InvestigationStatus.running, 30)
    assert "looking for causes" in body.summary
    assert body.summary.endswith("/api/v1/investigate/inv-1")


def test_what_failed_says_why():
    body = investigation(failed())

    assert (body.error_code, body.status) == ("context-unavailable", InvestigationStatus.failed)
    assert "timeout" in (body.error or "")
    assert body.progress == 30


def test_no_cause_is_completed_and_names_none():
    verdict = conclude(nothing(NoCause.recovered), CHECKOUT, claimed(), "no-model-configured")

    body = investigation(completed(verdict=verdict))

    assert body.status is InvestigationStatus.completed
    assert body.results is not None
    assert (body.results.cause, body.results.no_cause_reason) == (None, "already-recovered")


def test_a_namespace_that_only_the_target_tells_is_told():
    assert investigation(completed(namespace=None)).namespace == "shop"


def test_a_line_of_a_list_is_the_same_in_short():
    short = line(completed())

    assert (short.investigation_id, short.engine, short.timestamp) == ("inv-1", "triage", NOW)
    assert short.summary == investigation(completed()).summary


@pytest.mark.requirement("HAPI-130")
def test_while_a_model_is_asked_triages_result_is_told_and_what_it_is():
    verdict = conclude(found(), CHECKOUT, claimed(), "model-still-running")
    held = record(status=InvestigationStatus.running, interim=verdict, queue_position=3, progress=40)

    body = investigation(held)

    assert (body.status, body.engine, body.degraded_reason) == ("running", "triage", "model-still-running")
    assert body.results == verdict.results
    assert body.summary.startswith(verdict.summary)
    assert f"/api/v1/investigate/{held.id}" in body.summary
    assert body.metadata["queue_position"] == 3
    assert line(held).engine == "triage"


@pytest.mark.requirement("HAPI-163")
def test_a_models_name_tokens_and_disagreement_are_told():
    use = ModelUse(
        model="openai/m", sdk="0.45.0", prompt="1", prompt_tokens=7, completion_tokens=3, cost_usd=0.5
    )
    verdict = conclude(found(), CHECKOUT, claimed(), "x").model_copy(
        update={"engine": "holmesgpt", "degraded_reason": None, "model": use, "disagreement": "Not so."}
    )

    told = investigation(record(status=InvestigationStatus.completed, verdict=verdict)).metadata

    assert (told["llm_provider"], told["tokens_used"], told["disagreement"]) == ("openai", 10, "Not so.")
    assert (told["model"]["model"], told["model"]["cost_usd"]) == ("openai/m", 0.5)


@pytest.mark.requirement("HAPI-012", "HAPI-005")
def test_changes_that_wait_for_a_person_are_shown_and_all_of_them_are_told_of():
    waits = Approval("apr-1", "cmdb", "1.2.0", "restart", {"service": "web"}, "why", State.pending, NOW, END)
    perhaps = replace(waits, id="apr-2", state=State.unknown, decided_by="ann")

    body = investigation(replace(running(), approvals=[waits, perhaps])).model_dump(mode="json")

    assert [(one["id"], one["arguments"]) for one in body["pending_approvals"]] == [
        ("apr-1", {"service": "web"})
    ]
    assert [one["state"] for one in body["metadata"]["approvals"]] == ["pending", "unknown"]
    assert "approvals" not in investigation(running()).metadata


@pytest.mark.requirement("HAPI-012")
def test_foreign_systems_that_were_asked_are_named_with_their_toolsets_version():
    asked = [
        ToolUse(tool="cmdb__owner", arguments={}, ok=True, toolset="cmdb@1.2.0"),
        ToolUse(tool="cmdb__any", arguments={}, ok=False, toolset="cmdb@1.2.0"),
        ToolUse(tool="get_logs", arguments={}, ok=True),
    ]
    use = ModelUse(model="openai/m", sdk="1", prompt="1", tools=asked)
    verdict = completed().verdict
    assert verdict is not None

    body = investigation(completed(verdict=verdict.model_copy(update={"model": use})))

    assert body.metadata["toolsets_used"] == ["context-api", "cmdb@1.2.0"]
