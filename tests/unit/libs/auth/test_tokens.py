"""Every algorithm against every key type, and headers that try to lead elsewhere."""

from __future__ import annotations

import itertools
import secrets
import subprocess
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from libs.auth.errors import NotAuthenticated, Refusal
from libs.auth.tokens import MAX_TOKEN, key_for, paired_key, shared_key
from tests.support.forge import b64, forge, private_pem, public_pem

pytestmark = pytest.mark.requirement("HAPI-067", "API-BR-SEC-001", "HAPI-097")

SECRET = secrets.token_bytes(32)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256 = ec.generate_private_key(ec.SECP256R1())
OTHER_SECRET = secrets.token_bytes(32)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_P256 = ec.generate_private_key(ec.SECP256R1())

CLAIMS = {"sub": "someone"}
NAMED: dict[str, Any] = {"issuer": "kubernaut", "audience": "kubernaut", "not_after": None}
KEYS = {
    "hs": shared_key("hs", SECRET, **NAMED),
    "rs": paired_key("rs", "RS256", RSA.public_key(), RSA, **NAMED),
    "es": paired_key("es", "ES256", P256.public_key(), None, **NAMED),
}
RIGHT = [("hs", "HS256", "the secret"), ("rs", "RS256", "RSA"), ("es", "ES256", "P-256")]

SIGNERS = {
    "nothing": None,
    "the secret": SECRET,
    "RSA": RSA,
    "P-256": P256,
    "another secret": OTHER_SECRET,
    "another RSA": OTHER_RSA,
    "another P-256": OTHER_P256,
    # The classic confusion: the public key, which everybody has, taken for a shared secret.
    "RSA public PEM as secret": public_pem(RSA).encode(),
    "RSA public PEM without newline as secret": public_pem(RSA).strip().encode(),
    "P-256 public PEM as secret": public_pem(P256).encode(),
    "RSA private PEM as secret": private_pem(RSA).encode(),
    "empty secret": b"",
}
ALGORITHMS = [
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"),
    *("none", "None", "NONE", "nOnE", "", "dir", "A256KW", "hs256", None, 7, ["HS256"], {"alg": "HS256"}),
]


def check(token: bytes) -> dict:
    return key_for(token, KEYS).verified_claims(token)


def refusal(token: bytes) -> Refusal:
    with pytest.raises(NotAuthenticated) as refused:
        check(token)
    return refused.value.reason


@pytest.mark.parametrize("kid", KEYS)
@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_passes_only_with_the_records_own_algorithm_and_key(kid, algorithm, signer):
    token = forge({"typ": "JWT", "alg": algorithm, "kid": kid}, CLAIMS, SIGNERS[signer])

    if (kid, algorithm, signer) in RIGHT:
        assert check(token) == CLAIMS
    elif algorithm == KEYS[kid].algorithm:
        assert refusal(token) in {Refusal.bad_signature, Refusal.malformed}
    else:
        assert refusal(token) in {Refusal.wrong_algorithm, Refusal.malformed}


def test_a_token_without_alg_is_refused():
    assert refusal(forge({"kid": "hs"}, CLAIMS, SECRET)) is Refusal.wrong_algorithm


@pytest.mark.parametrize(
    "kid",
    [
        None, "", "unknown", "HS", "hs ", "hs\n", "../hs", "hs' OR '1'='1", "hs\x00", "h" * 65, 0, ["hs"], {"k": "hs"}, "/dev/null",
    ],
)  # fmt: skip
def test_only_the_exact_name_of_a_key_finds_it(kid):
    assert refusal(forge({"alg": "HS256", "kid": kid}, CLAIMS, SECRET)) is Refusal.unknown_kid


@pytest.mark.parametrize(
    "lure",
    [
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/cert"},
        {"jwk": {"kty": "oct", "k": b64(OTHER_SECRET)}},
        {"x5c": ["MIIB"]},
        {"x5t": "abc"},
    ],
    ids=lambda lure: next(iter(lure)),
)
def test_a_header_that_brings_or_names_its_own_key_changes_nothing(lure):
    header = {"alg": "HS256", "kid": "hs", **lure}

    assert refusal(forge(header, CLAIMS, OTHER_SECRET)) is Refusal.bad_signature
    assert check(forge(header, CLAIMS, SECRET)) == CLAIMS


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "x"])
def test_extensions_that_must_be_understood_are_refused(crit):
    assert refusal(forge({"alg": "HS256", "kid": "hs", "crit": crit}, CLAIMS, SECRET)) is Refusal.malformed


def good() -> bytes:
    return forge({"alg": "HS256", "kid": "hs"}, CLAIMS, SECRET)


@pytest.mark.parametrize(
    "token",
    [
        b"", b".", b"..", b"a.b", b"a.b.c.d", b"a.b.c", b"e30.e30.e30", b" " + good(), good() + b" ", good() + b"=",
        good() + b"\n", b"\xff\xfe.a.b", b"bnVsbA.e30.AA", b"W10.e30.AA", good().replace(b".", b",", 1),
    ],
)  # fmt: skip
def test_what_is_no_compact_token_is_refused(token):
    assert refusal(token) in {Refusal.malformed, Refusal.unknown_kid, Refusal.bad_signature}


def test_a_token_beyond_the_size_limit_is_refused_unread():
    token = forge({"alg": "HS256", "kid": "hs"}, {"sub": "x" * MAX_TOKEN}, SECRET)

    assert refusal(token) is Refusal.malformed


def test_a_deeply_nested_header_is_refused_and_not_a_crash():
    header = b64(b'{"a":' * 1000 + b"1" + b"}" * 1000).encode()

    assert refusal(header + b".e30.AA") in {Refusal.malformed, Refusal.unknown_kid}


@pytest.mark.parametrize("claims", [b"", b"[]", b"null", b'"text"', b"{", b"\xff", b"[" * 5000])
def test_signed_claims_that_are_no_object_are_refused(claims):
    token = forge({"alg": "HS256", "kid": "hs"}, claims, SECRET)

    with pytest.raises(NotAuthenticated) as refused:
        check(token)

    assert refused.value.reason in {Refusal.bad_claims, Refusal.malformed}


def test_changing_any_byte_of_a_token_breaks_it():
    token = good()
    flipped = [
        token[:place] + (b"A" if token[place : place + 1] != b"A" else b"B") + token[place + 1 :]
        for place in range(len(token))
    ]

    # The last character of a segment carries padding bits too, and may decode to the same bytes.
    accepted = [one for one in flipped if _passes(one)]

    assert len(accepted) <= 1
    assert all(check(one) == CLAIMS for one in accepted)


def _passes(token: bytes) -> bool:
    try:
        check(token)
    except NotAuthenticated:
        return False
    return True


@pytest.mark.parametrize("kid", ["hs", "rs"])
def test_what_we_sign_we_accept(kid):
    token = KEYS[kid].sign(CLAIMS).encode()

    assert key_for(token, KEYS) is KEYS[kid]
    assert check(token) == CLAIMS


def test_a_token_signed_by_one_key_does_not_pass_as_anothers():
    for ours, theirs in itertools.permutations(["hs", "rs"], 2):
        head, _, rest = KEYS[ours].sign(CLAIMS).partition(".")
        assert head
        disguised = b64(f'{{"alg":"{KEYS[theirs].algorithm}","kid":"{theirs}"}}'.encode()) + "." + rest
        assert refusal(disguised.encode()) is Refusal.bad_signature


def test_keys_are_parsed_once_and_not_per_token(monkeypatch):
    def parse(*_, **__):
        raise AssertionError("a key was parsed on the request path")

    monkeypatch.setattr("jose.backends.cryptography_backend.load_pem_public_key", parse)
    monkeypatch.setattr("jose.backends.cryptography_backend.load_pem_private_key", parse)
    monkeypatch.setattr("jose.jwk.construct", parse)

    assert check(forge({"alg": "RS256", "kid": "rs"}, CLAIMS, RSA)) == CLAIMS


def test_the_ecdsa_package_is_never_imported():
    script = (
        "import sys, libs.auth, libs.auth.tokens as t\n"
        "from cryptography.hazmat.primitives.asymmetric import ec\n"
        "k = ec.generate_private_key(ec.SECP256R1())\n"
        "key = t.paired_key('k', 'ES256', k.public_key(), k, issuer='i', audience='a', not_after=None)\n"
        "token = key.sign({'sub': 'x'}).encode()\n"
        "assert t.key_for(token, {'k': key}).verified_claims(token) == {'sub': 'x'}\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('ecdsa', 'rsa')])\n"
    )

    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
