"""Stock HolmesGPT (its command, its defaults, its own MCP client) with our toolset document and our MCP server.

Two of them run at once, with tokens of different reach, each with a scripted model; every test reads what came of that.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.context_api.domain.tools import TOOLS
from services.context_api.domain.toolset import NAME, TOKEN
from tests.fakes.model import FakeModel, model
from tests.integration.context_api.test_mcp import CHECKOUT, Place, place
from tests.integration.context_api.test_service import token
from tests.support.programs import ENVIRONMENTS

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-016", "API-BR-CAPI-017", "API-BR-CAPI-018"),
    pytest.mark.xdist_group("holmes-engine"),
]

HOLMES = ENVIRONMENTS["holmes-engine"] / "bin" / "holmes"
HTTP = f"{NAME}_request"
CONTEXT = "/api/v1/context"
ABOUT = "Deployment.apps/checkout"
WITHIN_S = 300
"""For two starts of HolmesGPT at once, which take 15 s each on a quiet machine."""


@dataclass(frozen=True)
class Ran:
    """One HolmesGPT after its question: what its tools gave, and what its model was told."""

    url: str
    calls: list[dict[str, Any]]
    model: FakeModel
    said: str
    answers: dict[str, str]
    """What the same questions give over HTTP, with the same token."""

    def of(self, tool: str, **part: str) -> tuple[str, str]:
        """Status and text of the one call of that tool whose arguments hold these."""
        (found,) = [
            one["result"]
            for one in self.calls
            if one["tool_name"] == tool and part.items() <= one["result"]["params"].items()
        ]
        return found["status"], str(found["data"] or "") + str(found["error"] or "")


def questions(url: str) -> list[tuple[str, dict[str, Any]]]:
    """What both models ask for at once, good and bad."""
    return [
        ("find_causes", {"target": CHECKOUT}),
        ("find_causes", {"target": "$(touch /tmp/canary)"}),
        ("get_logs", {"namespace": "data", "pod": "orders-db-0", "tail": 3}),
        ("get_evidence", {"id": "ev-0000000000000000"}),
        (HTTP, {"url": f"{url}{CONTEXT}/causes/shop/{ABOUT}"}),
        (HTTP, {"url": f"{url}{CONTEXT}/logs/data/orders-db-0?tail=3"}),
        (HTTP, {"url": f"{url}{CONTEXT}/causes/shop/Pod/%27%20OR%201=1--"}),
        (HTTP, {"url": f"{url}{CONTEXT}/bundle", "method": "POST", "body": "{}"}),
        (HTTP, {"url": f"{url}{CONTEXT}/bundle/stream?target={CHECKOUT}"}),
        (HTTP, {"url": f"{url}/mcp"}),
        (HTTP, {"url": f"{url}{CONTEXT}/causes/shop/{ABOUT}?x=1", "method": "DELETE"}),
        (HTTP, {"url": f"http://127.0.0.1:1{CONTEXT}/causes/shop/{ABOUT}"}),
    ]


async def run(there: Place, fake: FakeModel, held: str, home: Path) -> Ran:
    async with there.http(held) as http:
        document = await http.get("/api/v1/toolset.yaml")
        paths = {
            "causes": f"{CONTEXT}/causes/shop/{ABOUT}",
            "logs": f"{CONTEXT}/logs/data/orders-db-0?tail=3&clustered=true",
            "plain logs": f"{CONTEXT}/logs/data/orders-db-0?tail=3",
        }
        answers = {name: (await http.get(path)).text for name, path in paths.items()}
    (home / "toolset.yaml").write_text(document.text)
    server = {
        "url": f"{there.url}/mcp",
        "mode": "streamable-http",
        "headers": {"Authorization": f"Bearer {{{{ env.{TOKEN} }}}}"},
    }
    config = {"mcp_servers": {"kubernaut": {"description": "evidence", "config": server}}}
    (home / "config.yaml").write_text(json.dumps(config))
    fake.asks = questions(there.url)
    process = await asyncio.create_subprocess_exec(
        *(str(HOLMES), "ask", "Why is checkout down?", "--model", "openai/scripted", "--no-interactive"),
        *("--config", str(home / "config.yaml"), "--custom-toolsets", str(home / "toolset.yaml")),
        *("--json-output-file", str(home / "out.json")),
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            # By default a folder that all users of the machine would share, and the first of them owns.
            "HOLMES_TOOL_RESULT_STORAGE_PATH": str(home / "results"),
            TOKEN: held,
            "OPENAI_API_BASE": fake.url,
            "OPENAI_API_KEY": "sk-scripted-model",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "HF_HUB_OFFLINE": "1",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    calls = json.loads((home / "out.json").read_text())["tool_calls"]
    return Ran(there.url, calls, fake, said.decode(), answers)


async def both(folder: Path) -> tuple[Ran, Ran]:
    homes = [folder / "everything", folder / "shop"]
    for home in homes:
        await asyncio.to_thread(home.mkdir)
    with ExitStack() as models:
        first, second = models.enter_context(model()), models.enter_context(model())
        async with place() as there:
            everything, shop = await asyncio.gather(
                run(there, first, token("*"), homes[0]),
                run(there, second, token("shop"), homes[1]),
            )
    return everything, shop


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    return asyncio.run(both(tmp_path_factory.mktemp("holmes")))


def test_both_doors_are_found_well_and_offered_to_the_model(ran: tuple[Ran, Ran]):
    for one in ran:
        offered = [tool["function"]["name"] for tool in one.model.requests[0]["tools"]]
        assert set(TOOLS) | {HTTP} <= set(offered)
        told = str(one.model.requests[0]["messages"][0]["content"])
        assert "Ask in this order" in told
        assert f"1. GET {one.url}{CONTEXT}/causes/" in told


def test_over_mcp_the_model_reads_what_the_route_answers_and_reads_it_once(ran: tuple[Ran, Ran]):
    everything, _ = ran

    status, text = everything.of("find_causes", target=CHECKOUT)

    assert status == "success"
    assert json.loads(text) == json.loads(everything.answers["causes"])
    assert json.loads(everything.of("get_logs")[1]) == json.loads(everything.answers["logs"])


def test_over_the_toolset_it_reads_the_same(ran: tuple[Ran, Ran]):
    everything, _ = ran

    status, text = everything.of(HTTP, url=f"{everything.url}{CONTEXT}/causes/shop/{ABOUT}")
    _, lines = everything.of(HTTP, url=f"{everything.url}{CONTEXT}/logs/data/orders-db-0?tail=3")

    assert status == "success"
    assert json.loads(everything.answers["causes"])["ranked"][0]["reason"] in text
    assert json.loads(everything.answers["plain logs"])["evidence_id"] in lines


@pytest.mark.requirement("HAPI-178")
def test_each_instance_is_told_what_its_own_token_may_read(ran: tuple[Ran, Ran]):
    _, shop = ran

    assert shop.of("find_causes", target=CHECKOUT)[0] == "success"
    refused = [
        shop.of("get_logs"),
        shop.of(HTTP, url=f"{shop.url}{CONTEXT}/logs/data/orders-db-0?tail=3"),
    ]
    assert [status for status, _ in refused] == ["error", "error"]
    assert all("may not read namespace data" in text for _, text in refused)
    assert "orders-db-config" not in json.dumps(shop.model.requests)


@pytest.mark.requirement("API-BR-SEC-006")
def test_bad_questions_get_errors_that_a_model_can_read(ran: tuple[Ran, Ran]):
    for one in ran:
        injected = one.of("find_causes", target="$(touch /tmp/canary)")
        unknown = one.of("get_evidence")
        quoted = one.of(HTTP, url=f"{one.url}{CONTEXT}/causes/shop/Pod/%27%20OR%201=1--")

        assert injected[0] == unknown[0] == quoted[0] == "error"
        assert "invalid-arguments: target" in injected[1]
        assert "unknown-evidence" in unknown[1]
        assert "422" in quoted[1]
    assert not Path("/tmp/canary").exists()


@pytest.mark.requirement("API-BR-SEC-006")
@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"method": "POST"}, "not in whitelist"),
        ({"method": "DELETE"}, "not allowed"),
        ({"url": "{url}/mcp"}, "not in whitelist"),
        ({"url": "{url}/api/v1/context/bundle/stream?target=" + CHECKOUT}, "not in whitelist"),
        ({"url": "http://127.0.0.1:1/api/v1/context/causes/shop/" + ABOUT}, "not in whitelist"),
    ],
    ids=["write", "delete", "elsewhere", "stream", "another port"],
)
def test_what_the_document_does_not_name_is_never_sent(ran: tuple[Ran, Ran], part: dict[str, str], said: str):
    for one in ran:
        status, text = one.of(HTTP, **{key: value.format(url=one.url) for key, value in part.items()})

        assert status == "error"
        assert said in text


async def test_a_toolset_names_the_address_it_was_asked_at_or_the_one_that_is_set():
    async with place(public_url="https://context.example/base/") as there, there.http() as http:
        chosen = await http.get("/api/v1/toolset.yaml")
    async with place() as there, httpx.AsyncClient(base_url=there.url) as http:
        held = {"Authorization": f"Bearer {token('*')}"}
        asked = await http.get("/api/v1/toolset.yaml", headers=held)
        named = await http.get(
            "/api/v1/toolset.yaml", headers={**held, "Host": "context-api.kubernaut.svc:8091"}
        )

    assert chosen.headers["content-type"].startswith("application/yaml")
    assert "GET https://context.example/base/api/v1/context/causes/" in chosen.text
    assert f"GET {there.url}/api/v1/context/causes/" in asked.text
    assert "GET http://context-api.kubernaut.svc:8091/api/v1/context/causes/" in named.text
    assert token("*") not in asked.text
