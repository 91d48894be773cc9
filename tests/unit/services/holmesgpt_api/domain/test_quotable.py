"""A sentence's objects, names, quotations, times and numbers are found; its English is not."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.quotable import Kind, quotables

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-013")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("Deployment/shop/web failed.", Kind.object, "Deployment/shop/web"),
        ("The pod web-7f9x failed.", Kind.object, "pod web-7f9x"),
        ("It says `no such file`.", Kind.text, "no such file"),
        ("Key DB_HOST is gone.", Kind.name, "DB_HOST"),
        ("At 09:05 it ended.", Kind.time, "09:05"),
        ("It has 1.5Gi.", Kind.number, "1.5Gi"),
        ("It was [SECRET-a1b2c3d4:jwt].", Kind.text, "[SECRET-a1b2c3d4:jwt]"),
    ],
)
def test_what_can_be_looked_up_is_found(text: str, kind: Kind, said: str):
    assert (kind, said) in [(one.kind, one.said) for one in quotables(text)]


def test_plain_words_beside_a_kind_are_a_name_when_an_object_has_it():
    assert quotables("The pod web failed.") == []
    assert [one.said for one in quotables("The pod web failed.", {"web"})] == ["pod web"]
