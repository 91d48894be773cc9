"""A table of objects: what is news to it, what it counts, and what happens without room."""

from __future__ import annotations

import random
from typing import Any

import pytest

from services.context_api.adapters.live.shelf import Kept, Shelf
from services.context_api.adapters.live.store import Budget, Change, Table
from services.context_api.adapters.recording import objects
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-PERF-034")

SHELF = Shelf(0)


def kept(name: str, version: int = 1, namespace: str = "shop", **more: Any) -> Kept:
    document = kube.thing("Pod", name, namespace, version=version, **more)
    admitted, raw = objects.admit(document, origin="/api/v1/pods", object_bytes=1_000_000)
    return Kept(admitted, raw, SHELF)


def table(most_bytes: int = 10_000_000, most_objects: int = 1_000) -> Table:
    return Table(Budget(most_bytes, most_objects))


def names(of: Table) -> list[str]:
    return sorted(item.name for item in of)


def test_a_change_is_news_once():
    pods = table()

    said = [pods.put(kept("a")), pods.put(kept("a")), pods.put(kept("a", 2)), pods.put(kept("a", 2))]
    gone = [pods.remove("shop", "a"), pods.remove("shop", "a")]

    assert said == [Change.added, None, Change.modified, None]
    assert gone == [Change.deleted, None]


def test_an_object_made_again_under_its_name_is_another_one():
    pods = table()
    pods.put(kept("a"))
    again = kube.thing("Pod", "a", version=1)
    again["metadata"]["uid"] = "other"
    admitted, raw = objects.admit(again, origin="", object_bytes=1_000_000)

    assert pods.put(Kept(admitted, raw, SHELF)) is Change.modified


def test_a_list_replaces_everything_and_tells_what_was_news_in_it():
    pods = table()
    for name in "abc":
        pods.put(kept(name))

    news = pods.replace([kept("a"), kept("b", 5), kept("d", 6)], 9)

    assert news == {Change.added: 1, Change.modified: 1, Change.deleted: 1}
    assert (names(pods), pods.version, pods.resume) == (["a", "b", "d"], 9, 9)


def test_what_a_list_has_as_it_was_stays_the_same_object():
    pods = table()
    pods.put(first := kept("a"))

    assert pods.known(kept("a")) is first
    assert pods.known(newer := kept("a", 2)) is newer


def test_the_next_watch_begins_before_the_newest_change_as_more_may_have_its_version():
    pods = table()
    pods.replace([], 10)
    told = []
    for version, everything in (
        (11, False),
        (12, False),
        (12, False),
        (12, True),
        (15, False),
        (None, False),
    ):
        pods.told(version, everything=everything)
        told.append((pods.version, pods.resume))

    assert told == [(11, 10), (12, 11), (12, 11), (12, 12), (15, 12), (15, 12)]


def test_two_ways_to_the_same_objects_have_the_same_mark_and_others_another():
    dice = random.Random(3)
    here, there = table(), table()
    for _ in range(500):
        item = kept(f"p-{dice.randrange(40)}", dice.randrange(1, 1000))
        if dice.random() < 0.3:
            here.remove(item.namespace, item.name)
        else:
            here.put(item)

    there.replace(list(here), 1)

    assert (here.mark, here.bytes, len(here)) == (there.mark, there.bytes, len(there))
    there.put(kept("p-1", 5000))
    assert here.mark != there.mark
    here.clear()
    assert (here.mark, here.bytes, len(here), here.budget.bytes, here.budget.objects) == (0, 0, 0, 0, 0)


def test_all_tables_together_stay_within_their_budget_and_what_does_not_fit_is_known():
    budget = Budget(most_bytes=10_000_000, most_objects=3)
    pods, nodes = Table(budget), Table(budget)
    for name in "ab":
        pods.put(kept(name))
    nodes.put(kept("n"))

    refused = nodes.put(kept("m"))

    assert (refused, nodes.cut, pods.cut, budget.objects) == (None, True, False, 3)
    assert not budget.roomy
    pods.remove("shop", "a")
    assert budget.roomy


def test_an_object_that_has_grown_beyond_the_room_is_left_out_rather_than_kept_as_it_was():
    small = kept("a")
    pods = table(most_bytes=len(small.raw) + 10)
    pods.put(small)

    pods.put(kept("a", 2, spec={"text": "x" * 100}))

    assert (names(pods), pods.cut, pods.budget.bytes) == ([], True, 0)


def test_bytes_are_counted_as_they_come_and_go():
    pods = table()
    pods.put(kept("a"))
    pods.put(bigger := kept("a", 2, spec={"text": "x" * 100}))

    assert pods.bytes == pods.budget.bytes == len(bigger.raw)
