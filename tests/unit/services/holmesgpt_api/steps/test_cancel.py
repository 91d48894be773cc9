"""An investigation is cancelled once, by who may."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.auth.permissions import Role
from libs.auth.principal import Principal, principal_for
from libs.contracts.investigations import InvestigationStatus
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.errors import AlreadyEnded, NotYours, UnknownInvestigation
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.steps.cancel import cancel
from services.holmesgpt_api.steps.take import Desk
from services.holmesgpt_api.steps.wait import Waiting
from tests.fakes.ledger import MemoryLedger
from tests.support.investigations import CHECKOUT, caller, found, request

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-066", "HAPI-068")


def desk(ledger: MemoryLedger) -> Desk:
    return Desk(ledger, Waiting(ledger), timedelta(seconds=1))


async def taken(ledger: MemoryLedger, who: Principal) -> str:
    return (await ledger.open(commission(request(namespace="shop"), who, None))).record.id


async def test_who_asked_for_it_cancels_it_and_asking_again_changes_nothing():
    ledger = MemoryLedger()
    id_ = await taken(ledger, caller())

    first, now = await cancel(desk(ledger), id_, caller())
    second, again = await cancel(desk(ledger), id_, caller())

    assert (first.status, first.cancelled_by, now) == (InvestigationStatus.cancelled, "ana", True)
    assert (second.ended_at, again) == (first.ended_at, False)


async def test_a_run_that_was_cancelled_writes_nothing_more():
    ledger = MemoryLedger()
    id_ = await taken(ledger, caller())
    run = await ledger.claim(id_)
    assert run is not None

    await cancel(desk(ledger), id_, caller())

    assert not await ledger.conclude(run, conclude(found(), CHECKOUT, run, "x"), ["shop"])
    assert await ledger.claim(id_) is None
    assert ledger.rows[id_].verdict is None


async def test_somebody_else_may_not_and_an_administrator_may():
    ledger = MemoryLedger()
    id_ = await taken(ledger, caller())
    admin = principal_for(
        "root", tenant="default", roles=[Role.admin], namespaces=["*"], method="api-key", credential="k2"
    )

    with pytest.raises(NotYours):
        await cancel(desk(ledger), id_, caller("ben"))
    with pytest.raises(UnknownInvestigation):
        await cancel(desk(ledger), id_, caller("ben", namespaces=["data"]))
    with pytest.raises(UnknownInvestigation):
        await cancel(desk(ledger), id_, caller(tenant="other", namespaces=["*"]))

    assert (await cancel(desk(ledger), id_, admin))[0].cancelled_by == "root"


async def test_one_that_has_ended_otherwise_says_so():
    ledger = MemoryLedger()
    id_ = await taken(ledger, caller())
    run = await ledger.claim(id_)
    assert run is not None
    await ledger.give_up(run, code="context-refused", error="no")

    with pytest.raises(AlreadyEnded, match="failed"):
        await cancel(desk(ledger), id_, caller())
