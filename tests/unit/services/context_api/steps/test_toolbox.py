"""A tool's answer is the route's answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from libs.cache import MemoryCache
from libs.contracts.bundle import BundleRequest
from libs.contracts.context import Resolution
from services.context_api.domain.errors import BadSelector, NotReadable, UnknownObject
from services.context_api.domain.excerpt import Wanted
from services.context_api.domain.selector import parse_selector
from services.context_api.domain.tools import BadArguments, GetBundle, TooLarge
from services.context_api.steps import toolbox
from services.context_api.steps.answers import Answers
from services.context_api.steps.ask import Desk
from services.context_api.steps.bundles import Bundles
from services.context_api.steps.recall import Recall
from services.context_api.steps.toolbox import Toolbox, about, request
from tests.unit.services.context_api.steps.test_ask import caller, desk
from tests.unit.services.context_api.steps.test_recall import LABELS, Known

pytestmark = pytest.mark.requirement("API-BR-CAPI-016", "API-BR-CAPI-018")

API = "Deployment.apps/shop/api"


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    made = Answers(MemoryCache(max_entries=100, max_bytes=10_000_000), most_waiting=9, observe=lambda _: None)
    yield made
    await made.close()


def all_of_it(answers: Answers) -> tuple[Desk, Bundles, Toolbox]:
    at, archive = desk(answers), Known()
    bundles = Bundles(at, archive)
    return at, bundles, Toolbox(at, bundles, Recall(bundles, archive))


async def test_the_bytes_are_those_of_the_routes(answers: Answers):
    at, bundles, box = all_of_it(answers)
    who = caller("*")
    asked = BundleRequest.model_validate({"alert": {"labels": LABELS}})

    pairs = [
        (("find_causes", {"target": API}), await at.causes(about(API), None, who, None)),
        (("get_topology", {"target": API, "depth": 2}), await bundles.topology(about(API), 2, who, None)),
        (("get_bundle", {"labels": LABELS}), await bundles.bundle(asked, who, None)),
        (
            ("list_objects", {"namespace": "shop", "resource": "pods"}),
            await at.listing("shop", "pods", parse_selector(""), who, None),
        ),
        (
            ("get_evidence", {"target": API}),
            await at.evidence(about(API), None, toolbox.PAGE, None, who, None),
        ),
    ]

    for (name, given), expected in pairs:
        assert await box.call(name, given, who, None) == expected, name


async def test_labels_are_resolved_as_the_route_resolves_them(answers: Answers):
    at, _, box = all_of_it(answers)

    made = await box.call("resolve_alert", {"labels": LABELS}, caller("*"), None)

    assert Resolution.model_validate_json(made) == await at.resolve(LABELS, None, caller("*"), None)


async def test_a_fact_is_found_by_the_id_that_causes_cite(answers: Answers):
    _, _, box = all_of_it(answers)
    page = await box.call("get_evidence", {"target": API}, caller("*"), None)
    fact: str = json.loads(page)["items"][0]["id"]

    assert fact.encode() in await box.call("get_evidence", {"id": fact}, caller("*"), None)


async def test_refusals_are_the_steps_own(answers: Answers):
    _, _, box = all_of_it(answers)

    with pytest.raises(NotReadable):
        await box.call("find_causes", {"target": API}, caller("bank"), None)
    with pytest.raises(UnknownObject):
        await box.call("find_causes", {"target": "Pod/shop/nobody"}, caller("*"), None)
    with pytest.raises(BadSelector):
        await box.call(
            "list_objects", {"namespace": "shop", "resource": "pods", "labels": "=="}, caller("*"), None
        )
    with pytest.raises(BadArguments):
        await box.call("find_causes", {"target": ""}, caller("*"), None)


async def test_an_answer_that_is_too_large_is_refused_with_how_to_ask_for_less(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(toolbox, "LARGEST", 100)
    _, _, box = all_of_it(answers)

    with pytest.raises(TooLarge, match="get_bundle"):
        await box.call("find_causes", {"target": API}, caller("*"), None)


async def test_lines_are_asked_for_as_the_arguments_say(answers: Answers, monkeypatch: pytest.MonkeyPatch):
    seen: list[object] = []

    async def logs(_self: Desk, *given: object) -> bytes:
        seen.extend(given)
        return b"{}"

    monkeypatch.setattr(Desk, "logs", logs)
    _, _, box = all_of_it(answers)

    await box.call(
        "get_logs",
        {
            "namespace": "shop",
            "pod": "api-1",
            "container": "app",
            "previous": True,
            "contains": "x",
            "tail": 7,
        },
        caller("*"),
        timedelta(seconds=1),
    )

    assert seen[:3] == ["shop", "api-1", Wanted("app", True, 7, "x", True)]
    assert seen[-1] == timedelta(seconds=1)


def test_a_target_in_a_bundle_is_read_with_its_group():
    asked = request(GetBundle(target=API, max_tokens=2000, investigation_type="basic_investigation"))

    assert asked.target is not None
    assert (asked.target.api_version, asked.max_tokens) == ("apps/v1", 2000)
    assert str(about("Node/_cluster/n1")) == "Node/_cluster/n1"
