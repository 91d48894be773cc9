"""What a route demands of its caller, as FastAPI dependencies.

    router = APIRouter(dependencies=[Depends(require_permission("view:alerts"))])
    Caller = Annotated[Principal, Depends(require_permission("view:alerts"))]

They read the principal that libs.web's Edge put into the ASGI scope; a route that the Edge let through without
one answers 401. Asynchronous on purpose: FastAPI runs a plain function in a thread (120 µs each: measured).
"""

from __future__ import annotations

from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from libs.auth.errors import NotAllowed, NotAuthenticated, Refusal
from libs.auth.permissions import Permission, Role
from libs.auth.principal import Principal

SCOPE_KEY = "kubernaut.principal"


def principal_in(connection: HTTPConnection) -> Principal:
    """The caller of this request.

    Raises:
        NotAuthenticated: nobody was recognised.
    """
    principal = connection.scope.get(SCOPE_KEY)
    if not isinstance(principal, Principal):
        raise NotAuthenticated(Refusal.no_credentials)
    return principal


class _Guard(SecurityBase):
    """A security scheme to FastAPI, so that OpenAPI documents say which routes need a credential."""

    scheme_name = "bearer"
    model = HTTPBearer(description="A token or an API key, as `Authorization: Bearer …`.")


class RequirePermission(_Guard):
    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, connection: HTTPConnection) -> Principal:
        principal = principal_in(connection)
        if self.permission not in principal.permissions:
            raise NotAllowed(f"permission {self.permission.value}")
        return principal


class RequireAnyPermission(_Guard):
    def __init__(self, permissions: tuple[Permission, ...]) -> None:
        self.permissions = permissions

    async def __call__(self, connection: HTTPConnection) -> Principal:
        principal = principal_in(connection)
        if principal.permissions.isdisjoint(self.permissions):
            raise NotAllowed("permission " + " or ".join(one.value for one in self.permissions))
        return principal


class RequireRole(_Guard):
    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, connection: HTTPConnection) -> Principal:
        principal = principal_in(connection)
        if self.role not in principal.roles:
            raise NotAllowed(f"role {self.role.value}")
        return principal


def require_permission(permission: Permission | str) -> RequirePermission:
    """Let in callers who hold this permission; others get 403. Raises ValueError for an unknown word."""
    return RequirePermission(Permission(permission))


def require_any_permission(*permissions: Permission | str) -> RequireAnyPermission:
    """Let in callers who hold one of these; others get 403. Raises ValueError for an unknown word."""
    return RequireAnyPermission(tuple(Permission(one) for one in permissions))


def require_role(role: Role | str) -> RequireRole:
    """Let in callers who hold this role; others get 403. Raises ValueError for an unknown word."""
    return RequireRole(Role(role))
