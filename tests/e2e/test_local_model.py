"""A real, small language model in the real stack: it shows that the plumbing holds, and nothing about answers."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from services.holmesgpt_api.domain.model import WHY_NOT
from tests.support.holmesgpt import ended
from tests.support.local_model import WINDOW, local_model
from tests.support.ports import free_ports
from tests.support.stack import running

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-001", "HAPI-011", "HAPI-026"),
    pytest.mark.xdist_group("holmes-engine"),
]

ALERT = {"alert_name": "KubePodCrashLooping", "labels": {"namespace": "data", "pod": "orders-db-0"}}
PATIENCE_S = 900
"""Two cores read some ten tokens a second of it, and it is told thousands."""


async def test_a_real_model_is_asked_and_the_investigation_ends_completed_whatever_it_says(tmp_path: Path):
    (port,) = free_ports(1)
    with local_model(os.environ["KUBERNAUT_LOCAL_MODEL"], port, tmp_path / "model.log") as url:
        configured = {
            "MODEL": "smollm2",
            "HOLMESGPT_LLM_PROVIDER": "local_llm",
            "HOLMESGPT_LLM_BASE_URL": url,
            "HOLMESGPT_LLM_CONTEXT_TOKENS": str(WINDOW),
            "HOLMESGPT_LLM_MAX_TOKENS": "512",
            "HOLMESGPT_LLM_TIMEOUT": str(PATIENCE_S),
            "HOLMESGPT_INVESTIGATION_TIMEOUT": str(PATIENCE_S),
        }
        async with (
            running(tmp_path, services={"context_api", "holmesgpt_api"}, environment=configured) as stack,
            httpx.AsyncClient(
                base_url=stack.urls["holmesgpt_api"], headers=stack.headers(), trust_env=False, timeout=60
            ) as api,
        ):
            taken = (await api.post("/api/v1/investigate/async", json=ALERT)).json()
            body = await ended(api, taken["investigation_id"], within=PATIENCE_S + 30)

    asked = body["metadata"]["model"]
    print(
        f"engine {body['engine']}, {body['degraded_reason']}: {body['metadata']['degraded_detail']}; {asked}"
    )
    assert body["status"] == "completed"
    assert body["results"]["cause"]["target"]["name"] == "orders-db-config" or body["engine"] == "holmesgpt"
    assert body["degraded_reason"] in (None, *WHY_NOT)
    assert asked["requests"] >= 1
    assert asked["prompt_tokens"] > 0
    assert asked["completion_tokens"] > 0
