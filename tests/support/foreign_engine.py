"""An engine with foreign systems: a register over HTTP and a server of runbooks, in a configuration file."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.foreign_system import ForeignSystem
from tests.fakes.runbook_server import RunbookServer
from tests.support.engine import Engine
from tests.support.toolsets import http, mcp

INVESTIGATE = "/api/v1/investigate"
ID = "ev-00000000000000e1"
TOKEN = "s3cr3t-of-the-register"
WEB = {"service": "web", "reason": "it leaks"}


@dataclass
class There:
    engine: Engine
    system: ForeignSystem
    runbooks: RunbookServer
    file: Path

    @property
    def model(self) -> Any:
        return self.engine.model

    def settings(self, **others: Any) -> Any:
        return self.engine.settings(**others)

    def asks(self, *asks: tuple[str, Any]) -> None:
        """Beside a question to us, so that there is a fact of the cluster to conclude from."""
        self.model.asks = [("get_causes", {"target": "Pod/shop/checkout-1"}), *asks]

    def told(self) -> list[str]:
        """What tools answered the model, in the last request that has any."""
        answers = [
            [str(one["content"]) for one in request["messages"] if one["role"] == "tool"]
            for request in self.model.requests
        ]
        return next((one for one in reversed(answers) if one), [])

    def offered(self) -> set[str]:
        return {
            one["function"]["name"] for request in self.model.requests for one in request.get("tools") or ()
        }


def write(file: Path, system: ForeignSystem, runbooks: RunbookServer, **fields: Any) -> None:
    """The configuration: the register in the file, the runbooks in a directory that it names."""
    token, folder = file.with_name("token"), file.with_name("toolsets")
    token.write_text(TOKEN)
    folder.mkdir(exist_ok=True)
    (folder / "runbooks.yaml").write_text(json.dumps(mcp(runbooks.url)))
    register = http(system.url, credential={"token_file": str(token)}, **fields)
    others = http(system.url, name="of-others", tenants=["others"])
    file.write_text(json.dumps({"toolsets": {"directory": "toolsets", "custom": [register, others]}}))


def alert(*toolsets: str, **fields: Any) -> dict[str, Any]:
    labels = {"namespace": "shop", "pod": "checkout-1"}
    return {
        "alert_name": "KubePodCrashLooping",
        "namespace": "shop",
        "labels": labels,
        "toolsets": list(toolsets),
        **fields,
    }


async def begun(api: httpx.AsyncClient, *toolsets: str) -> str:
    answer = await api.post(f"{INVESTIGATE}/async", json=alert(*toolsets))
    assert answer.status_code == 202, answer.text
    id_: str = answer.json()["investigation_id"]
    return id_


async def asked_for(api: httpx.AsyncClient, id_: str, *, within: float = 60) -> dict[str, Any]:
    """What it wants a person to agree to."""
    async with asyncio.timeout(within):
        while True:
            body = (await api.get(f"{INVESTIGATE}/{id_}")).json()
            if body["pending_approvals"]:
                wanted: dict[str, Any] = body["pending_approvals"][0]
                return wanted
            assert body["status"] in ("started", "running"), body["metadata"]
            await asyncio.sleep(0.1)


async def approve(
    api: httpx.AsyncClient, id_: str, approval: str, *, approved: bool = True
) -> httpx.Response:
    body = {"approval_id": approval, "approved": approved}
    return await api.post(f"{INVESTIGATE}/{id_}/approve", json=body)
