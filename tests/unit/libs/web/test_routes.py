"""Places: the template a path belongs to, and what is special there."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles

from libs.auth.permissions import Permission
from libs.web.fast import fast_route
from libs.web.pages import KeptRoute
from libs.web.routes import ASSETS, LONGEST_FOUND, MOST_FOUND, Places

pytestmark = pytest.mark.requirement("API-BR-CAPI-020", "INF-BR-MET-004")


class Model(BaseModel):
    text: str


async def handler(request):
    raise AssertionError("only described here")


@pytest.fixture(scope="module")
def places() -> Places:
    async def answer() -> None: ...

    app = FastAPI(openapi_url=None)
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/api/v1")
    inner.add_api_route("/{name}", answer, methods=["GET"])
    outer.add_api_route("/notes", answer, methods=["GET"])
    outer.add_api_route("/notes", answer, methods=["POST"])
    outer.add_api_route("/notes/{name}", answer, methods=["GET"])
    outer.add_api_route("/files/{path:path}", answer, methods=["GET"])
    outer.include_router(inner)
    app.include_router(outer)
    app.add_api_route("/health", answer, methods=["GET"])
    app.add_api_route("/docs", answer, methods=["GET"])
    app.mount(ASSETS, StaticFiles(directory=".", check_dir=False))
    fast = [
        fast_route(
            "POST", path, handler, permission=None, summary="", request_model=Model, response_model=Model
        )
        for path in ("/hook", "/api/v1/notes")
    ]
    return Places(app.routes, fast)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/v1/notes", "/api/v1/notes"),
        ("/api/v1/notes/a", "/api/v1/notes/{name}"),
        ("/api/v1/inner/a", "/api/v1/inner/{name}"),
        ("/api/v1/files/a/b", "/api/v1/files/{path:path}"),
        ("/docs/assets/swagger-ui.css", "/docs/assets/{path:path}"),
        ("/hook", "/hook"),
        ("/api/v1/notes/a/b", "unmatched"),
        ("/api/v1", "unmatched"),
        ("/", "unmatched"),
        ("", "unmatched"),
    ],
)
def test_a_path_belongs_to_its_routes_template(places, path, template):
    assert places.find(path).template == template
    assert template in places.templates


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("/health", True),
        ("/docs", True),
        ("/docs/assets/swagger-ui.css", True),
        ("/health/", False),
        ("/docs/assets", False),
        ("/docs/x", False),
        ("/hook", False),
        ("/nowhere", False),
    ],
)
def test_only_the_named_routes_are_public(places, path, public):
    assert places.find(path).public is public


def test_an_address_of_another_service_is_public_and_must_be_a_route():
    async def answer() -> None: ...

    app = FastAPI(openapi_url=None)
    app.add_api_route("/auth/{rest:path}", answer, methods=["POST"])
    places = Places(app.routes, elsewhere=["/auth/{rest:path}"])

    place = places.find("/auth/users/a")
    assert (place.public, place.elsewhere) == (True, True)
    assert not places.find("/authority").public
    with pytest.raises(ValueError, match="/nowhere"):
        Places(app.routes, elsewhere=["/nowhere"])


def test_methods_of_one_path_come_together(places):
    assert places.find("/api/v1/notes").allowed == "GET, POST"
    assert places.find("/hook").allowed == "POST"


def test_a_fast_route_is_found_by_its_method(places):
    assert set(places.find("/api/v1/notes").fast) == {"POST"}
    assert places.find("/health").fast == {}


@pytest.mark.requirement("API-BR-CAPI-003")
def test_a_kept_route_is_answered_by_head_too_and_found_again_as_it_was_found():
    async def answer() -> None: ...

    app = FastAPI(openapi_url=None)
    app.add_api_route("/notes/{name}", answer, methods=["GET"])
    app.add_api_route("/files/{name}", answer, methods=["GET"])
    kept = KeptRoute("/notes/{name}", "notes", Permission.view_context)
    places = Places(app.routes, kept=[kept])

    found = [places.find("/notes/a") for _ in range(2)]

    assert [place.kept for place in found] == [kept, kept]
    assert found[0].allowed == "GET, HEAD"
    assert places.find("/files/a").kept is None
    assert places.find("/notes/a/b").template == "unmatched"


@pytest.mark.requirement("API-BR-CAPI-003")
def test_remembered_paths_are_bounded():
    async def answer() -> None: ...

    app = FastAPI(openapi_url=None)
    app.add_api_route("/notes/{name}", answer, methods=["GET"])
    places = Places(app.routes, kept=[KeptRoute("/notes/{name}", "notes", Permission.view_context)])
    for number in range(MOST_FOUND + 10):
        places.find(f"/notes/{number}")
    places.find("/notes/" + "x" * LONGEST_FOUND)

    assert len(places._found) <= MOST_FOUND
    assert all(len(path) <= LONGEST_FOUND for path in places._found)


def test_a_kept_route_that_is_none_is_a_mistake_at_the_start():
    kept = [KeptRoute("/nowhere", "notes", Permission.view_context)]

    with pytest.raises(ValueError, match="/nowhere"):
        Places(FastAPI(openapi_url=None).routes, kept=kept)
