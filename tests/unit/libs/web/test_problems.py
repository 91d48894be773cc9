"""Problem documents: bounded, printable, and silent about values."""

from __future__ import annotations

import json

import pytest

from libs.contracts.problem import FieldError
from libs.web.problems import MAX_ERRORS, explain, path, render
from tests.support.web_client import calling

pytestmark = pytest.mark.requirement("API-BR-API-004", "HAPI-043", "HAPI-103", "INT-BR-WH-012")


def test_a_problem_has_the_members_of_rfc_9457_and_ours():
    document = json.loads(
        render(404, "not-found", detail="there is nothing", instance="/a", request_id="r-1")
    )

    assert document == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "not-found",
        "detail": "there is nothing",
        "instance": "/a",
        "request_id": "r-1",
        "errors": [],
    }


def test_a_problem_about_unwritable_text_can_be_written():
    fault = FieldError.model_construct(field="a\ud800", reason="b\udfff")

    assert json.loads(render(400, "x", detail="\ud800", instance="/\udc80", errors=[fault]))["status"] == 400


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (("body", "alerts", 0, "labels"), "body.alerts.0.labels"),
        (("query", "limit"), "query.limit"),
        (("body", "a\x1b[2J"), "body.a�[2J"),
        (("body", "x" * 10_000), "body." + "x" * 295),
    ],
)
def test_a_place_in_the_input_is_shown_printable_and_bounded(location, shown):
    assert path(location) == shown


def test_what_is_missing_and_what_is_too_much_is_said_with_the_remedy():
    assert explain({"type": "missing", "msg": "Field required"}) == "required, and missing"
    assert "remove it" in explain({"type": "extra_forbidden", "msg": "Extra inputs are not permitted"})


async def test_the_refused_value_is_not_repeated():
    async with calling() as service:
        answer = await service.http.post("/api/v1/notes", json={"text": "a", "number": "hunter2"})

    assert answer.status_code == 422
    assert "hunter2" not in answer.text


async def test_a_body_with_a_thousand_faults_names_a_few():
    async with calling() as service:
        answer = await service.http.post("/api/v1/notes", json={"text": [1] * 1_000, "more": [1] * 1_000})
        several = await service.http.post("/api/v1/notes", json=[1] * 1_000)

    assert 1 <= len(answer.json()["errors"]) <= MAX_ERRORS
    assert several.status_code == 422
    assert len(several.content) < 5_000


async def test_what_the_caller_is_not_told_stands_in_the_log(caplog: pytest.LogCaptureFixture):
    async with calling() as service:
        away = await service.http.get("/api/v1/away")
        missing = await service.http.get("/api/v1/nowhere")

    assert (away.status_code, away.json()["detail"]) == (503, "ask again")
    assert missing.status_code == 404
    assert [one.message for one in caplog.records if one.name == "libs.web.problems"] == [
        "away: db.internal:5432"
    ]
