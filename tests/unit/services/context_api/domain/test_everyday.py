"""Which facts nobody would stop at."""

from __future__ import annotations

import pytest

from libs.contracts.evidence import EvidenceItem, EvidenceKind
from services.context_api.domain.everyday import affirms, is_everyday, is_under_way, tells_of_trouble
from services.context_api.domain.kube import Condition
from tests.support.kube import NOW, moment

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def item(kind: EvidenceKind, **body) -> EvidenceItem:
    return EvidenceItem(
        id="ev-0123456789abcdef", source="recording", kind=kind, content_hash="0" * 64, summary="s", body=body
    )


@pytest.mark.parametrize(
    ("reason", "of_type", "everyday"),
    [
        ("Pulled", "Normal", True),
        ("SuccessfulCreate", "Normal", True),
        ("Pulled", "Warning", False),
        ("BackOff", "Warning", False),
        ("ScalingReplicaSet", "Normal", False),
        ("Preempted", "Normal", False),
    ],
)
def test_an_event_of_every_rollout_is_everyday_unless_it_warns(reason: str, of_type: str, everyday: bool):
    assert is_everyday(item(EvidenceKind.event, reason=reason, type=of_type)) is everyday


@pytest.mark.parametrize(
    ("condition", "status", "everyday"),
    [
        ("Ready", "True", True),
        ("Ready", "False", False),
        ("Available", "Unknown", False),
        ("MemoryPressure", "False", True),
        ("MemoryPressure", "True", False),
        ("MemoryPressure", "Unknown", False),
        ("NTPProblem", "True", False),
        ("RenderDegraded", "False", True),
        ("NamespaceDeletionContentFailure", "False", True),
        ("NamespaceContentRemaining", "True", False),
        ("DisruptionTarget", "True", False),
    ],
)
def test_a_condition_is_everyday_when_it_is_as_it_should_be(condition: str, status: str, everyday: bool):
    fact = item(EvidenceKind.object, path=f"status.conditions[{condition}]", value={"status": status})

    assert is_everyday(fact) is everyday


@pytest.mark.parametrize("kind", [EvidenceKind.log, EvidenceKind.metric, EvidenceKind.change])
def test_logs_series_and_changes_are_never_everyday(kind: EvidenceKind):
    assert not is_everyday(item(kind, reason="Pulled", type="Normal", path="status.conditions[Ready]"))


def test_a_field_that_is_no_condition_is_not_everyday():
    assert not is_everyday(item(EvidenceKind.object, path="status.phase", value={"status": "True"}))
    assert not is_everyday(item(EvidenceKind.object, path=None, value=None))


@pytest.mark.parametrize(
    ("condition", "good", "bad"),
    [
        ("Ready", True, False),
        ("KernelReady", True, False),
        ("NotReady", False, False),
        ("RuntimeNotReady", False, False),
        ("CniNotReady", False, False),
        ("NetworkUnavailable", False, True),
        ("KubeletUnhealthy", False, True),
        ("EtcdIsVoter", False, False),
    ],
)
def test_the_name_of_a_condition_tells_whether_it_is_good_news_while_it_holds(
    condition: str, good: bool, bad: bool
):
    assert affirms(condition) is good
    assert tells_of_trouble(condition) is bad


@pytest.mark.parametrize(
    ("reason", "minutes", "message", "status", "expected"),
    [
        ("Creating", 12, "the instance is being made", "False", True),
        ("UpgradeInProgress", 12, "", "False", True),
        ("Creating", 45, "the instance is being made", "False", False),
        ("Creating", 12, "cannot create instance: access denied", "False", False),
        ("Failed", 12, "", "False", False),
        ("Creating", 12, "", "True", False),
    ],
    ids=["for a while", "an upgrade", "for too long", "an error", "another reason", "it holds"],
)
def test_what_is_not_there_yet_is_under_way_for_as_long_as_making_it_takes(
    reason: str, minutes: float, message: str, status: str, expected: bool
):
    state = Condition("Ready", status, reason, message, moment(minutes), None)

    assert is_under_way(state, NOW) is expected
