from __future__ import annotations

import pytest

from libs.auth.permissions import ROLES, Permission, Role, known_roles, permissions_of

pytestmark = pytest.mark.requirement("HAPI-068", "API-BR-SEC-004")


def test_every_role_has_its_row_in_the_table():
    assert set(ROLES) == set(Role)


def test_an_admin_may_do_everything():
    assert ROLES[Role.admin] == set(Permission)


def test_only_an_admin_manages_users_and_the_system():
    for_admins = {Permission.manage_users, Permission.admin_system}

    assert {role for role, held in ROLES.items() if held & for_admins} == {Role.admin}


def test_a_viewer_changes_nothing():
    assert all(permission.value.startswith("view:") for permission in ROLES[Role.viewer])


def test_alertmanagers_role_delivers_alerts_and_reads_nothing():
    assert ROLES[Role.ingest] == {Permission.ingest_alerts}


def test_a_service_may_make_the_calls_of_the_main_flow_and_not_post_alerts():
    held = ROLES[Role.service]

    assert held >= {
        Permission.view_context,
        Permission.investigate_alerts,
        Permission.send_notifications,
    }
    assert Permission.ingest_alerts not in held


def test_two_roles_give_the_permissions_of_both():
    assert permissions_of([Role.viewer, Role.ingest]) == ROLES[Role.viewer] | ROLES[Role.ingest]


def test_no_role_gives_nothing():
    assert permissions_of([]) == frozenset()


def test_a_foreign_issuers_unknown_roles_grant_nothing():
    assert known_roles(["viewer", "superuser", "ADMIN"]) == {Role.viewer}


def test_a_run_looks_at_evidence_and_does_nothing_else():
    assert ROLES[Role.run] == {Permission.view_context}


def test_whoever_may_have_something_investigated_may_look_at_evidence():
    # A run's token is made from its caller's name and namespaces alone: it must not let in more than the caller.
    assert all(
        Permission.view_context in held for held in ROLES.values() if Permission.investigate_alerts in held
    )


@pytest.mark.requirement("HAPI-068")
def test_only_people_on_call_and_admins_agree_to_changes():
    assert {role for role, held in ROLES.items() if Permission.approve_changes in held} == {
        Role.admin,
        Role.operator,
    }
