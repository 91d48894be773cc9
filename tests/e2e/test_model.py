"""The real stack with a model: its tools read the recorded cluster, and its verdict cites what they have shown it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.model import agreeing, model
from tests.support.engine import KEY
from tests.support.holmesgpt import ended
from tests.support.stack import running

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-001", "HAPI-011", "HAPI-026", "HAPI-032", "HAPI-167", "HAPI-170"),
    pytest.mark.xdist_group("holmes-engine"),
]

CRASHING = {"namespace": "data", "pod": "orders-db-0"}
ALERT = {"alert_name": "KubePodCrashLooping", "labels": CRASHING}


def citing_the_log(known: dict[str, Any]) -> dict[str, Any]:
    """Triage's object, on the word of the log alone."""
    log = next(line.partition(":")[0] for line in known["evidence"] if "log lines of" in line)
    document = agreeing(known)
    document["cause"]["evidence_ids"] = [log]
    return document


async def test_a_model_reads_the_recorded_cluster_through_its_tools_and_cites_a_log_it_asked_for(
    tmp_path: Path,
):
    with model() as fake:
        fake.document = citing_the_log
        fake.asks = [
            ("get_evidence", {"of": "Pod/data/orders-db-0", "kind": "event"}),
            ("get_logs", {**CRASHING, "previous": True}),
            ("get_logs", {"namespace": "nowhere", "pod": "nothing"}),
        ]
        configured = {
            "MODEL": "scripted",
            "HOLMESGPT_LLM_PROVIDER": "local_llm",
            "HOLMESGPT_LLM_BASE_URL": fake.url,
            "HOLMESGPT_LLM_API_KEY": KEY,
        }
        services = {"context_api", "holmesgpt_api"}
        async with (
            running(tmp_path, services=services, environment=configured) as stack,
            httpx.AsyncClient(
                base_url=stack.urls["holmesgpt_api"], headers=stack.headers(), trust_env=False, timeout=60
            ) as api,
        ):
            taken = (await api.post("/api/v1/investigate/async", json=ALERT)).json()
            body = await ended(api, taken["investigation_id"], within=120)

    assert (body["engine"], body["degraded_reason"]) == ("holmesgpt", None), body["metadata"]
    assert body["results"]["cause"]["target"]["name"] == "orders-db-config"
    (cited,) = body["results"]["cause"]["evidence_ids"]
    (log,) = [item for item in body["results"]["evidence"] if item["id"] == cited]
    assert (log["kind"], log["target"]["name"]) == ("log", "orders-db-0")
    assert body["results"]["claims"][0]["status"] == "supported"
    tools = body["metadata"]["model"]["tools"]
    assert sorted((one["tool"], one["ok"]) for one in tools) == [
        ("get_evidence", True),
        ("get_logs", False),
        ("get_logs", True),
    ]
