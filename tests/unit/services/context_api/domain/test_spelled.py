"""What is told with a cause beside its own words: messages not told yet, and since when."""

from __future__ import annotations

import pytest

from libs.contracts.causes import FindingSeverity
from services.context_api.domain.causality import connect
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.ranking import Alert, rank
from services.context_api.domain.relation import relate
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.spelled import spelled
from tests.support.kube import container, deployment, env, moment, service, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

SCENE = Scene(
    snapshot(
        deployment("web", containers=[container(env=env(API="http://api:80"))]),
        deployment("api"),
        service("api", ready=2),
    )
)


def at(name: str) -> KubeObject:
    found = SCENE.graph.get("Deployment", "shop", name)
    assert found
    return found


WEB, API = at("web"), at("api")


def seen(about, text: str, depth: Depth = Depth.process, **more) -> Observation:
    return Observation(
        about, more.pop("reason", "R"), text, FindingSeverity.warning, "x", depth, 0.8, (), **more
    )


def told(*observations: Observation) -> list[str]:
    """The clauses that follow the words of the first cause."""
    ordered = sorted(observations, key=lambda o: o.key)
    tree, relations = connect(SCENE, ordered), relate(SCENE, WEB, ordered)
    first = rank(SCENE, tree, relations, Alert(WEB, "shop", None, named=True))[0]
    return list(spelled(first.observation.text, first, tree, relations))


def test_the_refusal_that_a_callers_log_quotes_is_told_with_the_cause():
    client = seen(
        WEB, "its log: `POST http://api:80: 507 no room left for orders`", blames=(Blame(API, 0.95, "x"),)
    )

    assert told(client, seen(API, "Deployment shop/api has no room", Depth.mechanism)) == [
        "of Deployment shop/web: `POST http://api:80: 507 no room left for orders`"
    ]


def test_what_the_same_object_says_beside_its_best_reason_is_told_before():
    shallow = seen(WEB, "fails: `Readiness probe failed: statuscode: 503`")

    assert told(shallow, seen(WEB, "a key is missing", Depth.mechanism, reason="S")) == [
        "it says `Readiness probe failed: statuscode: 503`"
    ]


def test_a_message_that_differs_only_in_addresses_is_told_once():
    words = "cannot dial: `dial tcp 10.0.0.1:80: connection refused by the peer`"
    client = seen(WEB, words.replace("10.0.0.1", "10.0.0.2"), blames=(Blame(API, 0.95, "x"),))

    assert told(client, seen(API, words, Depth.mechanism)) == []


def test_the_beginning_is_told_where_the_words_hold_no_time():
    known = seen(WEB, "a key is missing", Depth.mechanism, onset=moment(10))
    dated = seen(WEB, "missing since 2026-11-18 09:20:00 UTC", Depth.mechanism, onset=moment(10))

    assert told(known) == ["since 2026-11-18 09:20:00 UTC"]
    assert told(dated) == []


def test_values_of_changed_fields_are_no_messages():
    client = seen(
        WEB,
        "`registry.example.com/web:1.0` → `registry.example.com/web:1.1`",
        blames=(Blame(API, 0.95, "x"),),
    )

    assert told(client, seen(API, "no room", Depth.mechanism)) == []
