"""A claim stands on evidence that exists, or is a hypothesis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.investigations import Claim
from services.holmesgpt_api.domain.verdict import check_claims

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-013")


def claim(*ids: str, status: str = "supported") -> Claim:
    return Claim(text="the file is wrong", status=status, evidence_ids=list(ids))


@pytest.mark.parametrize(
    ("cited", "status", "kept"),
    [
        (["e1"], "supported", ["e1"]),
        (["e1", "e2"], "supported", ["e1", "e2"]),
        (["e1", "made-up"], "hypothesis", ["e1"]),
        (["made-up"], "hypothesis", []),
        ([], "hypothesis", []),
    ],
)
def test_a_claim_is_supported_only_by_evidence_that_exists(cited: list[str], status: str, kept: list[str]):
    (checked,) = check_claims([claim(*cited)], {"e1", "e2"})

    assert (checked.status, checked.evidence_ids) == (status, kept)


@given(st.lists(st.lists(st.sampled_from(["e1", "e2", "x", "y"]))))
def test_no_claim_cites_what_is_not_there_whatever_it_said_of_itself(cited: list[list[str]]):
    for checked in check_claims([claim(*ids) for ids in cited], {"e1", "e2"}):
        assert set(checked.evidence_ids) <= {"e1", "e2"}
        assert checked.status == "hypothesis" or checked.evidence_ids
