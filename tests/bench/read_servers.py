"""The bare handlers that reads are compared with; each answers the bytes that lie in Redis under its path.

python -m tests.bench.read_servers NAME PORT REDIS_URL
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import cast

import orjson
from fastapi import FastAPI
from redis.asyncio import BlockingConnectionPool, Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from libs.contracts.context import KubernetesContext
from libs.web.page import Lifetime
from libs.web.pages import Ask, Captured, Pages
from tests.bench.servers import alone
from tests.support.paging import JSON, caller


def redis_bytes(client: Redis) -> ASGIApp:
    """A `GET` in Redis for each request, its bytes as they are."""

    async def read(request: Request) -> Response:
        return Response(await client.get(request.path_params["name"]), media_type="application/json")

    return Starlette(routes=[Route("/{name}", read)])


def near(client: Redis) -> ASGIApp:
    """The pages' own look-up, and nothing of what the Edge does."""
    pages = Pages(
        secret=b"k" * 32,
        identity=lambda: "bench",
        lifetimes=lambda *_: Lifetime(3600.0),
        observe=lambda *_: None,
        near_bytes=64 * 1024 * 1024,
    )
    everybody = caller()

    async def read(request: Request) -> Response:
        key = pages.key(everybody, request.scope["path"], request.scope["query_string"])
        if key is None:
            raise RuntimeError("the pages are about something")
        page = pages.near(key, "evidence")
        if page is None:

            async def ask() -> Captured:
                return Captured(200, JSON, cast("bytes", await client.get(request.path_params["name"])))

            page = (await pages.get(key, "evidence", Ask(ask, ask), within=timedelta(seconds=5))).page
        if page is None:
            raise RuntimeError("nothing lies there")
        return Response(page.body, media_type="application/json", headers={"ETag": page.etag.decode()})

    return Starlette(routes=[Route("/{name}", read)])


def through_models(client: Redis) -> ASGIApp:
    """What is not done: from Redis through a model on the way out."""
    app = FastAPI()

    async def read(name: str) -> KubernetesContext:
        return KubernetesContext.model_validate(orjson.loads(await client.get(name) or b""))

    app.add_api_route("/{name}", read, methods=["GET"])
    return app


BUILD = {"redis": redis_bytes, "near": near, "models": through_models}


def main() -> None:
    name, port, url = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    pool = BlockingConnectionPool.from_url(url, max_connections=20, timeout=1)
    alone(BUILD[name](Redis.from_pool(pool)), port)


if __name__ == "__main__":
    main()
