"""Which role may do what. The table decides; routes only name the permission they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Permission(StrEnum):
    investigate_alerts = "investigate:alerts"
    chat_interactive = "chat:interactive"
    view_health = "view:health"
    view_config = "view:config"
    manage_users = "manage:users"
    admin_system = "admin:system"
    view_context = "view:context"
    view_alerts = "view:alerts"
    ingest_alerts = "ingest:alerts"
    send_notifications = "send:notifications"
    approve_changes = "approve:changes"
    """Agree that a change is made which somebody else, or a model, has asked for. Having asked is not enough."""


class Role(StrEnum):
    admin = "admin"
    operator = "operator"
    viewer = "viewer"
    api_user = "api_user"
    service = "service"
    """Calls between our own services."""
    ingest = "ingest"
    """Alertmanager's credential: it delivers alerts and reads nothing."""
    run = "run"
    """A model's tools within one investigation: they look at evidence and do nothing else."""


_VIEW = frozenset(
    {Permission.view_health, Permission.view_config, Permission.view_context, Permission.view_alerts}
)

ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.admin: frozenset(Permission),
    # An operator may post an alert by hand (`kubernaut send`), tell people about one, and agree to a change.
    Role.operator: _VIEW
    | {
        Permission.investigate_alerts,
        Permission.chat_interactive,
        Permission.ingest_alerts,
        Permission.send_notifications,
        Permission.approve_changes,
    },
    Role.viewer: _VIEW,
    Role.api_user: frozenset(
        {
            Permission.investigate_alerts,
            Permission.chat_interactive,
            Permission.view_health,
            Permission.view_context,
        }
    ),
    Role.service: frozenset(
        {
            Permission.investigate_alerts,
            Permission.view_health,
            Permission.view_context,
            Permission.view_alerts,
            Permission.send_notifications,
        }
    ),
    Role.ingest: frozenset({Permission.ingest_alerts}),
    Role.run: frozenset({Permission.view_context}),
}


_BY_NAME = {role.value: role for role in Role}


def permissions_of(roles: Iterable[Role]) -> frozenset[Permission]:
    """Everything any of these roles may do."""
    return frozenset().union(*(ROLES[role] for role in roles))


def known_roles(names: Iterable[str]) -> frozenset[Role]:
    """The roles among these names that we know; a foreign issuer may send others, and they grant nothing."""
    return frozenset(_BY_NAME[name] for name in names if name in _BY_NAME)
