"""Over every whole incident: other names, another order and a crowd change nothing; less evidence is owned up to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import pytest

from libs.contracts.causes import CausesAnswer
from libs.contracts.target import Target
from services.context_api.adapters.recording import load_recording
from services.context_api.domain.snapshot import KubeObject
from tests.incidents.corpus import entries
from tests.incidents.goals import RENAMED_WRONG, SHUFFLED_WRONG, not_yet
from tests.incidents.judge import heard
from tests.incidents.metamorphic import KEPT, LESS, Case, Renaming, bystanders, crowded, shuffled
from tests.incidents.test_authored_incidents import INCIDENTS
from tests.incidents.test_bundled_incident import INCIDENT as BUNDLED
from tests.support.kube import moment, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-004", "API-BR-CAPI-009")

CROWD = 5_000
CLOSE = 0.05
"""How far a confidence may move when nothing that matters has changed."""


@dataclass(frozen=True)
class Told:
    """An incident with its answer, as it is."""

    case: Case
    answer: CausesAnswer


def _recorded(folder) -> Case:
    alert = json.loads((folder / "alert.json").read_text("utf-8"))["alerts"][0]
    return Case(load_recording(folder), alert["labels"], None, datetime.fromisoformat(alert["startsAt"]))


def _authored(name: str) -> Case:
    made = INCIDENTS[name]()
    return Case(
        snapshot(*made.objects, logs=made.logs),
        target=Target.parse(made.target) if made.target else None,
        onset=moment(made.onset) if made.onset is not None else None,
    )


NAMES = [
    "bundled",
    *(f"authored/{n}" for n in sorted(INCIDENTS)),
    *(f"corpus/{n}" for n in sorted(entries())),
]


@cache
def told(name: str) -> Told:
    kind, _, rest = name.partition("/")
    if kind == "corpus":
        one = heard(rest)
        if not one.verdict.right:
            pytest.skip("is not answered rightly as it is")
        return Told(Case(one.snapshot, one.labels, None, one.onset), one.answer)
    case = _authored(rest) if kind == "authored" else _recorded(BUNDLED)
    return Told(case, case.answer())


@pytest.fixture(scope="module")
def crowd() -> Sequence[KubeObject]:
    return bystanders(CROWD)


def same_news(now: CausesAnswer, before: CausesAnswer, spelled: Callable[[str], str] = str) -> None:
    """The same object for the same reason, and as sure; or no cause, for the same reason."""
    assert now.no_cause_reason == before.no_cause_reason, [str(c.target) for c in now.ranked]
    if before.ranked:
        first, was = now.ranked[0], before.ranked[0]
        assert (str(first.target), first.reason) == (spelled(str(was.target)), was.reason)
        assert abs(first.confidence.value - was.confidence.value) <= CLOSE


@pytest.mark.parametrize("name", [pytest.param(n, marks=not_yet(n, RENAMED_WRONG)) for n in NAMES])
def test_other_names_for_everything_change_nothing(name: str):
    one = told(name)
    renaming = Renaming(one.case.snapshot)

    other = renaming.case(one.case)

    # A definition of a custom resource is called after its API, which nobody renames.
    old, new = (
        {o.name for o in c.snapshot.objects if o.kind != "CustomResourceDefinition"} - KEPT
        for c in (one.case, other)
    )
    assert {name for name in old & new if any(c.isalpha() for c in name)} == set()
    same_news(other.answer(), one.answer, renaming.words)


@pytest.mark.parametrize("name", [pytest.param(n, marks=not_yet(n, SHUFFLED_WRONG)) for n in NAMES])
def test_another_order_of_the_evidence_changes_nothing(name: str):
    one = told(name)

    for seed in range(3):
        now = shuffled(one.case, seed).answer()

        assert now == one.answer


@pytest.mark.parametrize("name", NAMES)
def test_five_thousand_healthy_bystanders_change_nothing(name: str, crowd: Sequence[KubeObject]):
    one = told(name)

    same_news(crowded(one.case, crowd).answer(), one.answer)


@pytest.mark.parametrize("less", sorted(LESS))
@pytest.mark.parametrize("name", NAMES)
def test_with_less_evidence_the_cause_stays_or_the_lack_is_said(name: str, less: str):
    one = told(name)

    now = LESS[less](one.case).answer()

    was = [str(c.target) for c in one.answer.ranked[:1]]
    if [str(c.target) for c in now.ranked[:1]] != was:
        assert any(gap.startswith(f"{less}: none recorded") for gap in now.not_looked_at), (
            was,
            [(str(c.target), c.reason, c.confidence.value) for c in now.ranked],
            now.not_looked_at,
        )


def test_a_new_name_is_spelled_like_the_old_one_and_is_another():
    renaming = Renaming(load_recording(BUNDLED))

    assert renaming.words("orders-db-0.orders-db.data.svc:5432") not in (
        "",
        "orders-db-0.orders-db.data.svc:5432",
    )
    assert (
        renaming.words("kube-system/coredns default kubernetes") == "kube-system/coredns default kubernetes"
    )
    assert renaming.value({"kind": "ConfigMap", "data": {"x": "orders-db"}}).keys() == {"kind", "data"}
