"""A HolmesGPT API on a real socket in this process, for what HTTP in process cannot show: WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from libs.auth.authenticator import Authenticator
from libs.web import server as web_server
from libs.web.tls import ServingCertificate
from services.holmesgpt_api.main import create_app
from services.holmesgpt_api.settings import Settings


@dataclass(frozen=True)
class OnASocket:
    port: int
    app: FastAPI
    tls: bool = False

    @property
    def chat(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}/api/v1/chat/ws"


@asynccontextmanager
async def on_a_socket(
    settings: Settings, certificate: ServingCertificate | None = None
) -> AsyncIterator[OnASocket]:
    app = create_app(settings, authenticator=Authenticator.from_settings(settings))
    with web_server.listening("127.0.0.1", 0) as listener:
        async with app.router.lifespan_context(app):
            server = web_server._Server(web_server._config(app, settings, certificate))
            task = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield OnASocket(listener.getsockname()[1], app, tls=certificate is not None)
            finally:
                server.should_exit = True
                await task
