"""What is asked, by whom, and when two requests are the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from libs.contracts.alerts import Priority
from libs.contracts.investigations import InvestigationRequest
from services.holmesgpt_api.domain.commission import (
    claimed_namespace,
    commission,
    digest,
    labels_to_resolve,
    most_open,
    priority_of,
    question,
)
from services.holmesgpt_api.domain.errors import NotReadable
from tests.support.investigations import CHECKOUT, caller, request

pytestmark = pytest.mark.requirement("HAPI-001", "HAPI-002")


@pytest.mark.requirement("HAPI-003")
@pytest.mark.parametrize(
    ("word", "level"),
    [("critical", Priority.p0), ("high", Priority.p1), ("medium", Priority.p2), ("low", Priority.p3)]
    + [(level.value, level) for level in Priority],
)
def test_both_words_for_a_priority_are_understood(word: str, level: Priority):
    assert priority_of(word) is level


@pytest.mark.requirement("HAPI-003", "HAPI-105")
def test_the_most_urgent_may_go_to_twice_the_limit_that_keeps_a_storm_of_others_out():
    assert {one: most_open(1000, one) for one in Priority} == {
        Priority.p0: 2000,
        Priority.p1: 1000,
        Priority.p2: 1000,
        Priority.p3: 1000,
    }


def test_requests_that_differ_in_what_they_are_called_ask_the_same():
    first = request(labels={"a": "1", "b": "2"}, request_id="inv-1", async_processing=True)

    assert digest(first) == digest(request(labels={"b": "2", "a": "1"}, request_id="inv-2"))


@pytest.mark.parametrize("other", [{"namespace": "shop"}, {"labels": {"a": "1"}}, {"priority": "high"}])
def test_requests_that_differ_in_what_they_ask_are_told_apart(other: dict[str, object]):
    assert digest(request(**other)) != digest(request())


@pytest.mark.requirement("HAPI-141")
@pytest.mark.parametrize("told", [{"include_context": False}, {"include_metrics": True}])
def test_what_is_only_told_otherwise_is_another_request_and_the_same_question(told: dict[str, object]):
    assert question(request(**told)) == question(request())
    assert digest(request(**told)) != digest(request())


@pytest.mark.requirement("HAPI-141")
@pytest.mark.parametrize(
    "shown", [{"include_history": True}, {"context": {"ticket": "OPS-1"}}, {"labels": {"a": "1"}}]
)
def test_what_the_model_is_shown_besides_is_another_question(shown: dict[str, object]):
    assert question(request(**shown)) != question(request())
    assert digest(request(**shown)) != digest(request())


@pytest.mark.parametrize(
    ("fields", "namespace"),
    [
        ({"target": CHECKOUT.model_dump(), "namespace": "web"}, "shop"),
        ({"namespace": "web", "labels": {"namespace": "shop"}}, "web"),
        ({"labels": {"namespace": "monitoring", "exported_namespace": "shop"}}, "shop"),
        ({"labels": {"namespace": "shop"}}, "shop"),
        ({}, None),
    ],
)
def test_the_namespace_is_taken_from_the_most_certain_place(fields: dict[str, object], namespace: str | None):
    assert claimed_namespace(request(**fields)) == namespace


def test_labels_that_name_no_namespace_get_the_requests_own():
    assert labels_to_resolve(request(namespace="shop", labels={"pod": "p"})) == {
        "alertname": "KubePodCrashLooping",
        "namespace": "shop",
        "pod": "p",
    }
    assert labels_to_resolve(request(namespace="shop", labels={"namespace": "web"}))["namespace"] == "web"


@pytest.mark.requirement("HAPI-178")
@pytest.mark.parametrize(
    "fields",
    [{"namespace": "data"}, {"labels": {"namespace": "data"}}, {"target": {"kind": "Node", "name": "n1"}}],
)
def test_nothing_is_investigated_where_the_caller_may_not_read(fields: dict[str, object]):
    with pytest.raises(NotReadable):
        commission(request(**fields), caller(namespaces=["shop"]), None)


def test_a_commission_keeps_who_asked_and_what_they_may_read():
    taken = commission(request(namespace="shop"), caller("bo", tenant="acme", namespaces=["sh*"]), "k")

    assert (taken.tenant, taken.asker, taken.reads, taken.idempotency_key) == ("acme", "bo", ("sh*",), "k")


def shared(request_: InvestigationRequest | None = None, **who: Any) -> bytes | None:
    name, place = who.pop("name", "ana"), who.pop("place", "")
    return commission(
        request_ or request(namespace="shop"), caller(name, **who), None, shares=True, place=place
    ).shared_key


@pytest.mark.requirement("HAPI-141")
def test_who_may_read_the_same_shares_a_run_of_the_same_question():
    assert shared(name="ben") == shared()
    assert shared(request(namespace="shop", request_id="7", async_processing=True)) == shared()
    assert shared(namespaces=["shop", "data"]) == shared(name="ben", namespaces=["data", "shop", "data"])


@pytest.mark.requirement("HAPI-141", "HAPI-178")
def test_who_reads_other_namespaces_or_asks_something_else_has_a_run_of_its_own():
    keys = [
        shared(),
        shared(namespaces=["shop"]),
        shared(namespaces=["shop", "data"]),
        shared(tenant="acme", namespaces=["*"]),
        shared(request(namespace="data")),
        shared(request(namespace="shop", labels={"a": "b"})),
    ]

    assert len(set(keys)) == len(keys)


@pytest.mark.requirement("HAPI-141", "HAPI-178")
def test_a_run_that_names_no_namespace_is_shared_by_its_asker_alone_unless_all_is_readable():
    assert shared(request(), namespaces=["shop"]) != shared(request(), name="ben", namespaces=["shop"])
    assert shared(request(), namespaces=["shop"]) == shared(request(), namespaces=["shop"])
    assert shared(request()) == shared(request(), name="ben")


@pytest.mark.requirement("HAPI-141")
def test_a_key_of_its_own_means_a_run_of_its_own():
    assert commission(request(), caller(), "k", shares=True).shared_key is None
    assert commission(request(), caller(), None).shared_key is None


@pytest.mark.requirement("HAPI-141", "HAPI-179")
def test_the_same_question_about_two_clusters_is_two_runs():
    labels = [{"cluster": "eu"}, {"cluster": "us"}, {}]
    keys = [shared(request(namespace="shop", labels=one)) for one in labels]

    # What names no cluster is of the default one, which is another one after a restart.
    keys += [shared(place="eu"), shared(place="us")]
    assert len(set(keys)) == len(keys)


@pytest.mark.requirement("HAPI-141", "HAPI-179")
def test_without_clusters_a_run_is_shared_with_processes_that_know_of_none():
    told = ["default", ["*"], None, digest(request(namespace="shop")).hex()]

    assert shared() == hashlib.sha256(json.dumps(told).encode()).digest()
