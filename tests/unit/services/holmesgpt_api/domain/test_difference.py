"""Two verdicts are compared by what they say, not by who says it."""

from __future__ import annotations

import pytest

from libs.contracts.causes import Confidence
from libs.contracts.investigations import Claim
from services.holmesgpt_api.domain.difference import difference
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import Verdict
from tests.support.investigations import CHECKOUT, DATABASE, cause, claimed, found

pytestmark = pytest.mark.requirement("HAPI-161", "HAPI-004")


def verdict(*causes, **fields) -> Verdict:
    made = conclude(found(*causes), CHECKOUT, claimed(), "no-model-configured")
    return made.model_copy(update=fields)


def test_the_same_said_by_another_engine_is_the_same():
    found_ = difference(verdict(), verdict(engine="holmesgpt"))

    assert found_.same
    assert found_.engine is not None
    assert (found_.engine.before, found_.engine.after) == ("triage", "holmesgpt")
    assert (found_.cause, found_.target, found_.confidence) == (None, None, None)


def test_another_cause_differs_in_everything_that_comes_of_it():
    other = cause(
        DATABASE, reason="OutOfMemory", confidence=Confidence(value=0.4, basis=["x"]), remediation=None
    )

    found_ = difference(verdict(), verdict(other))

    assert not found_.same
    assert found_.cause is not None
    assert (found_.cause.before, found_.cause.after) == ("ConfigChangedBeforeOnset", "OutOfMemory")
    assert found_.target is not None
    assert found_.target.after == DATABASE
    assert found_.confidence is not None
    assert (found_.confidence.before, found_.confidence.after) == (0.9, 0.4)
    assert found_.recommendations.removed == ["Put the old value back (ConfigMap/data/orders-db-config)"]
    assert found_.claims.added
    assert found_.claims.removed


def test_a_claim_that_lost_its_support_is_in_both_lists():
    results = verdict().results
    lost = results.model_copy(
        update={
            "claims": [Claim(text=one.text, status="hypothesis", evidence_ids=[]) for one in results.claims]
        }
    )

    found_ = difference(verdict(), verdict(results=lost))

    assert [one.partition(": ")[2] for one in found_.claims.added] == [
        one.partition(": ")[2] for one in found_.claims.removed
    ]
    assert not found_.same


def test_a_cause_that_is_no_more_is_null():
    none = verdict().results.model_copy(update={"cause": None})

    found_ = difference(verdict(), verdict(results=none))

    assert found_.cause is not None
    assert found_.cause.after is None
