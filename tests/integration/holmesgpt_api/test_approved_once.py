"""A worker killed before or after a person's word, with the real HolmesGPT: what was agreed to is done at most once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.foreign_system import foreign_system
from tests.fakes.model import model
from tests.fakes.runbook_server import runbook_server
from tests.support.engine import engine, with_model
from tests.support.foreign_engine import ID, WEB, approve, asked_for, begun, write
from tests.support.holmesgpt import ended, place, serving
from tests.support.investigations import cause, evidence, found
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-012", "HAPI-079", "HAPI-029"),
    pytest.mark.xdist_group("holmes-engine"),
]


@pytest.mark.parametrize("when", ["before the word", "while it is done"])
async def test_a_worker_that_is_killed_has_it_done_at_most_once(
    when: str, module_database: MakeDatabase, tmp_path: Path
):
    answer = found(cause(evidence_ids=[ID]), evidence=[evidence(ID)])
    with (
        context_api(causes=answer) as context,
        model() as fake,
        foreign_system() as system,
        runbook_server() as runbooks,
    ):
        write(tmp_path / "settings.yaml", system, runbooks)
        own: dict[str, Any] = {
            "config_file": str(tmp_path / "settings.yaml"),
            "toolset_origins": f"{system.url},{runbooks.url}",
        }
        here = place(module_database(SCHEMA, migrated=True), context.url, tmp_path)
        fake.asks = [("get_causes", {"target": "Pod/shop/checkout-1"}), ("cmdb__restart", WEB)]
        with engine(here, context, fake, **own) as first:
            async with serving(first.settings(), here.api_key) as api:
                id_ = await begun(api, "cmdb")
                wanted = await asked_for(api, id_, within=120)
                if when == "while it is done":
                    system.holds = True
                    await approve(api, id_, wanted["id"])
                    await asyncio.to_thread(system.wait_for_effects, 1)
                first.worker.kill()
                first.worker.wait()
                if when == "before the word":
                    await approve(api, id_, wanted["id"])
        second = here.worker_process(**with_model(fake), **own)
        try:
            async with serving(first.settings(), here.api_key) as api:
                body = await ended(api, id_, within=150)
        finally:
            second.kill()
            second.wait()

    assert len(system.effects) == 1
    assert body["engine"] == "holmesgpt", body["metadata"]
    states = {"before the word": "done", "while it is done": "unknown"}
    assert body["metadata"]["approvals"][0]["state"] == states[when]
