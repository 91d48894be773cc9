"""A list shows what its reader may see, and its cursor goes on from what was looked at."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.errors import BadCursor
from services.holmesgpt_api.steps.browse import browse
from tests.fakes.ledger import MemoryLedger
from tests.support.investigations import caller, request

pytestmark = pytest.mark.requirement("HAPI-041", "HAPI-075")


async def filled(*namespaces: str) -> MemoryLedger:
    ledger = MemoryLedger()
    for namespace in namespaces:
        await ledger.open(commission(request(namespace=namespace), caller(), None))
    return ledger


async def test_pages_end_with_a_cursor_until_the_last_one():
    ledger = await filled("shop", "shop", "shop")

    first = await browse(ledger, caller(), limit=2, cursor=None)
    last = await browse(ledger, caller(), limit=2, cursor=first.next_cursor)

    assert [len(first.items), len(last.items)] == [2, 1]
    assert last.next_cursor is None
    assert len({item.investigation_id for item in first.items + last.items}) == 3


async def test_what_the_reader_may_not_see_is_left_out_and_the_list_goes_on():
    ledger = await filled("shop", "data", "data")

    first = await browse(ledger, caller(namespaces=["shop"]), limit=2, cursor=None)
    rest = await browse(ledger, caller(namespaces=["shop"]), limit=2, cursor=first.next_cursor)

    assert first.items == []
    assert [item.namespace for item in rest.items] == ["shop"]


async def test_a_made_up_cursor_is_refused():
    with pytest.raises(BadCursor):
        await browse(MemoryLedger(), caller(), limit=2, cursor="zzz")
