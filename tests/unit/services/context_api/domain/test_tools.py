"""What a tool's arguments may be, and the words for those that may not."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from libs.contracts.bundle import ContextSource, InvestigationType
from libs.contracts.evidence import EvidenceKind
from services.context_api.domain import tools
from services.context_api.domain.tools import (
    LARGEST,
    MOST_TOKENS,
    TOOLS,
    BadArguments,
    TooLarge,
    UnknownTool,
    parse,
    schema,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-016", "API-BR-SEC-006")

CHECKOUT = "Deployment.apps/shop/checkout"
GOOD: dict[str, dict[str, Any]] = {
    "find_causes": {"target": CHECKOUT, "onset": "2026-11-18T09:00:00Z"},
    "get_bundle": {"labels": {"pod": "x"}, "max_tokens": 2000},
    "get_evidence": {"id": "ev-0123456789abcdef"},
    "get_logs": {"namespace": "shop", "pod": "checkout-1", "tail": 5},
    "list_objects": {"namespace": "_cluster", "resource": "nodes"},
    "get_topology": {"target": "Node/_cluster/n1", "depth": 6},
    "resolve_alert": {"labels": {"alertname": "X"}},
    "get_context": {"alert_fingerprint": "0a1b2c", "context_types": ["logs"]},
}


def test_every_tool_takes_its_own_arguments():
    assert set(GOOD) == set(TOOLS)
    assert [type(parse(name, given)) for name, given in GOOD.items()] == [
        TOOLS[name].arguments for name in GOOD
    ]


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("find_causes", None, "target: required, and missing (want Kind/namespace/name"),
        ("find_causes", {}, "target: required"),
        ("find_causes", [], "the arguments are a JSON object"),
        ("find_causes", "Pod/a/b", "the arguments are a JSON object"),
        ("find_causes", {"target": "checkout"}, "target: not of this form (want Kind/namespace/name"),
        ("find_causes", {"target": CHECKOUT, "cluster": "x"}, "it has: target, onset"),
        ("find_causes", {"target": CHECKOUT, "onset": "yesterday"}, "onset: "),
        ("find_causes", {"target": CHECKOUT, "onset": "9999-01-01T00:00:00Z"}, "want a time between"),
        ("find_causes", {"target": "Pod/shop/" + "a" * 900}, "target: "),
        ("get_bundle", {}, "give either target or labels"),
        ("get_bundle", {"target": CHECKOUT, "labels": {"a": "b"}}, "give either target or labels"),
        ("get_bundle", {"labels": {}}, "labels: "),
        ("get_bundle", {"labels": {str(n): "x" for n in range(300)}}, "labels: "),
        ("get_bundle", {"labels": {"a": 1}}, "labels.a: "),
        ("get_bundle", {"target": CHECKOUT, "max_tokens": MOST_TOKENS + 1}, "max_tokens: "),
        ("get_bundle", {"target": CHECKOUT, "investigation_type": "guess"}, "investigation_type: "),
        ("get_evidence", {"id": "ev-1"}, "id: not of this form"),
        ("get_evidence", {"id": "ev-0123456789abcdef", "target": CHECKOUT}, "give either id or target"),
        ("get_evidence", {"target": CHECKOUT, "kind": "rumour"}, "kind: "),
        ("get_logs", {"namespace": "shop"}, "pod: required"),
        ("get_logs", {"namespace": "../x", "pod": "a"}, "namespace: not of this form"),
        ("get_logs", {"namespace": "shop", "pod": "a", "tail": 0}, "tail: "),
        ("get_logs", {"namespace": "shop", "pod": "a", "tail": 10**9}, "tail: "),
        ("get_logs", {"namespace": "shop", "pod": "a", "contains": "x" * 201}, "contains: "),
        ("list_objects", {"namespace": "shop", "resource": "pods;id"}, "resource: not of this form"),
        ("get_topology", {"target": CHECKOUT, "depth": 99}, "depth: "),
        ("get_context", {}, "give either alert_fingerprint or labels"),
        ("get_context", {"alert_fingerprint": "a b"}, "alert_fingerprint: not of this form"),
        ("get_context", {"alert_fingerprint": "a", "similarity_threshold": 7}, "similarity_threshold: "),
        ("get_context", {"alert_fingerprint": "a", "context_types": ["web"]}, "context_types.0: "),
    ],
)
def test_what_cannot_be_used_is_named_with_what_would_be_right(name: str, given: object, said: str):
    with pytest.raises(BadArguments) as refused:
        parse(name, given)

    assert said in str(refused.value)
    assert len(str(refused.value)) < 2_000


def test_the_value_is_not_repeated_as_it_may_be_a_secret():
    with pytest.raises(BadArguments) as refused:
        parse("get_logs", {"namespace": "hunter2 hunter2", "pod": "hunter2;", "tail": "hunter2"})

    assert "hunter2" not in str(refused.value)


def test_a_name_that_is_no_argument_is_shown_printable_and_short():
    with pytest.raises(BadArguments) as refused:
        parse("resolve_alert", {"labels": {"a": "b"}, "\x1b[2J" + "x" * 500: 1})

    assert "\x1b" not in str(refused.value)
    assert "x" * 100 not in str(refused.value)


def test_an_unknown_tool_is_told_which_there_are():
    with pytest.raises(UnknownTool, match="find_causes, get_evidence") as refused:
        parse("kubectl_exec" * 100, {})

    assert len(str(refused.value)) < 300


def test_a_null_counts_as_left_out():
    asked = parse("find_causes", {"target": CHECKOUT, "onset": None})

    assert asked == parse("find_causes", {"target": CHECKOUT})


def test_what_is_too_large_says_how_to_ask_for_less():
    assert str(TooLarge(LARGEST + 1, TOOLS["get_logs"].smaller)).endswith(
        "ask for fewer lines with tail or contains"
    )


def test_the_words_a_model_may_use_are_the_contracts_own():
    assert set(get_args(tools.Source)) == {str(one) for one in ContextSource}
    assert set(get_args(tools.Kind)) == {str(one) for one in EvidenceKind}
    assert set(get_args(tools.Investigation)) == {str(one) for one in InvestigationType}
    assert tools.kind_of("log") is EvidenceKind.log
    assert tools.kind_of(None) is None


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_says_what_each_argument_is_in_a_lean_schema(name: str):
    described = schema(TOOLS[name].arguments)

    assert described["additionalProperties"] is False
    assert TOOLS[name].words
    assert len(TOOLS[name].words) < 300
    for argument in described["properties"].values():
        assert argument["description"]
        assert argument["type"]
        assert "title" not in argument
        assert "anyOf" not in argument
        assert argument.get("default", 0) is not None


@pytest.mark.parametrize(
    ("text", "api_version", "namespace"),
    [
        ("Deployment.apps/shop/x", "apps/v1", "shop"),
        ("Node/_cluster/x", "v1", None),
        ("Node/-/x", "v1", None),
    ],
)
def test_a_target_is_read_as_it_is_written(text: str, api_version: str, namespace: str | None):
    target = tools.target_of(text)

    assert (target.api_version, target.namespace, target.name) == (api_version, namespace, "x")
