"""Every error of the domain has its one answer, and the answer names the remedy."""

from datetime import timedelta

import pytest

from libs.contracts.problem import Problem
from services.alerts.domain.errors import AllRefused, Malformed, NotCommitted, Unreadable
from services.alerts.routes.problems import PROBLEMS, answer

pytestmark = pytest.mark.requirement("INT-BR-WH-011", "INT-BR-WH-012")


def told(error):
    response = answer(error, "/x")
    return response, Problem.model_validate_json(response.body)


def test_malformed_is_400_in_the_errors_own_words():
    response, problem = told(Malformed("this is not JSON"))

    assert (response.status, problem.code, problem.detail) == (400, "malformed-json", "this is not JSON")
    assert response.content_type == b"application/problem+json"


def test_unreadable_is_422_and_names_the_field():
    _, problem = told(Unreadable("body.alerts", "must be a list"))

    assert (problem.status, problem.errors[0].field) == (422, "body.alerts")
    assert problem.errors[0].reason == "must be a list"


def test_a_thousand_refusals_make_a_short_answer():
    _, problem = told(AllRefused([(f"body.alerts.{n}", "no") for n in range(1_000)]))

    assert problem.status == 422
    assert len(problem.errors) == 20
    assert "1000" in problem.detail


def test_not_committed_is_503_and_says_when_to_come_again():
    response, problem = told(NotCommitted("inbox-full", retry_after=timedelta(seconds=1.2)))

    assert (response.status, problem.code) == (503, "not-committed")
    assert response.headers == ((b"retry-after", b"2"),)
    assert "send it again" in problem.detail


def test_no_answer_to_alertmanager_is_429():
    assert 429 not in {spec.status for spec in PROBLEMS.values()}
