from __future__ import annotations

import json
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from libs.auth.errors import UnreadableKeys
from libs.auth.keys import MAX_FILE, KeyRing
from libs.auth.permissions import Role
from tests.support.forge import private_pem, public_pem
from tests.support.keyrings import PEPPER, api_key_entry, basic_entry, document, hs256_entry, ring

pytestmark = pytest.mark.requirement("HAPI-074", "HAPI-107", "HAPI-110")

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256 = ec.generate_private_key(ec.SECP256R1())


def paired(**fields):
    return {"kid": "idp-1", "alg": "ES256", "issuer": "https://id", "audience": "kubernaut", **fields}


def refusal(content: bytes) -> str:
    with pytest.raises(UnreadableKeys) as refused:
        KeyRing.parse(content)
    return refused.value.reason


def test_yaml_and_json_say_the_same():
    entry = api_key_entry("secret-1")
    as_yaml = f"""
pepper: "{PEPPER}"
api_keys:
  - id: ci
    hmac: "{entry["hmac"]}"
    roles: [viewer]
"""

    assert KeyRing.parse(as_yaml.encode()).api_keys == ring(api_keys=[entry]).api_keys


def test_an_api_key_is_found_by_its_keyed_hmac_alone():
    found = ring(api_keys=[api_key_entry("secret-1", tenant="acme", namespaces=["web"])])

    grant = found.api_keys[found.digest(b"secret-1")]

    assert grant.principal.name == "ci"
    assert grant.principal.tenant == "acme"
    assert grant.principal.roles == {Role.viewer}
    assert grant.principal.namespaces == ("web",)
    assert b"secret-1" not in found.api_keys


def test_two_keys_of_one_id_overlap_while_one_replaces_the_other():
    found = ring(api_keys=[api_key_entry("old"), api_key_entry("new")])

    names = {found.api_keys[found.digest(key)].principal.name for key in (b"old", b"new")}

    assert names == {"ci"}


def test_a_private_key_alone_checks_what_it_signs():
    found = ring(jwt=[paired(private_key=private_pem(P256))])

    assert found.tokens["idp-1"].can_sign


def test_a_public_key_alone_cannot_sign():
    found = ring(jwt=[paired(public_key=public_pem(P256))])

    assert not found.tokens["idp-1"].can_sign
    assert found.signing_key(now=0) is None


def test_the_first_key_that_can_sign_and_has_not_ended_signs():
    found = ring(
        jwt=[
            paired(public_key=public_pem(P256)),
            hs256_entry(kid="old", not_after="2026-01-01T00:00:00Z"),
            hs256_entry(kid="new"),
        ]
    )
    end_of_old = 1767225600.0

    signing = [found.signing_key(now) for now in (end_of_old - 1, end_of_old)]

    assert [key.kid for key in signing if key] == ["old", "new"]


def test_what_is_printed_of_a_ring_holds_no_secret():
    entry = hs256_entry()
    found = ring(jwt=[entry], api_keys=[api_key_entry("plain-key")], basic=[basic_entry("password-1")])

    shown = repr(found)

    assert PEPPER not in shown
    assert entry["key"] not in shown
    assert api_key_entry("plain-key")["hmac"] not in shown


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (hs256_entry(alg="none"), "jwt.0.alg"),
        (hs256_entry(alg="HS512"), "jwt.0.alg"),
        (hs256_entry(kid="../../etc/passwd"), "jwt.0.kid"),
        (hs256_entry(key="c2hvcnQ"), "key has 5 bytes, needs 32"),
        (hs256_entry(key="***"), "jwt services-1"),
        (hs256_entry(issuer=""), "jwt.0.issuer"),
        (hs256_entry(not_after="2026-01-01T00:00:00"), "jwt.0.not_after"),
        (hs256_entry(public_key=public_pem(P256)), "HS256 takes `key`"),
        (paired(), "ES256 takes `public_key` or `private_key`"),
        (paired(key=secrets.token_urlsafe(32), public_key=public_pem(P256)), "no `key`"),
        (paired(public_key="not a PEM"), "not a PEM public key"),
        (paired(public_key=private_pem(P256)), "not a PEM public key"),
        (paired(private_key=public_pem(P256)), "not an unencrypted PEM private key"),
        (paired(public_key=public_pem(RSA)), "ES256 needs an elliptic curve key on P-256"),
        (paired(alg="RS256", public_key=public_pem(P256)), "RS256 needs RSA of at least 2048 bits"),
        (
            paired(public_key=public_pem(ec.generate_private_key(ec.SECP384R1()))),
            "ES256 needs an elliptic curve key on P-256",
        ),
        (
            paired(alg="RS256", private_key=private_pem(rsa.generate_private_key(65537, 1024))),
            "RS256 needs RSA of at least 2048 bits",
        ),
        (
            paired(
                private_key=private_pem(P256), public_key=public_pem(ec.generate_private_key(ec.SECP256R1()))
            ),
            "not a pair",
        ),
    ],
)
def test_a_token_key_that_does_not_fit_is_refused_by_name(entry, reason):
    assert reason in refusal(document(jwt=[entry]))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"jwt": [hs256_entry(), hs256_entry()]}, "kid 'services-1' stands twice"),
        ({"api_keys": [api_key_entry("k"), api_key_entry("k", id="other")]}, "same hmac"),
        ({"api_keys": [api_key_entry("k", roles=["superuser"])]}, "api_keys.0.roles.0"),
        ({"api_keys": [api_key_entry("k", roles=[])]}, "api_keys.0.roles"),
        ({"api_keys": [api_key_entry("k", tenant="Not A Tenant")]}, "api_keys.0.tenant"),
        ({"api_keys": [api_key_entry("k", namespaces=["[a-z]+"])]}, "api_keys.0.namespaces.0"),
        ({"api_keys": [api_key_entry("k", hmac="plain-key-by-mistake")]}, "api_keys.0.hmac"),
        ({"api_keys": [api_key_entry("k", expires="soon")]}, "api_keys.0.expires"),
        ({"basic": [basic_entry("p", user="with:colon")]}, "basic.0.user"),
        ({"keys": []}, "keys"),
    ],
)
def test_an_entry_that_would_silently_mean_something_else_is_refused(parts, reason):
    assert reason in refusal(document(**parts))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"pepper: short", b"{", b"\xff\xfe", b"a: b: c", b"pepper: [x"]
)
def test_a_file_that_is_no_keys_document_is_refused(content):
    assert refusal(content)


def test_a_refusal_never_quotes_what_it_complains_about():
    secret = secrets.token_urlsafe(24)
    reasons = [
        refusal(document(api_keys=[api_key_entry("k", hmac=secret)])),
        refusal(json.dumps({"pepper": secret[:20]}).encode()),
        refusal(f"pepper: {secret}\n  broken: [".encode()),
        refusal(document(jwt=[hs256_entry(key=secret + "!!")])),
    ]

    assert not [reason for reason in reasons if secret[:20] in reason]


def test_a_deeply_nested_file_is_refused_and_not_a_crash():
    assert refusal(b"[" * 100_000)


def test_the_size_limit_leaves_room_for_a_thousand_keys():
    many = document(api_keys=[api_key_entry(f"k{n}", id=f"team-{n}") for n in range(1000)])

    assert len(many) < MAX_FILE
    assert len(KeyRing.parse(many).api_keys) == 1000
