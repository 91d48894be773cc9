"""A known finding is muted by object and reason until its time, and every answer says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from libs.contracts.causes import CausesAnswer, NoCause
from services.context_api.domain.mutes import Mute
from services.context_api.domain.triage import find_causes, find_findings
from tests.support.kube import crashing, deployment, moment, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-004")

LATER = moment(0) + timedelta(days=30)


def mute(
    name: str = "*", reason: str = "*", *, namespace: str = "shop", until: datetime = LATER, comment: str = ""
) -> Mute:
    return Mute("Deployment", namespace, name, reason, until, comment)


def asked(*mutes: Mute, names: Sequence[str] = ("web",)) -> CausesAnswer:
    objects = [o for name in names for o in deployment(name, statuses=[crashing()])]
    return find_causes(snapshot(*objects), mutes=mutes)


def test_a_muted_finding_is_no_cause_and_no_finding_and_the_answer_says_until_when_and_why():
    answer = asked(mute("web", comment="replaced in January"))

    assert (answer.ranked, answer.findings) == ([], [])
    assert answer.no_cause_reason is NoCause.muted
    assert all(line.startswith("Deployment/shop/web: ") for line in answer.muted)
    assert all(line.endswith(": replaced in January") for line in answer.muted)
    assert len(answer.muted) == len(set(answer.muted)) > 0


def test_only_the_named_object_and_reason_are_muted():
    both = asked(names=("web", "api"))
    reason = both.ranked[0].reason

    answer = asked(mute("web", reason), names=("web", "api"))

    assert str(answer.ranked[0].target) == "Deployment/shop/api"
    assert not any(str(f.target) == "Deployment/shop/web" and f.reason == reason for f in answer.findings)
    assert answer.muted


@pytest.mark.parametrize(
    "without_effect",
    [
        mute("web", until=moment(0)),
        mute("web", "OtherReason"),
        mute("web", namespace="prod"),
        mute("we"),
        Mute("StatefulSet", "shop", "web", "*", LATER),
    ],
    ids=["over at that moment", "another reason", "another namespace", "a part of the name", "another kind"],
)
def test_a_mute_that_does_not_fit_or_is_over_mutes_nothing(without_effect: Mute):
    answer = asked(without_effect)

    assert (answer.ranked, answer.muted) == (asked().ranked, [])


def test_findings_leave_muted_ones_out_as_well():
    objects = deployment("web", statuses=[crashing()])

    answer = find_findings(snapshot(*objects), mutes=[mute("w*b")])

    assert answer.findings == []
    assert answer.muted
