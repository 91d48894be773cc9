from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.auth.permissions import Permission, Role
from libs.auth.principal import Principal, principal_for

pytestmark = pytest.mark.requirement("INT-BR-QUAL-009", "HAPI-178", "HAPI-068")


def reader(*namespaces: str, tenant: str = "default") -> Principal:
    return principal_for(
        "someone",
        tenant=tenant,
        roles=[Role.viewer],
        namespaces=namespaces,
        method="token",
        credential="token:k",
    )


def unnamed(tenant: str) -> Principal:
    return principal_for(
        "someone", tenant=tenant, roles=[Role.viewer], namespaces=None, method="token", credential="token:k"
    )


def test_a_glob_opens_the_namespaces_it_matches_and_no_other():
    principal = reader("payments-*", "web")

    assert principal.may_read("payments-prod")
    assert principal.may_read("web")
    assert not principal.may_read("webshop")
    assert not principal.may_read("my-payments-prod")


def test_left_out_namespaces_mean_all_of_them_in_the_default_tenant():
    assert unnamed("default").may_read("anything")


def test_left_out_namespaces_mean_none_in_another_tenant():
    assert not unnamed("acme").may_read("anything")


def test_cluster_scope_needs_every_namespace():
    assert reader("*").may_read(None)
    assert not reader("payments-*").may_read(None)
    assert not reader("**").may_read(None)


def test_no_namespaces_open_nothing():
    assert not reader().may_read("default")
    assert not reader().may_read("")


def test_permissions_follow_from_the_roles():
    principal = reader("*")

    assert principal.may(Permission.view_alerts)
    assert principal.may("view:alerts")
    assert not principal.may("ingest:alerts")


globs = st.text("ab-*?", min_size=1, max_size=12)


@given(globs=st.lists(globs, max_size=4), namespace=st.text("ab-", min_size=1, max_size=12))
def test_globs_match_as_shell_globs_do(globs, namespace):
    expected = any(fnmatchcase(namespace, glob) for glob in globs)

    assert reader(*globs).may_read(namespace) == expected


def test_a_hostile_glob_costs_no_more_than_a_friendly_one():
    principal = reader("*a" * 31 + "b")
    started = time.perf_counter()

    assert not principal.may_read("a" * 63)

    # Without atomic groups this one takes longer than the age of the universe; the bound is generous.
    assert time.perf_counter() - started < 1
