"""The real HolmesGPT against a scripted model: what it concludes stands on evidence, and whatever it does, triage stands in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from libs.contracts.causes import CausesAnswer
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import model
from tests.support.engine import KEY, Engine, engine
from tests.support.holmesgpt import ended, place, serving
from tests.support.investigations import CONFIG, cause, evidence, found
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-026"),
    pytest.mark.xdist_group("holmes-engine"),
]

INVESTIGATE = "/api/v1/investigate"
ID = "ev-00000000000000e1"


def answer(**fields: Any) -> CausesAnswer:
    fact = evidence(ID)
    return found(cause(evidence_ids=[ID]), evidence=[fact], **fields)


@pytest.fixture(scope="module")
def shared(module_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with context_api() as context, model() as fake:
        here = place(module_database(SCHEMA), context.url, tmp_path_factory.mktemp("holmes"))
        with engine(here, context, fake) as running:
            yield running


@pytest.fixture
def there(shared: Engine) -> Iterator[Engine]:
    shared.model.reset()
    shared.context.causes, shared.context.about = answer(), None
    shared.context.calls.clear()
    shared.context.credentials.clear()
    yield shared
    shared.model.let_go()


def alert(**fields: Any) -> dict[str, Any]:
    labels = {"namespace": "shop", "pod": "checkout-1"}
    return {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": labels, **fields}


async def investigated(there: Engine, **settings: Any) -> dict[str, Any]:
    async with serving(there.settings(**settings), there.place.api_key) as api:
        taken = (await api.post(f"{INVESTIGATE}/async", json=alert())).json()
        return await ended(api, taken["investigation_id"], within=90)


async def test_a_models_verdict_cites_evidence_its_tools_have_shown_it(there: Engine):
    body = await investigated(there)

    assert (body["status"], body["engine"], body["degraded_reason"]) == ("completed", "holmesgpt", None)
    assert body["results"]["cause"]["target"]["name"] == CONFIG.name
    assert body["results"]["cause"]["evidence_ids"] == [ID]
    assert [(one["status"], one["evidence_ids"]) for one in body["results"]["claims"]] == [
        ("supported", [ID]),
        ("supported", [ID]),
        ("hypothesis", []),
    ]
    assert [one["id"] for one in body["results"]["evidence"]] == [ID]
    used = body["metadata"]["model"]
    assert [(one["tool"], one["ok"]) for one in used["tools"]] == [("get_causes", True)]
    assert (used["steps"], used["requests"], body["metadata"]["tokens_used"]) == (3, 3, 3150)
    assert used["cost_usd"] == pytest.approx((3000 * 2 + 150 * 8) / 1e6)
    assert set(there.model.keys) == {f"Bearer {KEY}"}
