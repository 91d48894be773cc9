"""Equal secrets get equal placeholders, in every process of a run; what cannot be looked at does not pass."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.redaction import Redactor, Unredactable
from libs.redaction.redactor import DEEPEST, LONGEST

pytestmark = pytest.mark.requirement("HAPI-110", "HAPI-073")

KEY = b"0123456789abcdef"
S = secrets.token_hex(12)


def redactor() -> Redactor:
    return Redactor(KEY)


def test_the_same_value_has_the_same_placeholder_in_every_process_with_the_key_and_in_no_other():
    text = f"password={S} was refused"

    assert redactor().text(text) == redactor().text(text)
    assert redactor().text(text) != Redactor(b"another key of a run").text(text)


def test_a_placeholder_says_what_it_stands_for_to_who_holds_the_redactor_alone():
    there = redactor()

    (placeholder,) = [word for word in there.text(f"x password={S} y").split("=")[1].split() if "[" in word]

    assert there.held == {placeholder: S}
    assert S not in repr(there)


def test_a_secret_once_known_is_found_where_nothing_gives_it_away():
    there = redactor()
    there.text(f"PGPASSWORD={S}")

    later = there.text(f"psql: retry with {S} or {base64.b64encode(S.encode()).decode()}")

    assert S not in later
    assert base64.b64encode(S.encode()).decode() not in later


def test_a_value_is_taken_out_of_what_stands_before_the_place_that_gives_it_away():
    shown = redactor().of({"log": f"connected with {S}", "env": [{"name": "DB_PASSWORD", "value": S}]})

    assert S not in json.dumps(shown)
    assert shown["log"].endswith(shown["env"][0]["value"])


@pytest.mark.parametrize(
    "value",
    [
        {"password": S},
        {"apiKey": S, "port": 1},
        {"env": [{"name": "API_TOKEN", "value": S}]},
        {"env": [{"name": "API_TOKEN_12", "value": S}], "log": f"DB_PASSWORD_OLD={S}"},
        {"kind": "Secret", "data": {"a": S}},
        {"kind": "Secret", "stringData": {"a": S, "b": 5}},
        {"users": [{"user": {"client-key-data": S, "token": S}}]},
        {f"password={S}": 1},
        {"lines": ["ok", f"Authorization: Bearer {S}"]},
        {"annotations": {"last-applied": json.dumps({"kind": "Secret", "data": {"k": S}})}},
    ],
)
def test_what_stands_under_a_telling_name_is_gone_wherever_it_is(value: dict[str, Any]):
    assert S not in json.dumps(redactor().of(value))


@pytest.mark.parametrize(
    "value",
    [
        {"secretName": "db-auth", "secretKeyRef": {"name": "db-auth", "key": "password"}},
        {"automountServiceAccountToken": False, "tokens": 5, "token": "expired"},
        {"kind": "ConfigMap", "data": {"max_connections": "100", "host": "10.1.2.3"}},
        {"password": "$(DB_PASSWORD)", "image": "registry.example.com/shop/web@sha256:abc"},
        {"repoURL": "git@git.example.com:platform/deployments.git"},
    ],
)
def test_what_people_need_to_understand_stays(value: dict[str, Any]):
    assert redactor().of(value) == value


def test_a_persons_address_is_no_business_of_a_models():
    assert "someone" not in redactor().text("paged someone@example.org")


def test_what_is_too_large_or_too_deep_to_be_looked_at_does_not_pass():
    deep: Any = "x"
    for _ in range(DEEPEST + 2):
        deep = [deep]

    with pytest.raises(Unredactable):
        redactor().text("a" * (LONGEST + 1))
    with pytest.raises(Unredactable):
        redactor().of(deep)


@pytest.mark.parametrize(
    "text",
    [
        "a" * LONGEST,
        "password=" * 100_000,
        "://:@" * 100_000,
        "eyJ" * 300_000,
        "-----BEGIN PRIVATE KEY-----" * 30_000,
        "curl " * 150_000,
    ],
)
def test_hostile_text_of_the_largest_size_takes_linear_time(text: str):
    began = time.process_time()

    redactor().text(text[:LONGEST])

    assert time.process_time() - began < 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(f"token={S}"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(["password", "kind", "data", "name", "value"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_redacting_twice_changes_nothing_more(value: Any):
    once = redactor().of(value)

    assert redactor().of(once) == once
    assert S not in json.dumps(once)
