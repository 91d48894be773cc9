from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.run import incident
from cli.run.incident import Services, StepFailed, Story, follow
from libs.clients import AlertsClient, HolmesClient, NotificationsClient
from tests.support.story import ONSET, a_decision, a_notification, an_entry, an_episode, an_investigation

pytestmark = pytest.mark.requirement("INT-BR-WH-001", "INT-BR-TEST-005")

ALERT = {"status": "firing", "labels": {"alertname": "PodCrash"}, "startsAt": ONSET}
BODY = json.dumps({"receiver": "kubernaut", "status": "firing", "alerts": [ALERT]})
RECEIPT = {"accepted": 1, "rejected": 0, "results": []}


class House:
    """The services' answers; the last one of each is repeated."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, list[Any]] = {
            "webhook": [RECEIPT],
            "page": [{"items": [_listed(an_episode())]}],
            "episode": [an_episode()],
            "investigation": [an_investigation()],
            "notification": [a_notification()],
        }
        self.answers |= {
            name: answer if isinstance(answer, list) else [answer] for name, answer in answers.items()
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        left = self.answers[self._kind(request)]
        answer = left.pop(0) if len(left) > 1 else left[0]
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def _kind(self, request: httpx.Request) -> str:
        path = request.url.path
        if path == "/api/v1/alerts":
            return "page"
        for start, kind in (
            ("/api/v1/webhooks/", "webhook"),
            ("/api/v1/alerts/", "episode"),
            ("/api/v1/investigate/", "investigation"),
        ):
            if path.startswith(start):
                return kind
        return "notification"

    def services(self) -> Services:
        transport = httpx.MockTransport(self.answer)
        return Services(
            webhook=AlertsClient("http://a", transport=transport),
            alerts=AlertsClient("http://a", transport=transport),
            holmesgpt=HolmesClient("http://h", transport=transport),
            notifications=NotificationsClient("http://n", transport=transport),
        )


def _listed(episode: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in episode.items() if name not in {"decisions", "timeline", "incident"}
    }


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "webhook.json"
    path.write_text(BODY)
    return path


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(incident, "PAUSE_S", 0.0)


async def followed(
    house: House, body: Path, *, say: Callable[[str], None] = lambda _: None, within_s: float = 5.0
) -> Story:
    return await follow(body, house.services(), say=say, within_s=within_s)


async def failure(house: House, body: Path, *, within_s: float = 5.0) -> str:
    with pytest.raises(StepFailed) as failed:
        await followed(house, body, within_s=within_s)
    return str(failed.value)


async def test_the_story_holds_what_the_services_said_last(body):
    story = await followed(House(), body)

    assert (story.episode.id, story.investigation.investigation_id, story.notification.id) == (
        "e-1",
        "inv-1",
        "n-1",
    )


async def test_every_step_is_told_once_as_it_happens(body):
    untold = an_episode()["incident"] | {"notification_ids": []}
    decision = a_decision("priority", "P0", "score", "critical in production")
    house = House(
        episode=[
            an_episode(incident=None, timeline=[an_entry("fired")]),
            an_episode(incident=untold, timeline=[an_entry("fired"), an_entry("decided", decision=decision)]),
            an_episode(),
        ]
    )
    said: list[str] = []

    await followed(house, body, say=said.append)

    assert said == [
        "webhook acknowledged: 1 alert(s) committed, 0 rejected",
        "fired",
        "priority: P0, because critical in production",
        "notification sent",
    ]


async def test_an_alert_that_is_not_listed_yet_is_waited_for(body):
    other = _listed(an_episode(id="e-0", labels={"alertname": "PodCrash", "pod": "another"}))
    house = House(page=[{"items": []}, {"items": [other]}, {"items": [_listed(an_episode())]}])

    assert (await followed(house, body)).episode.id == "e-1"


async def test_a_notification_under_way_is_waited_for(body):
    house = House(
        notification=[a_notification(status="pending"), a_notification(status="sending"), a_notification()]
    )

    assert (await followed(house, body)).notification.status == "sent"


async def test_nobody_told_in_time_names_the_last_thing_that_happened(body):
    house = House(episode=an_episode(incident=None, timeline=[an_entry("investigation-requested")]))

    assert await failure(house, body, within_s=0.2) == (
        "follow the episode: nobody was told in time; last: investigation-requested"
    )


async def test_a_notification_that_is_never_sent_is_not_waited_for_longer_than_allowed(body):
    house = House(notification=a_notification(status="sending"))

    assert await failure(house, body, within_s=0.2) == "notify: the notification is still sending"


async def test_an_alert_that_is_never_listed_is_named_as_such(body):
    assert "the alert is not listed yet" in await failure(House(page={"items": []}), body, within_s=0.2)


async def test_a_failed_investigation_stops_the_story_with_its_reason(body):
    house = House(investigation=an_investigation(status="failed", error="the Context API is away"))

    assert await failure(house, body) == "investigate: the Context API is away"


async def test_people_told_without_an_investigation_is_a_failure(body):
    incident_without = an_episode()["incident"] | {"investigation_id": None}

    assert "no investigation was made" in await failure(
        House(episode=an_episode(incident=incident_without)), body
    )


@pytest.mark.parametrize("status", ["failed", "partially_sent"])
async def test_a_notification_that_did_not_reach_everybody_is_a_failure_with_the_channels_word(body, status):
    delivery = a_notification()["deliveries"][0] | {"state": "failed", "error": "no such host"}

    said = await failure(House(notification=a_notification(status=status, deliveries=[delivery])), body)

    assert said == f"notify: {status}: console: no such host"


async def test_a_refused_webhook_stops_the_story(body):
    refusal = httpx.Response(401, json={"title": "No", "status": 401, "code": "not-authenticated"})

    assert "not-authenticated" in await failure(House(webhook=refusal), body)


@pytest.mark.parametrize("content", ["", "{}", '{"receiver": "x", "status": "firing", "alerts": []}'])
async def test_a_body_without_an_alert_is_named(body, content):
    body.write_text(content)

    assert str(body) in await failure(House(), body)


async def test_a_body_that_is_not_there_is_named(tmp_path):
    assert "nowhere.json" in await failure(House(), tmp_path / "nowhere.json")
