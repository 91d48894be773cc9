"""What an alert was and is: from its archive and from now, and never later than two seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from libs.auth.principal import Principal
from libs.cache import MemoryCache
from libs.contracts.alerts import AlertEpisode
from libs.contracts.bundle import BundleRequest, Recalled
from services.context_api.domain.errors import NamesNoObject, NotReadable, TooLate, UnknownAlert
from services.context_api.domain.history import Past
from services.context_api.domain.tools import GetContext
from services.context_api.steps import recall
from services.context_api.steps.answers import Answers
from services.context_api.steps.bundles import Bundles
from services.context_api.steps.recall import Recall
from tests.unit.services.context_api.domain.test_history import PAST, episode
from tests.unit.services.context_api.steps.test_ask import caller, desk
from tests.unit.services.context_api.steps.test_bundles import Archive

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-006", "API-BR-CAPI-001")

LABELS = {"alertname": "HighErrorRate", "namespace": "shop", "deployment": "api"}


class Known(Archive):
    """Also knows one alert by its fingerprint."""

    def __init__(self, past: Past = PAST, latest: AlertEpisode | None = None) -> None:
        super().__init__(past)
        self.newest = latest

    async def latest(
        self, fingerprint: str, caller: Principal, left: timedelta | None
    ) -> AlertEpisode | None:
        assert left is not None
        assert left <= recall.WITHIN
        return self.newest


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    made = Answers(MemoryCache(max_entries=100, max_bytes=10_000_000), most_waiting=9, observe=lambda _: None)
    yield made
    await made.close()


def recalling(answers: Answers, archive: Known) -> Recall:
    return Recall(Bundles(desk(answers), archive), archive)


async def told(answers: Answers, archive: Known, left: timedelta | None = None, **asked: Any) -> Recalled:
    made = await recalling(answers, archive).context(GetContext(**asked), caller("*"), left)
    return Recalled.model_validate_json(made)


async def test_ended_episodes_are_compared_and_the_current_evidence_comes_along(answers: Answers):
    made = await told(answers, Known(), labels=LABELS, similarity_threshold=0.5)

    assert [one.id for one in made.similar] == ["e1", "e2", "e3"]  # e4 still fires
    assert made.compared == 3
    assert made.similar[0].cause == "ConfigChangedBeforeOnset of ConfigMap/shop/api-conf"
    assert made.endings == [{"state": "resolved", "episodes": 3, "median_seconds": 600}]
    assert made.bundle is not None
    assert made.bundle.resolved_by == "label:deployment"
    assert made.missing == []


async def test_what_is_less_alike_than_asked_for_is_left_out(answers: Answers):
    made = await told(answers, Known(), labels={**LABELS, "team": "a", "zone": "b"}, similarity_threshold=0.9)

    assert (made.similar, made.compared, made.endings) == ([], 3, [])


async def test_a_fingerprint_stands_for_the_labels_of_its_newest_episode(answers: Answers):
    newest = episode(9, days=0).model_copy(update={"labels": LABELS})

    made = await told(answers, Known(latest=newest), alert_fingerprint="f")

    assert (made.alertname, made.fingerprint) == ("HighErrorRate", "f")
    assert str(made.target) == "Deployment/shop/api"


async def test_a_fingerprint_nobody_knows_is_refused_with_what_to_give_instead(answers: Answers):
    with pytest.raises(UnknownAlert, match="labels instead"):
        await told(answers, Known(), alert_fingerprint="f")


async def test_an_archive_that_is_away_costs_the_answer_its_past_and_says_so(answers: Answers):
    made = await told(answers, Known(Past(missing="the alerts service: refused")), labels=LABELS)

    assert made.similar == []
    assert made.missing == ["the alerts service: refused"]
    assert made.bundle is not None


async def test_evidence_that_does_not_come_in_time_is_left_out_and_named(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
):
    async def late(*_: object) -> bytes:
        raise TooLate(timedelta(seconds=2))

    monkeypatch.setattr(Bundles, "packed", late)

    made = await told(answers, Known(), labels=LABELS, similarity_threshold=0)

    assert made.bundle is None
    assert made.missing == ["the current evidence: not answered within 2.0 s; it goes on, ask again"]
    assert len(made.similar) == 3


async def test_a_caller_with_less_time_is_not_kept_longer(answers: Answers, monkeypatch: pytest.MonkeyPatch):
    seen: list[timedelta] = []
    packed = Bundles.packed

    async def noted(self: Bundles, *given: Any) -> bytes:
        seen.append(given[-1])
        return await packed(self, *given)

    monkeypatch.setattr(Bundles, "packed", noted)

    await told(answers, Known(), labels=LABELS)
    await told(answers, Known(), timedelta(seconds=1), labels={**LABELS, "x": "y"})

    assert timedelta(seconds=1) < seen[0] <= recall.WITHIN
    assert timedelta(0) < seen[1] <= timedelta(seconds=1)


async def test_only_the_wanted_kinds_of_evidence_are_in_it(answers: Answers):
    made = await told(answers, Known(), labels=LABELS, context_types=["kubernetes", "kubernetes"])

    assert made.bundle is not None
    assert {item.source for item in made.bundle.items} <= {"kubernetes"}
    assert made.compared == 3


async def test_an_alert_without_a_name_has_no_past(answers: Answers):
    made = await told(answers, Known(), labels={"namespace": "shop", "deployment": "api"})

    assert made.missing == ["earlier episodes: the labels hold no alertname"]


async def test_who_may_not_read_the_object_learns_nothing(answers: Answers):
    asked = GetContext(labels=LABELS)
    with pytest.raises(NotReadable):
        await recalling(answers, Known()).context(asked, caller("bank"), None)
    with pytest.raises(NamesNoObject):
        await recalling(answers, Known()).context(GetContext(labels={"alertname": "X"}), caller("*"), None)


async def test_the_bundle_in_it_is_the_one_the_route_gives(answers: Answers):
    archive = Known()
    asked = GetContext(labels=LABELS)
    made = await recalling(answers, archive).context(asked, caller("*"), None)

    plain = await Bundles(desk(answers), archive).bundle(
        BundleRequest.model_validate({"alert": {"labels": LABELS}}), caller("*"), None
    )

    assert plain in made
    assert orjson.loads(made)["bundle"] == orjson.loads(plain)
