"""A request is taken from every caller there is, and refused only where it cannot be meant."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from libs.contracts.investigations import InvestigationRequest

pytestmark = pytest.mark.requirement("HAPI-001", "HAPI-002", "HAPI-045")


def read(**fields: object) -> InvestigationRequest:
    return InvestigationRequest.model_validate({"alert_name": "A", **fields})


def test_the_name_of_the_alert_is_enough():
    assert read().priority == "medium"


def test_unknown_fields_of_foreign_callers_are_ignored():
    assert read(strategy_optimization=True, timeout_secs=30) == read()


def test_what_a_go_caller_leaves_at_zero_counts_as_left_out():
    zero = {"namespace": "", "labels": None, "annotations": None, "priority": "", "context": None}

    assert read(**zero) == read()
    with pytest.raises(ValidationError):
        read(alert_name="")


@pytest.mark.requirement("HAPI-003")
@pytest.mark.parametrize(("sent", "read_as"), [("High", "high"), ("CRITICAL", "critical"), ("p1", "P1")])
def test_a_priority_may_be_written_in_any_case(sent: str, read_as: str):
    assert read(priority=sent).priority == read_as


@pytest.mark.parametrize("wrong", ["urgent", "P4", "P", 3])
def test_another_priority_is_refused(wrong: object):
    with pytest.raises(ValidationError):
        read(priority=wrong)


@pytest.mark.requirement("HAPI-073")
@pytest.mark.parametrize(
    "fields",
    [
        {"alert_name": "a\0b"},
        {"labels": {"k": "\0"}},
        {"labels": {"\0": "v"}},
        {"context": {"deep": [{"er": "\0"}]}},
        {"context": {"half": "\ud800"}},
    ],
)
def test_a_text_that_no_database_stores_is_refused(fields: dict[str, object]):
    with pytest.raises(ValidationError, match="NUL"):
        read(**fields)
