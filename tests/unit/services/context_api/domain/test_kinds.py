from __future__ import annotations

from collections import Counter

import pytest

from services.context_api.domain.kinds import BUILT_IN, KINDS, plural_of

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")


@pytest.mark.parametrize(
    ("kind", "plural"),
    [("Widget", "widgets"), ("Policy", "policies"), ("Gateway", "gateways"), ("Ingress", "ingresses"), ("Batch", "batches"),
     ("Mesh", "meshes"), ("Box", "boxes"), ("Y", "ys"), ("PrometheusRule", "prometheusrules")],
)  # fmt: skip
def test_a_kind_nobody_tells_us_of_gets_the_plural_that_generators_give_it(kind: str, plural: str):
    assert plural_of(kind) == plural


def test_the_rule_agrees_with_nearly_every_name_of_the_table():
    exceptions = {one.kind for one in KINDS if plural_of(one.kind) != one.plural}

    assert exceptions == {"Endpoints", "SecurityContextConstraints"}


def test_no_two_kinds_of_a_group_share_a_name():
    words = Counter((one.group, word) for one in KINDS for word in {one.plural, one.kind.lower(), *one.short})

    assert [word for word, count in words.items() if count > 1] == []
    assert len(BUILT_IN) == len(KINDS)
