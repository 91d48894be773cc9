"""Which lists are kept, as kinds come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.context_api.adapters.live.discovery import Discovered, Resource
from services.context_api.adapters.live.feeds import Key, Plan, plan

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")

PODS = Resource("", "pods", "v1", "Pod", True)
NODES = Resource("", "nodes", "v1", "Node", False)
WIDGETS = Resource("example.com", "widgets", "v1", "Widget", True)


def planned(
    running: Sequence[Resource],
    found: Sequence[Resource],
    *,
    namespaces: Sequence[str] = (),
    most: int = 100,
    unanswered: frozenset[str] = frozenset(),
) -> Plan:
    kept: dict[Key, Resource] = {
        (r.group, r.plural, namespace): r
        for r in running
        for namespace in ((namespaces or (None,)) if r.namespaced else (None,))
    }
    order = {r.plural: n for n, r in enumerate((PODS, NODES, WIDGETS))}
    return plan(
        kept,
        Discovered(tuple(found), unanswered=unanswered),
        namespaces,
        most_watches=most,
        rank=lambda resource: order[resource.plural],
    )


def test_a_kind_that_appears_is_begun_and_one_that_is_gone_is_ended():
    assert planned([PODS, NODES], [PODS, WIDGETS]) == Plan([(WIDGETS, None)], [("", "nodes", None)])


def test_what_stays_is_left_alone():
    assert planned([PODS, NODES], [NODES, PODS]) == Plan([], [])


def test_another_version_of_a_kind_is_begun_in_place_of_the_old_one():
    newer = replace(WIDGETS, version="v2")

    assert planned([WIDGETS], [newer]) == Plan([(newer, None)], [("example.com", "widgets", None)])


def test_a_group_that_does_not_answer_keeps_its_kinds():
    assert planned([PODS, WIDGETS], [PODS], unanswered=frozenset({"example.com"})) == Plan([], [])


def test_what_has_a_namespace_is_kept_for_each_that_is_read():
    assert planned([], [PODS, NODES], namespaces=("shop", "bank")).start == [
        (PODS, "shop"),
        (PODS, "bank"),
        (NODES, None),
    ]


def test_beyond_the_most_watches_kinds_are_only_listed_and_those_that_say_least_first():
    start = planned([], [WIDGETS, NODES, PODS], most=2).start

    assert start == [(PODS, None), (NODES, None), (replace(WIDGETS, watchable=False), None)]
    assert planned([one for one, _ in start], [WIDGETS, NODES, PODS], most=2) == Plan([], []), "and stays so"
