from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from libs.auth.authenticator import Authenticator
from libs.auth.claims import LEEWAY_S
from libs.auth.errors import NotAuthenticated
from libs.auth.keys import KeyRing
from libs.auth.minter import LONGEST_RUN, NoRunToken, NoSigningKey, TokenMinter
from libs.auth.permissions import Permission, Role
from tests.support.forge import public_pem
from tests.support.keyrings import hs256_entry, ring

pytestmark = pytest.mark.requirement("HAPI-067", "HAPI-170", "API-BR-SEC-001")

START = 1_800_000_000.0


class Clock:
    now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def caller(keys, clock, token: str | None):
    return Authenticator(keys, now=clock).authenticate({b"authorization": f"Bearer {token}".encode()}, None)


def given(keys: KeyRing | None) -> KeyRing | None:
    return keys


def test_a_service_token_names_the_service_its_role_and_the_callers_tenant(clock):
    keys = ring(jwt=[hs256_entry()])

    principal = caller(keys, clock, TokenMinter(lambda: keys, service="alerts", now=clock)("acme"))

    assert (principal.name, principal.tenant, principal.roles) == ("alerts", "acme", {Role.service})
    assert principal.may_read("any-namespace")


def test_a_minted_token_can_be_narrowed(clock):
    keys = ring(jwt=[hs256_entry()])
    minter = TokenMinter(lambda: keys, service="holmesgpt-api", now=clock)

    token = minter.mint("ann", tenant="acme", roles=[Role.viewer], namespaces=["web-*"])

    principal = caller(keys, clock, token)
    assert principal.roles == {Role.viewer}
    assert not principal.may_read("payments")


def test_a_service_token_lives_five_minutes(clock):
    keys = ring(jwt=[hs256_entry()])
    token = TokenMinter(lambda: keys, service="alerts", now=clock)("acme")

    clock.now = START + 299
    assert caller(keys, clock, token).name == "alerts"
    clock.now = START + 331
    with pytest.raises(NotAuthenticated, match="expired"):
        caller(keys, clock, token)


def test_one_token_serves_many_calls_until_it_nears_its_end(clock):
    keys = ring(jwt=[hs256_entry()])
    minter = TokenMinter(lambda: keys, service="alerts", now=clock)
    first = minter("acme")

    clock.now = START + 239
    assert minter("acme") == first
    clock.now = START + 240
    assert minter("acme") != first


def test_tenants_never_share_a_token(clock):
    keys = ring(jwt=[hs256_entry()])
    minter = TokenMinter(lambda: keys, service="alerts", now=clock)

    tokens = {tenant: minter(tenant) for tenant in ("acme", "globex", "default")}

    assert {tenant: caller(keys, clock, token).tenant for tenant, token in tokens.items()} == {
        tenant: tenant for tenant in tokens
    }


@pytest.mark.requirement("HAPI-107")
def test_a_new_signing_key_is_used_at_once(clock):
    rings = [ring(jwt=[hs256_entry(kid="old")])]
    minter = TokenMinter(lambda: rings[-1], service="alerts", now=clock)
    minter("acme")
    rings.append(ring(jwt=[hs256_entry(kid="new")]))

    assert caller(rings[-1], clock, minter("acme")).credential == "token:new"


def test_without_a_key_that_can_sign_calls_go_without_a_credential(clock):
    public = public_pem(ec.generate_private_key(ec.SECP256R1()))
    only_checks = ring(
        jwt=[{"kid": "idp", "alg": "ES256", "public_key": public, "issuer": "i", "audience": "a"}]
    )

    for keys in (None, only_checks, ring(jwt=[hs256_entry(not_after="2020-01-01T00:00:00Z")])):
        minter = TokenMinter(partial(given, keys), service="alerts", now=clock)
        assert minter("acme") is None
        with pytest.raises(NoSigningKey):
            minter.mint("ann", tenant="acme", roles=[], ttl=timedelta(minutes=1))


def test_the_number_of_held_tokens_is_bounded(clock):
    keys = ring(jwt=[hs256_entry()])
    minter = TokenMinter(lambda: keys, service="alerts", now=clock)

    for number in range(1100):
        minter(f"tenant-{number}")

    assert len(minter._held) <= 1024


def run_token(clock, keys, **fields) -> str:
    asked = {
        "caller": "ann",
        "tenant": "acme",
        "namespaces": ["web-*"],
        "left": timedelta(seconds=60),
        **fields,
    }
    run = asked.pop("run", "inv-7")
    return TokenMinter(lambda: keys, service="holmesgpt-api", now=clock).mint_for_run(run, **asked)


@pytest.mark.requirement("API-BR-SEC-004", "HAPI-178")
def test_a_runs_token_is_its_caller_narrowed_to_looking_at_evidence(clock):
    keys = ring(jwt=[hs256_entry()])

    principal = caller(keys, clock, run_token(clock, keys))

    assert (principal.name, principal.tenant, principal.run) == ("ann", "acme", "inv-7")
    assert principal.permissions == {Permission.view_context}
    assert (principal.may_read("web-1"), principal.may_read("pay"), principal.may_read(None)) == (
        True,
        False,
        False,
    )


@pytest.mark.requirement("API-BR-SEC-004", "HAPI-178")
@pytest.mark.parametrize("tenant", ["acme", "default"])
def test_a_run_whose_caller_reads_nothing_reads_nothing(clock, tenant):
    keys = ring(jwt=[hs256_entry()])

    principal = caller(keys, clock, run_token(clock, keys, tenant=tenant, namespaces=[]))

    assert not principal.may_read("anything")
    assert not principal.may_read(None)


@pytest.mark.parametrize(
    ("left", "lives"), [(timedelta(seconds=7), 7), (timedelta(days=2), LONGEST_RUN.total_seconds())]
)
def test_a_runs_token_lives_as_long_as_the_run_within_a_bound(clock, left, lives):
    keys = ring(jwt=[hs256_entry()])
    token = run_token(clock, keys, left=left)

    clock.now = START + lives + LEEWAY_S - 1
    assert caller(keys, clock, token).run == "inv-7"
    clock.now = START + lives + LEEWAY_S
    with pytest.raises(NotAuthenticated, match="expired"):
        caller(keys, clock, token)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"left": timedelta(0)}, "nothing is left"),
        ({"run": "a b\n"}, "run:"),
        ({"run": ""}, "run:"),
        ({"tenant": "Acme"}, "tenant:"),
        ({"caller": "x" * 200}, "sub:"),
        ({"namespaces": ["a"] * 300}, "namespaces:"),
        ({"namespaces": [f"{n:060}" for n in range(200)]}, "give the caller globs"),
    ],
)
def test_a_token_no_door_would_take_is_not_made(clock, fields, said):
    keys = ring(jwt=[hs256_entry()])

    with pytest.raises(NoRunToken, match=said):
        run_token(clock, keys, **fields)


def test_every_run_gets_a_token_of_its_own(clock):
    keys = ring(jwt=[hs256_entry()])

    assert run_token(clock, keys) != run_token(clock, keys)


def test_without_a_key_that_can_sign_there_is_no_runs_token(clock):
    with pytest.raises(NoSigningKey):
        run_token(clock, ring())
