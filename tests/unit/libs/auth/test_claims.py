from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.auth.claims import LEEWAY_S, believed, end_of, principal_of
from libs.auth.errors import NotAuthenticated, Refusal
from libs.auth.permissions import Role
from libs.auth.tokens import shared_key

pytestmark = pytest.mark.requirement("HAPI-067", "HAPI-114", "API-BR-SEC-001")

NOW = 1_800_000_000.0
KEY = shared_key(
    "k", secrets.token_bytes(32), issuer="https://id", audience="kubernaut", not_after=NOW + 1000
)


def claims(**fields):
    return {"iss": "https://id", "aud": "kubernaut", "sub": "ann", "exp": NOW + 60, **fields}


def refusal(raw, *, now: float = NOW, revoked: frozenset[str] = frozenset()) -> Refusal:
    with pytest.raises(NotAuthenticated) as refused:
        believed(raw, key=KEY, revoked=revoked, now=now)
    return refused.value.reason


def believe(**fields):
    return believed(claims(**fields), key=KEY, revoked=frozenset({"gone"}), now=NOW)


def test_tenant_roles_and_namespaces_come_from_the_token():
    principal = principal_of(believe(tenant="acme", roles=["viewer", "root"], namespaces=["web-*"]), KEY)

    assert (principal.name, principal.tenant) == ("ann", "acme")
    assert principal.roles == {Role.viewer}
    assert principal.namespaces == ("web-*",)
    assert principal.method == "token"
    assert principal.credential == "token:k"


def test_without_a_tenant_claim_it_is_the_default_tenant_with_every_namespace():
    principal = principal_of(believe(), KEY)

    assert principal.tenant == "default"
    assert principal.may_read("anything")
    assert principal.permissions == frozenset()


def test_one_of_several_audiences_is_enough():
    assert believe(aud=["other", "kubernaut"]).sub == "ann"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"iss": "https://other"}, Refusal.wrong_issuer),
        ({"iss": "https://id/"}, Refusal.wrong_issuer),
        ({"aud": "other"}, Refusal.wrong_audience),
        ({"aud": []}, Refusal.wrong_audience),
        ({"aud": "kubernaut-admin"}, Refusal.wrong_audience),
        ({"jti": "gone"}, Refusal.revoked),
        ({"exp": NOW - LEEWAY_S}, Refusal.expired),
        ({"nbf": NOW + LEEWAY_S + 1}, Refusal.not_yet_valid),
    ],
)
def test_a_claim_that_speaks_against_the_token_is_named(fields, reason):
    assert refusal(claims(**fields), revoked=frozenset({"gone"})) is reason


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "exp"])
def test_every_token_must_say_who_from_whom_for_whom_and_until_when(missing):
    raw = claims()
    del raw[missing]

    assert refusal(raw) is Refusal.bad_claims


@pytest.mark.parametrize(
    "fields",
    [
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": None},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": [NOW + 60]},
        {"nbf": "soon"},
        {"nbf": float("nan")},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 129},
        {"aud": 7},
        {"aud": {"kubernaut": 1}},
        {"tenant": "../other"},
        {"tenant": ["default"]},
        {"tenant": "Default"},
        {"tenant": ""},
        {"roles": "admin"},
        {"roles": {"admin": True}},
        {"roles": [["admin"]]},
        {"namespaces": "*"},
        {"namespaces": ["(a+)+$"]},
        {"namespaces": ["x" * 64]},
        {"jti": 7},
    ],
    ids=repr,
)
def test_a_claim_of_the_wrong_shape_is_not_guessed_at(fields):
    assert refusal(claims(**fields)) is Refusal.bad_claims


def test_two_clocks_may_differ_by_the_leeway():
    believed(claims(exp=NOW - LEEWAY_S + 1, nbf=NOW + LEEWAY_S), key=KEY, revoked=frozenset(), now=NOW)


def test_a_retired_key_makes_a_fresh_token_worthless():
    assert refusal(claims(exp=NOW + 9999), now=NOW + 1000) is Refusal.key_retired


def test_belief_ends_with_the_token_or_with_its_key_whichever_is_first():
    assert end_of(believe(exp=NOW + 60), KEY) == NOW + 60 + LEEWAY_S
    assert end_of(believe(exp=NOW + 5000), KEY) == NOW + 1000


@given(exp=st.floats(NOW - 1000, NOW + 2000), now=st.floats(NOW - 1000, NOW + 2000))
def test_what_is_believed_now_is_believed_until_its_end_and_not_after(exp, now):
    raw = claims(exp=exp)
    try:
        end = end_of(believed(raw, key=KEY, revoked=frozenset(), now=now), KEY)
    except NotAuthenticated:
        return

    assert now < end
    assert refusal(raw, now=end) in {Refusal.expired, Refusal.key_retired}


@pytest.mark.requirement("API-BR-SEC-004")
def test_a_token_for_a_run_does_what_a_run_may_whatever_roles_it_names():
    greedy = principal_of(believe(run="inv-7", roles=["admin", "run", "service"], namespaces=["web-*"]), KEY)
    roleless = principal_of(believe(run="inv-7", roles=["admin"]), KEY)

    assert greedy.roles == {Role.run}
    assert greedy.run == "inv-7"
    assert roleless.permissions == frozenset()


@pytest.mark.requirement("HAPI-178")
def test_a_token_for_a_run_without_namespaces_reads_none():
    assert not principal_of(believe(run="inv-7", roles=["run"]), KEY).may_read("anything")


@pytest.mark.parametrize("run", ["", "a b", "a\n", "x" * 65, "-a", 7])
def test_a_run_that_is_no_id_is_not_believed(run):
    assert refusal(claims(run=run)) is Refusal.bad_claims
