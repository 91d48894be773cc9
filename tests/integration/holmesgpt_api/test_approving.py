"""A person's word over HTTP: who may give it, what is shown before, and what is answered when it comes too late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from libs.auth.new_keys import new_api_key, stored_form
from tests.fakes.foreign_system import ForeignSystem, foreign_system, says
from tests.integration.holmesgpt_api.test_approvals import TOOL, WEB, wanted
from tests.support.abroad import there
from tests.support.holmesgpt import Place, serving
from tests.support.toolsets import http, listed

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079", "HAPI-068")


@pytest.fixture
def system() -> Iterator[ForeignSystem]:
    with foreign_system() as made:
        made.answer = lambda got: says({"restarted": True})
        yield made


def with_another_caller(here: Place, id_: str, role: str, **fields: Any) -> str:
    """The key of one more caller of that role."""
    file = Path(here.values["auth_keys_file"])
    document = yaml.safe_load(file.read_text())
    key = new_api_key()
    entry = {"id": id_, "hmac": stored_form(key, pepper=document["pepper"]), "roles": [role], **fields}
    document["api_keys"].append(entry)
    file.write_text(yaml.safe_dump(document))
    return key


async def test_deciding_over_http(here: Place, system: ForeignSystem):
    asker = with_another_caller(here, "machine", "api_user")
    stranger = with_another_caller(here, "stranger", "operator", namespaces=["other"])
    async with serving(here.settings(), here.api_key) as api:
        taken = (
            await api.post(
                "/api/v1/investigate/async",
                json={"alert_name": "A", "namespace": "shop"},
                headers={"Authorization": f"Bearer {asker}"},
            )
        ).json()["investigation_id"]
        url = f"/api/v1/investigate/{taken}/approve"
        async with there(here, [listed(http(system.url))]) as place:
            run = await place.again(taken)
            waiting = asyncio.create_task((await place.asking(run)).ask(TOOL, **WEB))
            (approval,) = await wanted(place, run)
            shown = (await api.get(f"/api/v1/investigate/{taken}")).json()
            body = {"approval_id": approval, "approved": True, "comment": "go on"}

            async def decided(key: str | None = None, **fields: Any) -> httpx.Response:
                headers = {"Authorization": f"Bearer {key}"} if key else {}
                return await api.post(url, json={**body, **fields}, headers=headers)

            refused = [await decided(asker), await decided(stranger), await decided(approval_id="apr-x")]
            unfit = [
                await decided(approved="perhaps"),
                await decided(approval_id=""),
                await decided(comment="x" * 2_000),
                await decided(other=1),
            ]
            nothing_yet = list(system.effects)
            first = await decided()
            answered = await waiting
            second, against = await decided(), await decided(approved=False)
            after = (await api.get(f"/api/v1/investigate/{taken}")).json()

    assert [one["id"] for one in shown["pending_approvals"]] == [approval]
    assert shown["pending_approvals"][0]["arguments"] == WEB
    assert [one.status_code for one in refused] == [403, 404, 404]
    assert [one.status_code for one in unfit] == [422] * 4
    assert nothing_yet == []
    assert (first.status_code, first.json()["state"]) == (200, "approved")
    assert first.json()["decided_by"]
    assert answered.ok
    assert (second.status_code, second.json()["state"]) == (200, "done")
    assert (against.status_code, against.json()["code"]) == (409, "decided-otherwise")
    assert after["pending_approvals"] == []
    assert [(one["state"], one["comment"]) for one in after["metadata"]["approvals"]] == [("done", "go on")]
    assert len(system.effects) == 1


async def test_too_late_over_http_is_gone(here: Place, system: ForeignSystem):
    async with serving(here.settings(), here.api_key) as api:
        taken = (
            await api.post("/api/v1/investigate/async", json={"alert_name": "A", "namespace": "shop"})
        ).json()
        id_ = taken["investigation_id"]
        async with there(here, [listed(http(system.url))]) as place:
            run = await place.again(id_)
            await (await place.asking(run, patience=0.2)).ask(TOOL, **WEB)
            (approval,) = await wanted(place, run)
            answer = await api.post(
                f"/api/v1/investigate/{id_}/approve", json={"approval_id": approval, "approved": True}
            )

    assert (answer.status_code, answer.json()["code"]) == (410, "approval-expired")
    assert system.effects == []
