"""A document opens nothing by itself."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.custom.bound import NOT_LISTED, bound
from services.holmesgpt_api.domain.custom.origin import origin
from tests.support.toolsets import document, http

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079")

CMDB = "https://cmdb.example.com"


@pytest.mark.parametrize(
    "allowed", [[], ["https://cmdb.example.com:8443"], ["http://cmdb.example.com"], ["https://example.com"]]
)
def test_one_whose_origin_is_not_listed_exactly_is_withdrawn_and_has_no_credential(allowed: list[str]):
    made = bound(document(http(CMDB)), [origin(one) for one in allowed], (("Authorization", "Bearer x"),))

    assert (made.withdrawn, made.headers, made.usable_by("default")) == (NOT_LISTED, (), False)


def test_one_that_is_limited_to_tenants_is_not_there_for_others():
    made = bound(document(http(CMDB, tenants=["shop"])), [origin(CMDB)], ())

    assert (made.usable_by("shop"), made.usable_by("default"), made.seen_by("default")) == (
        True,
        False,
        False,
    )
    assert "Bearer" not in repr(bound(document(http(CMDB)), [origin(CMDB)], (("A", "Bearer x"),)))
