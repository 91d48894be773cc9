"""The small servers a bench compares with: raw ASGI, and one FastAPI route without and with everything around it.

python -m tests.bench.servers NAME PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import uvicorn
import uvloop
from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.auth.settings import AuthSettings
from libs.contracts.alerts import AlertmanagerWebhook, AlertReceipt
from libs.metrics import Metrics
from libs.web import ServiceInfo, WebSettings, create_app
from libs.web.server import Program, serve, settle_garbage_collection

RECEIPT = orjson.dumps({"status": "accepted", "accepted": 1, "rejected": 0, "results": []})


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """As little as an ASGI application can do: read the body, answer 202."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await _accept(send)


async def decode(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, validate every alert as the webhook does, answer 202."""
    from services.alerts.domain.webhook import read

    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    read(body, now=datetime.now(UTC))
    await _accept(send)


def router() -> APIRouter:
    routes = APIRouter()

    async def accept(webhook: AlertmanagerWebhook) -> AlertReceipt:
        return AlertReceipt(accepted=len(webhook.alerts), rejected=0, results=[])

    routes.add_api_route("/", accept, methods=["POST"], status_code=202)
    return routes


def plain() -> FastAPI:
    """FastAPI and Pydantic, and nothing else."""
    app = FastAPI()
    app.include_router(router())
    return app


class BenchSettings(WebSettings, AuthSettings):
    """What every service's settings inherit."""


def full(port: int) -> None:
    """The same route with everything `create_app` puts around it: authentication, log, metrics, limits, headers."""
    settings = BenchSettings(port=port, metrics_port=0, rate_limit_requests=1_000_000_000)
    metrics = Metrics("bench")

    @contextlib.asynccontextmanager
    async def wiring(_: FastAPI) -> AsyncIterator[None]:
        yield None

    def make() -> FastAPI:
        info = ServiceInfo("bench", "Bench", "", "1")
        return create_app(
            info=info, settings=settings, wiring=wiring, routers=[router()], problems_of={}, metrics=metrics
        )

    serve(Program("bench", settings, make, metrics))


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _accept(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(RECEIPT)).encode())]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": RECEIPT})


def alone(app: ASGIApp, port: int) -> None:
    """Under the same server settings as a service, without a service's parts."""

    class Settled(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            settle_garbage_collection()

    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        loop="none",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=2048,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Settled(config).serve())


def main() -> None:
    name, port = sys.argv[1], int(sys.argv[2])
    if name == "full":
        full(port)
    else:
        applications: dict[str, ASGIApp] = {"raw": raw, "decode": decode, "plain": plain()}
        alone(applications[name], port)


if __name__ == "__main__":
    main()
