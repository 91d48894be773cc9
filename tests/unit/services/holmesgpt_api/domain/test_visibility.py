"""An asker sees what they may read, and a reader the investigations whose namespaces they may read."""

from __future__ import annotations

import pytest

from libs.contracts.causes import NoCause
from libs.contracts.target import Target
from services.holmesgpt_api.domain.visibility import limit, may_see, reader
from tests.support.investigations import CHECKOUT, CONFIG, caller, cause, evidence, finding, found

pytestmark = pytest.mark.requirement("HAPI-178", "HAPI-075")


def test_who_may_read_everything_gets_the_answer_as_it_is():
    answer = found()

    assert limit(answer, reader("default", ["*"])) is answer


def test_what_lies_elsewhere_is_taken_out_and_its_amount_is_said():
    answer = found(
        cause(), cause(CHECKOUT, reason="RolloutStuck", evidence_ids=["e1", "e3"]), findings=[finding()]
    )

    seen = limit(answer, reader("default", ["shop"]))

    assert [one.target for one in seen.ranked] == [CHECKOUT]
    assert seen.ranked[0].evidence_ids == ["e3"]
    assert seen.ranked[0].path == [str(CHECKOUT), str(CHECKOUT)]
    assert (seen.ranked[0].explains, seen.findings) == ([], [])
    assert [item.id for item in seen.evidence] == ["e3"]
    assert not seen.no_cause
    assert seen.not_looked_at == [
        "namespaces this caller may not read: 1 causes, 1 findings and 2 pieces of evidence were left out"
    ]


def test_when_no_cause_is_left_the_evidence_is_insufficient():
    seen = limit(found(), reader("default", ["shop"]))

    assert (seen.no_cause, seen.no_cause_reason) == (True, NoCause.insufficient)
    assert CONFIG.name not in seen.model_dump_json()


def test_cluster_scope_is_for_who_may_read_everything():
    node = Target(kind="Node", name="worker-1")
    answer = found(cause(node, evidence_ids=["n"]), findings=[], evidence=[evidence("n", node)])

    assert limit(answer, reader("default", ["shop", "data"])).ranked == []


@pytest.mark.parametrize(
    ("namespaces", "seen", "visible"),
    [
        (["shop", "data"], ["data", "shop"], True),
        (["shop"], ["data", "shop"], False),
        (["shop"], ["shop", ""], False),
        (["*"], ["shop", ""], True),
        ([], ["shop"], False),
    ],
)
def test_a_reader_must_be_allowed_every_namespace_an_investigation_shows(
    namespaces: list[str], seen: list[str], visible: bool
):
    assert may_see(caller(namespaces=namespaces), tenant="default", asker="bo", seen=seen) is visible


def test_one_that_shows_no_namespace_is_for_its_asker_and_for_who_may_read_everything():
    limited = caller("ana", namespaces=["shop"])

    assert may_see(limited, tenant="default", asker="ana", seen=[])
    assert not may_see(limited, tenant="default", asker="bo", seen=[])
    assert may_see(caller("cy"), tenant="default", asker="bo", seen=[])


def test_another_tenant_sees_nothing():
    assert not may_see(caller(tenant="acme", namespaces=["*"]), tenant="default", asker="ana", seen=["shop"])
