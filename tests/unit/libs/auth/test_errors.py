from __future__ import annotations

import pytest

from libs.auth.errors import AuthNotConfigured, NotAllowed, NotAuthenticated, Refusal

pytestmark = pytest.mark.requirement("HAPI-103", "API-BR-SEC-001")


def test_a_caller_without_credentials_is_only_told_the_scheme():
    assert NotAuthenticated(Refusal.no_credentials).challenge == 'Bearer realm="kubernaut"'


@pytest.mark.parametrize("reason", [r for r in Refusal if r is not Refusal.no_credentials])
def test_a_refused_credential_is_answered_as_rfc_6750_says(reason):
    challenge = NotAuthenticated(reason).challenge

    assert challenge.startswith('Bearer realm="kubernaut", error="invalid_token", error_description="')
    assert challenge.count('"') == 6  # nothing inside a value ends it early


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Refusal.unknown_kid, Refusal.bad_signature),
        (Refusal.unknown_api_key, Refusal.api_key_expired),
        (Refusal.wrong_password, Refusal.unknown_api_key),
    ],
)
def test_the_caller_cannot_tell_an_unknown_credential_from_a_wrong_one(one, other):
    assert NotAuthenticated(one).hint == NotAuthenticated(other).hint


def test_a_caller_who_may_not_is_told_what_is_missing():
    error = NotAllowed("permission view:alerts")

    assert "view:alerts" in error.hint
    assert "insufficient_scope" in error.challenge


def test_an_unconfigured_service_says_what_to_set():
    text = str(AuthNotConfigured())

    assert "AUTH_KEYS_FILE" in text
    assert "TRUSTED_NETWORKS" in text
