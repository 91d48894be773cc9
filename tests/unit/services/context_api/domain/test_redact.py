"""No secret value survives; ordinary words do."""

from __future__ import annotations

import pytest

from services.context_api.domain.redact import GONE, redact, sensitive, value_of

pytestmark = pytest.mark.requirement("API-BR-SEC-014", "API-BR-SEC-006")

SECRET = "c0rrect-H0rse"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}", f"DB_PASSWORD: {SECRET}", f'{{"apiKey": "{SECRET}"}}', f"postgres://app:{SECRET}@db:5432/x", f"Authorization: Bearer {SECRET}",
        f"--client-secret={SECRET}", f"token = '{SECRET}'", f"redis://:{SECRET}@cache:6379", f"AWS_SECRET_ACCESS_KEY={SECRET}",
    ],
)  # fmt: skip
def test_values_behind_telling_names_and_in_addresses_are_gone(text: str):
    assert SECRET not in redact(text)
    assert GONE in redact(text)


@pytest.mark.parametrize(
    "text",
    ["AKIAABCDEFGHIJKLMNOP", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "ghp_" + "a1" * 18, "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"],
)  # fmt: skip
def test_secrets_known_by_their_shape_are_gone(text: str):
    assert redact(f"seen {text} here") == f"seen {GONE} here"


@pytest.mark.parametrize(
    "text",
    [
        'secret "db-creds" not found', "couldn't find key password in Secret shop/db", 'FATAL: password authentication failed for user "app"',
        "dial tcp db.shop-data:5432: connection refused", "http://api:8080/health", "key file missing", "tokens expired",
    ],
)  # fmt: skip
def test_words_about_secrets_are_kept(text: str):
    assert redact(text) == text


def test_a_value_is_judged_by_its_name():
    assert value_of("DB_PASSWORD", "x") == GONE
    assert value_of("DB_PASSWORD", "") == ""
    assert value_of("LOG_LEVEL", "debug") == "debug"
    assert sensitive("clientSecret")
    assert not sensitive("monkey")
