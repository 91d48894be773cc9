from __future__ import annotations

import inspect

import pytest
from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection

from libs.auth.errors import NotAllowed, NotAuthenticated
from libs.auth.guards import SCOPE_KEY, require_any_permission, require_permission, require_role
from libs.auth.permissions import Role
from libs.auth.principal import principal_for

pytestmark = pytest.mark.requirement("HAPI-068", "API-BR-SEC-004", "API-BR-CAPI-018")


def request(*roles: Role) -> HTTPConnection:
    principal = principal_for(
        "ann", tenant="default", roles=roles, namespaces=None, method="token", credential="token:k"
    )
    return HTTPConnection({"type": "http", SCOPE_KEY: principal})


async def test_a_caller_with_the_permission_is_handed_to_the_route():
    principal = await require_permission("view:alerts")(request(Role.viewer))

    assert principal.name == "ann"


async def test_a_caller_without_the_permission_is_told_which_one():
    with pytest.raises(NotAllowed) as refused:
        await require_permission("ingest:alerts")(request(Role.viewer))

    assert refused.value.needs == "permission ingest:alerts"


async def test_one_of_several_permissions_suffices_and_none_of_them_is_told():
    guard = require_any_permission("view:config", "investigate:alerts")

    assert (await guard(request(Role.viewer))).name == (await guard(request(Role.api_user))).name == "ann"
    with pytest.raises(NotAllowed) as refused:
        await guard(request(Role.ingest))
    assert refused.value.needs == "permission view:config or investigate:alerts"


async def test_a_role_is_demanded_by_name_and_not_by_rank():
    assert (await require_role("operator")(request(Role.operator))).name == "ann"
    with pytest.raises(NotAllowed):
        await require_role("operator")(request(Role.admin))


@pytest.mark.parametrize("found", [None, {"name": "ann", "permissions": ["view:alerts"]}, "ann"])
async def test_whatever_is_no_principal_lets_nobody_in(found):
    connection = HTTPConnection({"type": "http", SCOPE_KEY: found})

    for guard in (require_permission("view:alerts"), require_role("viewer")):
        with pytest.raises(NotAuthenticated):
            await guard(connection)


async def test_a_route_that_the_edge_never_saw_lets_nobody_in():
    with pytest.raises(NotAuthenticated):
        await require_permission("view:alerts")(HTTPConnection({"type": "http"}))


@pytest.mark.parametrize(
    "make", [lambda: require_permission("view:everything"), lambda: require_role("root")]
)
def test_a_misspelt_permission_or_role_fails_when_the_route_is_declared(make):
    with pytest.raises(ValueError, match="is not a valid"):
        make()


def test_guards_never_cost_a_thread():
    assert inspect.iscoroutinefunction(require_permission("view:alerts").__call__)
    assert inspect.iscoroutinefunction(require_role("viewer").__call__)


def test_openapi_says_which_routes_need_a_credential():
    app = FastAPI()

    @app.get("/guarded", dependencies=[Depends(require_permission("view:alerts"))])
    async def guarded() -> None: ...

    @app.get("/open")
    async def open_() -> None: ...

    document = app.openapi()

    assert document["paths"]["/guarded"]["get"]["security"] == [{"bearer": []}]
    assert "security" not in document["paths"]["/open"]["get"]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
