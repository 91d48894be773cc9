"""Incidents are asked about without the rules that found their causes; what is left is counted by the same judge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.incidents.ablation import ALL, GENERAL, Ablated, ablate, row, totals
from tests.incidents.corpus import entries
from tests.incidents.incident import Half

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007", "API-BR-CAPI-009")

TUNED = {name: entry for name, entry in entries().items() if entry.incident.half is Half.tuned}


@pytest.fixture(scope="module")
def gone_webhook() -> Ablated:
    return ablate(TUNED["admission_left_behind"])


def test_what_is_called_general_is_there():
    assert GENERAL < ALL


def test_the_rules_that_found_the_object_are_left_out_and_general_ones_stay(gone_webhook: Ablated):
    assert gone_webhook.whole.right
    assert "admission_webhook" in gone_webhook.out
    assert not GENERAL & set(gone_webhook.out)


def test_without_its_own_rules_the_object_is_still_found_by_the_errors_that_name_it(gone_webhook: Ablated):
    assert gone_webhook.rest.target
    assert gone_webhook.alone.target
    assert gone_webhook.words


def test_where_nothing_is_wrong_nothing_is_named_by_the_general_ones_either():
    healthy = ablate(TUNED["short_outage"])

    assert healthy.out == []
    assert healthy.rest.no_cause


def test_the_totals_count_each_way_of_asking_for_itself(gone_webhook: Ablated):
    missed = replace(gone_webhook.rest, target=False, says=False)

    text = totals([gone_webhook, replace(gone_webhook, rest=missed)])

    assert "| object right | 2 of 2 (100 %) | 1 of 2 (50 %) | 2 of 2 (100 %) |" in text
    assert "**no**" in row(replace(gone_webhook, rest=missed))
