"""Bundles for one caller: who may have them, what they are about, and that each is made once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import orjson
import pytest

from libs.auth.principal import Principal
from libs.cache import MemoryCache
from libs.contracts.bundle import BundleRequest
from services.context_api.domain.errors import NamesNoObject, NotReadable, UnknownCluster
from services.context_api.domain.history import Past
from services.context_api.steps.answers import Answers
from services.context_api.steps.bundles import Bundles
from tests.unit.services.context_api.domain.test_history import PAST
from tests.unit.services.context_api.steps.test_ask import about, caller, desk

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "HAPI-178", "API-BR-CAPI-018")

API = {"api_version": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "api"}


class Archive:
    """Knows this past, and who asked for it."""

    def __init__(self, past: Past = PAST) -> None:
        self.told, self.asked = past, list[tuple[str, str | None]]()

    async def past(
        self, alertname: str, namespace: str | None, caller: Principal, left: timedelta | None
    ) -> Past:
        self.asked.append((alertname, namespace))
        return self.told


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    made = Answers(MemoryCache(max_entries=100, max_bytes=10_000_000), most_waiting=9, observe=lambda _: None)
    yield made
    await made.close()


def request(**asked) -> BundleRequest:
    return BundleRequest.model_validate(asked)


def alert(**labels: str) -> BundleRequest:
    return request(alert={"labels": {"alertname": "KubePodNotReady", **labels}})


async def test_an_alert_brings_its_past_along(answers: Answers):
    archive = Archive()

    made = orjson.loads(
        await Bundles(desk(answers), archive).bundle(
            alert(deployment="api", namespace="shop"), caller("*"), None
        )
    )

    assert archive.asked == [("KubePodNotReady", "shop")]
    assert [one["id"] for one in made["history"]] == ["e1", "e2", "e3", "e4"]
    assert made["resolved_by"] == "label:deployment"


async def test_a_named_target_has_no_past_and_nobody_is_asked_for_one(answers: Answers):
    archive = Archive()

    made = orjson.loads(await Bundles(desk(answers), archive).bundle(request(target=API), caller("*"), None))

    assert archive.asked == []
    assert made["history"] == []
    assert made["resolved_by"] == "given"


async def test_the_same_question_is_answered_once_and_another_past_is_another_answer(answers: Answers):
    asked = alert(deployment="api", namespace="shop")
    archive = Archive()
    bundles = Bundles(desk(answers), archive)

    first, second = (
        await bundles.bundle(asked, caller("*"), None),
        await bundles.bundle(asked, caller("*"), None),
    )
    hits = answers.rate.hits
    archive.told = Past(missing="alerts: timeout")
    third = await bundles.bundle(asked, caller("*"), None)

    assert first == second != third
    assert hits == answers.rate.hits == 1


async def test_callers_with_other_rights_get_other_bundles(answers: Answers):
    bundles = Bundles(desk(answers), Archive())

    with pytest.raises(NotReadable):
        await bundles.bundle(request(target=API), caller("bank"), None)
    with pytest.raises(NotReadable):
        await bundles.bundle(request(target={"kind": "Namespace", "name": "shop"}), caller("bank"), None)
    assert await bundles.bundle(request(target={"kind": "Namespace", "name": "shop"}), caller("shop"), None)


async def test_labels_that_name_nothing_and_unknown_clusters_are_refused(answers: Answers):
    with pytest.raises(NamesNoObject, match="target"):
        await Bundles(desk(answers), Archive()).bundle(alert(instance="10.0.0.1"), caller("*"), None)
    with pytest.raises(UnknownCluster):
        await Bundles(desk(answers, "ours"), Archive()).bundle(
            request(target=API, cluster="theirs"), caller("*"), None
        )


async def test_the_past_of_a_namespace_is_told_to_its_readers_alone(answers: Answers):
    bundles = Bundles(desk(answers), Archive())

    assert await bundles.past("KubePodNotReady", "shop", caller("shop"), None) is PAST
    with pytest.raises(NotReadable):
        await bundles.past("KubePodNotReady", "shop", caller("bank"), None)


async def test_a_graph_is_told_to_who_may_read_its_namespace(answers: Answers):
    bundles = Bundles(desk(answers), Archive())

    made = orjson.loads(await bundles.topology(about("Deployment", "api"), 2, caller("shop"), None))

    assert made["nodes"][0]["id"] == "Deployment/shop/api"
    with pytest.raises(NotReadable):
        await bundles.topology(about("Deployment", "api"), 2, caller("bank"), None)
