"""Parameters: a closed part of JSON Schema, refused where it is more, and arguments that fit it or are refused."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.domain.custom.errors import BadToolset, Unfit
from services.holmesgpt_api.domain.custom.schema import MOST, Parameter, read

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079")


def one(**shape: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"it": shape}}


def deep(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        made = {"type": "object", "properties": {"it": made}}
    return made


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("x", "want a JSON Schema"),
        ([], "want a JSON Schema"),
        ({"type": "array"}, "want type object"),
        ({"$ref": "http://127.0.0.1/evil"}, r"\$ref: not taken"),
        ({"allOf": [{}]}, "allOf: not taken"),
        ({"$defs": {"a": {}}}, r"\$defs: not taken"),
        ({"additionalProperties": True}, "additionalProperties"),
        ({"patternProperties": {"(a+)+$": {}}}, "patternProperties: not taken"),
        ({"properties": [], "required": []}, "properties: want"),
        ({"properties": {f"p{number}": {"type": "string"} for number in range(MOST + 1)}}, "want at most 32"),
        ({"required": ["ghost"]}, "ghost: not among"),
        ({"required": [["a"]]}, "want a list of names"),
        ({"properties": {"a b": {"type": "string"}}}, "no name"),
        ({"properties": {"а": {"type": "string"}}}, "no name"),  # Cyrillic
        ({"properties": {"it": True}}, "want a schema"),
        (one(), "type: want one of"),
        (one(type="object"), "type: want one of"),
        (one(type="array", items={"type": "string"}), "items: not taken"),
        (one(type=["string", "integer"]), "want one, or one and null"),
        (one(anyOf=[{"type": "string"}, {"type": "integer"}]), "one shape or null"),
        (one(anyOf=[{"type": "string", "$ref": "#"}, {"type": "null"}]), r"\$ref: not taken"),
        (one(anyOf="x"), "anyOf: want schemas"),
        (one(type="string", pattern="(?=a)b"), "pattern"),
        (one(type="string", pattern="(a" * 300), "want a short one"),
        (one(type="string", pattern="a{1000}{1000}"), "pattern"),
        (one(type="integer", pattern="a"), "pattern"),
        (one(type="string", minLength=-1), "minLength"),
        (one(type="string", maxLength=True), "maxLength"),
        (one(type="string", maxLength=10**9), "more than 4000"),
        (one(type="integer", minimum="1"), "minimum"),
        (one(type="number", maximum=float("inf")), "maximum"),
        (one(type="string", enum=[]), "enum"),
        (one(type="string", enum=[1]), "enum: want values of type string"),
        (one(type="string", enum=["x" * 300]), "enum"),
        (one(type="string", enum=[str(number) for number in range(200)]), "enum"),
        (one(type="string", multipleOf=2), "multipleOf: not taken"),
        (deep(4), "not taken|type: want|nested"),
        (deep(2_000), "nested too deeply"),
        ({"properties": {"it": {"type": "string", "examples": ["x" * 20_000]}}}, "more than 16384"),
        ({"properties": {"it": {"type": "string", "examples": [[]] * 6_000}}}, "too large"),
    ],
)
def test_what_is_not_known_here_is_refused_by_its_place(schema: Any, said: str):
    with pytest.raises(BadToolset, match=said):
        read(schema, whole=True)


def test_what_a_usual_server_says_is_taken():
    schema = {
        "title": "lookupArguments",
        "type": "object",
        "properties": {
            "host": {"title": "Host", "type": "string", "description": "its\nname"},
            "limit": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}], "default": None},
            "kind": {"enum": ["pod", "node"], "default": "pod"},
            "sure": {"type": ["boolean", "null"]},
        },
        "required": ["host"],
    }

    found = {parameter.name: parameter for parameter in read(schema, whole=False).parameters}

    assert found["host"] == Parameter("host", "string", "its name", required=True, whole=False)
    assert (found["limit"].type, found["limit"].nullable, found["limit"].most) == ("integer", True, 9)
    assert (found["kind"].type, found["kind"].enum) == ("string", ("pod", "node"))
    assert (found["sure"].type, found["sure"].nullable) == ("boolean", True)


SCHEMA = read(
    {
        "type": "object",
        "properties": {
            "host": {"type": "string", "pattern": "[a-z-]+", "minLength": 2, "maxLength": 8},
            "hours": {"type": "integer", "minimum": 1, "maximum": 48},
            "share": {"type": "number"},
            "sure": {"type": "boolean"},
            "kind": {"type": "string", "enum": ["pod", "node"]},
        },
        "required": ["host"],
    },
    whole=True,
)


def test_arguments_that_fit_are_kept_and_null_is_left_out():
    given_ = {"host": "web-a", "hours": 3, "share": 0.5, "sure": False, "kind": None}

    assert SCHEMA.check(given_) == {"host": "web-a", "hours": 3, "share": 0.5, "sure": False}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (None, "no arguments arrived as a JSON object; needed: host"),
        ("{}", "no arguments arrived"),
        ([{"host": "a"}], "no arguments arrived"),
        ({1: "a"}, "no arguments arrived"),
        ({}, "host: is missing"),
        ({"host": None}, "host: is missing"),
        ({"host": "web", "hots": "x"}, "hots: there is no such argument"),
        ({"host": ["web"]}, "host: want a string"),
        ({"host": {"$ne": ""}}, "host: want a string"),
        ({"host": "w"}, "has 1 characters"),
        ({"host": "w" * 9}, "has 9 characters"),
        ({"host": "web\n"}, "does not match"),
        ({"host": "web/a"}, "does not match"),
        ({"host": "we\u200bb"}, "U\\+200B"),
        ({"host": "web", "hours": 0}, "at least 1"),
        ({"host": "web", "hours": 49}, "at most 48"),
        ({"host": "web", "hours": True}, "want an integer"),
        ({"host": "web", "hours": 1.0}, "want an integer"),
        ({"host": "web", "hours": "3"}, "want an integer"),
        ({"host": "web", "hours": 10**400}, "want an integer"),
        ({"host": "web", "share": float("nan")}, "want a number"),
        ({"host": "web", "share": float("inf")}, "want a number"),
        ({"host": "web", "sure": 1}, "want a boolean"),
        ({"host": "web", "kind": "Pod"}, "want one of pod, node"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_a_sentence(arguments: Any, said: str):
    with pytest.raises(Unfit, match=said):
        SCHEMA.check(arguments)


def test_a_pattern_of_a_document_matches_all_of_a_text_and_a_servers_anywhere_in_it():
    shape = one(type="string", pattern="b+")

    assert read(shape, whole=False).check({"it": "abc"}) == {"it": "abc"}
    with pytest.raises(Unfit):
        read(shape, whole=True).check({"it": "abc"})


def test_a_pattern_that_would_backtrack_for_years_costs_nothing():
    schema = read(one(type="string", pattern="(a+)+$", maxLength=4_000), whole=True)
    began = time.process_time()

    with pytest.raises(Unfit):
        schema.check({"it": "a" * 3_999 + "b"})

    assert time.process_time() - began < 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_schema_is_taken_or_refused_and_nothing_else(schema: Any):
    with suppress(BadToolset):
        read(schema, whole=False)


@given(JSON | st.dictionaries(st.sampled_from(["host", "hours", "share", "sure", "kind", "x"]), JSON))
def test_any_arguments_fit_or_are_refused_and_what_is_kept_fits_again(arguments: Any):
    try:
        kept = SCHEMA.check(arguments)
    except Unfit:
        return

    assert SCHEMA.check(kept) == kept
    assert set(kept) <= set(arguments)
