"""What is known of tunings without asking for them; what is recorded is seen in tests/integration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.bundle import InvestigationType
from libs.contracts.tuning import AnswerFeedback
from services.context_api.domain.errors import NoRecord, RecordAway
from services.context_api.domain.tiers import Tier
from services.context_api.domain.tuning import Standing, Subject
from services.context_api.steps import tuning
from services.context_api.steps.tuning import FRESH, Tunings, subject_of
from tests.unit.services.context_api.steps.test_ask import caller

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-040", "HAPI-BR-CONTEXT-042")

MODERATE = Subject(Tier.moderate, InvestigationType.root_cause)
AWAY = RecordAway("unreachable", retry_after=timedelta(seconds=1))


@dataclass
class Record:
    """Knows one tenant's standing, or is away."""

    reduction: float = 0.25
    degraded: bool = False
    error: Exception | None = None
    failures: int = 0
    """Times that it cannot be prepared."""
    asked: list[str] = field(default_factory=list)
    closed: bool = False

    async def prepare(self) -> None:
        if self.failures:
            self.failures -= 1
            raise AWAY

    async def standings(self, tenant: str) -> Mapping[Subject, tuple[Standing, None]]:
        self.asked.append(tenant)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return (
            {MODERATE: (Standing(1, self.reduction, degraded=self.degraded), None)} if tenant == "t" else {}
        )

    async def close(self) -> None:
        self.closed = True


@dataclass
class Counted:
    bad: dict[Subject, int] = field(default_factory=dict)

    def said(self, tier: str, outcome: str, quality: float | None) -> None: ...
    def moved(self, tier: str, how: str) -> None: ...
    def degraded(self, subject: Subject, tenants: int) -> None:
        self.bad[subject] = tenants


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
async def tunings(
    record: Record, clock: Clock, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Tunings]:
    monkeypatch.setattr(tuning, "FIRST", timedelta(seconds=60))  # no busy machine is to decide here
    made = Tunings(record, counted, clock=clock)  # type: ignore[arg-type]
    await made.prepare()
    yield made
    await made.close()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_tenants_tuning_is_looked_up_once_and_then_known(tunings: Tunings, record: Record):
    shares = [await tunings.reduction(tenant, MODERATE) for tenant in ("t", "t", "other", "t")]

    assert shares == [0.25, 0.25, 0.55, 0.25]
    assert record.asked == ["t", "other"]


async def test_many_at_once_look_it_up_together(tunings: Tunings, record: Record):
    shares = await asyncio.gather(*(tunings.reduction("t", MODERATE) for _ in range(20)))

    assert set(shares) == {0.25}
    assert record.asked == ["t"]


async def test_what_has_become_old_is_looked_up_while_the_old_serves(
    tunings: Tunings, record: Record, clock: Clock
):
    await tunings.reduction("t", MODERATE)
    record.reduction = 0.4
    clock.now += FRESH.total_seconds() + 1
    old = await tunings.reduction("t", MODERATE)
    await settled()

    assert (old, await tunings.reduction("t", MODERATE)) == (0.25, 0.4)


async def test_while_the_record_is_away_what_was_known_serves_and_it_is_not_asked_each_time(
    tunings: Tunings, record: Record, clock: Clock
):
    await tunings.reduction("t", MODERATE)
    record.error = AWAY
    clock.now += FRESH.total_seconds() + 1
    await tunings.reduction("t", MODERATE)
    await settled()
    shares = [await tunings.reduction("t", MODERATE) for _ in range(5)]

    assert set(shares) == {0.25}
    assert record.asked == ["t", "t"]


@pytest.mark.parametrize("error", [AWAY, ValueError("a tier of a later release")])
async def test_a_tenant_of_whom_nothing_can_be_known_gets_what_the_release_brings(
    tunings: Tunings, record: Record, error: Exception
):
    record.error = error

    assert await tunings.reduction("t", MODERATE) == 0.55


async def test_a_share_that_an_earlier_release_allowed_is_cut_to_what_this_one_does(
    tunings: Tunings, record: Record
):
    record.reduction = 0.9

    assert await tunings.reduction("t", MODERATE) == 0.55


async def test_tenants_whose_answers_are_bad_are_counted(tunings: Tunings, record: Record, counted: Counted):
    record.degraded = True
    await tunings.reduction("t", MODERATE)

    assert counted.bad == {MODERATE: 1}


async def test_the_schema_is_tried_until_it_is_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tuning, "AGAIN", (0, 0))
    record = Record(failures=3)
    tunings = Tunings(record, Counted())  # type: ignore[arg-type]
    before = await tunings.reduction("t", MODERATE)
    with pytest.raises(RecordAway):
        await tunings.feedback(AnswerFeedback(quality=1), None, caller("*"))

    await tunings.prepare()

    assert (before, await tunings.reduction("t", MODERATE), record.failures) == (0.55, 0.25, 0)
    await tunings.close()
    assert record.closed


async def test_without_a_record_nothing_is_acknowledged():
    tunings = Tunings(None, Counted())
    await tunings.prepare()

    with pytest.raises(NoRecord):
        await tunings.feedback(AnswerFeedback(quality=1), None, caller("*"))
    assert (await tunings.present("t")).kept is False
    assert await tunings.reduction("t", MODERATE) == 0.55
    await tunings.close()


@pytest.mark.parametrize(
    ("said", "subject"),
    [
        ({}, "moderate/root_cause_analysis"),
        ({"severity": "critical"}, "complex/root_cause_analysis"),
        ({"severity": "critical", "tier": "simple"}, "simple/root_cause_analysis"),
        ({"investigation_type": "basic_investigation"}, "moderate/basic_investigation"),
    ],
)
def test_feedback_is_about_the_tier_its_alert_had(said: dict[str, Any], subject: str):
    assert str(subject_of(AnswerFeedback(quality=1, **said))) == subject
