"""How much an earlier firing is like this one."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.similar import alike
from tests.unit.services.context_api.domain.test_history import episode

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-006")

TARGET = episode(1, days=1).target
LABELS = {"alertname": "HighErrorRate", "namespace": "shop", "severity": "warning", "pod": "api-1"}


def past(number: int, *, days: float = 1, namespace: str = "shop", **labels: str) -> Any:
    said = {"alertname": "HighErrorRate", "namespace": namespace, "severity": "warning", **labels}
    return episode(number, days=days, namespace=namespace).model_copy(update={"labels": said})


def test_another_replica_of_the_same_is_the_same():
    (found,) = alike(LABELS, TARGET, [past(1, pod="api-2", instance="10.0.0.9:80")], at_least=1)

    assert (found.similarity, found.why) == (1.0, "same labels and object")


def test_what_differs_costs_its_share_and_is_named():
    (found,) = alike(LABELS, TARGET, [past(1, severity="critical")], at_least=0)

    assert found.similarity == 0.5  # of four things said, two by both
    assert found.why == "differs in severity"


def test_another_object_and_namespace_is_hardly_alike():
    (found,) = alike(LABELS, TARGET, [past(1, namespace="bank")], at_least=0)

    assert found.similarity == 0.2
    assert found.why == "differs in namespace, the object"
    assert alike(LABELS, TARGET, [past(1, namespace="bank")], at_least=0.7) == []


def test_the_most_alike_comes_first_and_of_these_the_newest():
    found = alike(LABELS, TARGET, [past(1, days=9), past(2, days=2), past(3, days=1, team="x")], at_least=0)

    assert [one.episode.id for one in found] == ["e2", "e1", "e3"]


def test_who_says_nothing_is_like_who_says_nothing():
    bare = episode(1, days=1).model_copy(update={"labels": {}, "target": None})

    assert [one.similarity for one in alike({"alertname": "X"}, None, [bare], at_least=1)] == [1.0]
