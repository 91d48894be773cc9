"""The real stack with a model: its tools read the recorded cluster, and its verdict cites what they have shown it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.auth.keys import KeyRing
from libs.auth.minter import TokenMinter
from libs.auth.permissions import Role
from tests.fakes.model import agreeing, model
from tests.support.engine import KEY
from tests.support.holmesgpt import ended
from tests.support.stack import Stack, running

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-001", "HAPI-011", "HAPI-026", "HAPI-032", "HAPI-167", "HAPI-170"),
    pytest.mark.xdist_group("holmes-engine"),
]

CRASHING = {"namespace": "data", "pod": "orders-db-0"}
OF_SHOP = {"alert_name": "HighErrorRate", "labels": {"namespace": "shop", "deployment": "checkout"}}
ALERT = {"alert_name": "KubePodCrashLooping", "labels": CRASHING}


def citing_the_log(known: dict[str, Any]) -> dict[str, Any]:
    """Triage's object, on the word of the log alone."""
    log = next(line.partition(":")[0] for line in known["evidence"] if "log lines of" in line)
    document = agreeing(known)
    document["cause"] |= {"text": "It keeps the database from starting.", "evidence_ids": [log]}
    return document


def token_for(stack: Stack, namespaces: list[str]) -> str:
    """A person's token that reaches these namespaces alone."""
    ring = KeyRing.parse(stack.keys.document.encode())
    minter = TokenMinter(lambda: ring, service="test")
    return minter.mint("ana", tenant="default", roles=[Role.operator], namespaces=namespaces)


async def investigated(api: httpx.AsyncClient, alert: dict[str, Any]) -> dict[str, Any]:
    taken = (await api.post("/api/v1/investigate/async", json=alert)).json()
    return await ended(api, taken["investigation_id"], within=120)


def configured_for(model_url: str) -> dict[str, str]:
    return {
        "MODEL": "scripted",
        "HOLMESGPT_LLM_PROVIDER": "local_llm",
        "HOLMESGPT_LLM_BASE_URL": model_url,
        "HOLMESGPT_LLM_API_KEY": KEY,
    }


@pytest.mark.requirement("HAPI-005", "HAPI-038", "API-BR-PERF-034")
async def test_a_burst_is_served_within_the_connections_that_an_installation_gives_the_service(
    tmp_path: Path,
):
    refusals = "too many connections"
    with model() as fake:
        async with (
            running(
                tmp_path, services={"context_api", "holmesgpt_api"}, environment=configured_for(fake.url)
            ) as stack,
            httpx.AsyncClient(
                base_url=stack.urls["holmesgpt_api"], headers=stack.headers(), trust_env=False, timeout=90
            ) as api,
        ):
            answers = await asyncio.gather(
                *(api.post("/api/v1/investigate", json={**ALERT, "context": {"n": n}}) for n in range(20)),
                *(api.post("/api/v1/chat", json={"message": f"Is order {n} well?"}) for n in range(20)),
            )
            log = stack.postgres.place.log.read_text()

    assert {answer.status_code for answer in answers} == {200}
    assert [line for line in log.splitlines() if refusals in line] == []


@pytest.mark.requirement("HAPI-075", "HAPI-096")
async def test_a_model_cites_what_its_tools_read_and_reads_nothing_its_asker_may_not(tmp_path: Path):
    with model() as fake:
        fake.document = citing_the_log
        fake.asks = [
            ("get_evidence", {"of": "Pod/data/orders-db-0", "kind": "event"}),
            ("get_logs", {**CRASHING, "previous": True}),
            ("get_logs", {"namespace": "nowhere", "pod": "nothing"}),
        ]
        services = {"context_api", "holmesgpt_api"}
        async with (
            running(tmp_path, services=services, environment=configured_for(fake.url)) as stack,
            httpx.AsyncClient(
                base_url=stack.urls["holmesgpt_api"], headers=stack.headers(), trust_env=False, timeout=60
            ) as api,
        ):
            body = await investigated(api, ALERT)
            fake.reset()
            fake.asks = [("get_logs", CRASHING), ("get_evidence", {"of": "ConfigMap/data/orders-db-config"})]
            api.headers["Authorization"] = f"Bearer {token_for(stack, ['shop'])}"
            limited = await investigated(api, OF_SHOP)
            sent = json.dumps(fake.requests)

    assert (body["engine"], body["degraded_reason"]) == ("holmesgpt", None), body["metadata"]
    assert body["results"]["cause"]["target"]["name"] == "orders-db-config"
    (cited,) = body["results"]["cause"]["evidence_ids"]
    (log,) = [item for item in body["results"]["evidence"] if item["id"] == cited]
    assert (log["kind"], log["target"]["name"]) == ("log", "orders-db-0")
    claim = body["results"]["claims"][0]
    # The log is there to be cited, and names no ConfigMap: who reads the claim is told that it is more than it shows.
    assert (claim["status"], claim["evidence_ids"]) == ("hypothesis", [cited])
    assert claim["reason"] == 'not-in-evidence: "ConfigMap/data/orders-db-config"'
    tools = body["metadata"]["model"]["tools"]
    assert sorted((one["tool"], one["ok"]) for one in tools) == [
        ("get_evidence", True),
        ("get_logs", False),
        ("get_logs", True),
    ]

    refused = limited["metadata"]["model"]["tools"]
    assert [one["ok"] for one in refused] == [False, False]
    assert {one["detail"].partition(":")[0] for one in refused} == {"not allowed"}
    assert "orders-db-config" not in json.dumps(limited["results"])
    assert "PostgreSQL Database directory" not in sent  # a line of the log that the model was told to fetch
