"""What becomes of deliveries: retries as rows, pauses a channel asks for, one channel never in another's way."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.fakes.mailbox import Mailbox, mailbox
from tests.fakes.slack import OK, Answer, SlackFake
from tests.support.certificates import Certificate, certificate
from tests.support.notifications import PATH, Place, send, serving, until, working

pytestmark = pytest.mark.requirement("INT-BR-NOT-011", "INT-BR-ERR-006", "INT-BR-REL-004")

PASSWORD = secrets.token_urlsafe(24)


@pytest.fixture(scope="module")
def server_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def box(server_certificate: Certificate) -> Iterator[Mailbox]:
    with mailbox(server_certificate.server_context(), password=PASSWORD) as made:
        yield made


def by_slack(fake: SlackFake) -> dict[str, Any]:
    return {"slack_webhook_url": fake.url, "slack_origins": [fake.origin]}


def by_mail(box: Mailbox, tls: Certificate) -> dict[str, Any]:
    return {
        "smtp_host": "127.0.0.1",
        "smtp_port": box.port,
        "smtp_username": "kubernaut",
        "smtp_password": PASSWORD,
        "smtp_ca_file": tls.authority,
        "email_from": "kubernaut@ops.example.org",
    }


class Answers:
    """Gives these answers in turn, then OK."""

    def __init__(self, *answers: Answer | None) -> None:
        self._left = list(answers)

    def __call__(self, _: dict[str, Any]) -> Answer | None:
        return self._left.pop(0) if self._left else OK


def only(shown: dict[str, Any]) -> dict[str, Any]:
    (delivery,) = shown["deliveries"]
    return dict(delivery)


async def attempts(api: Any, notification: dict[str, Any]) -> list[tuple[str, str | None]]:
    items = (await api.get(f"{PATH}/{notification['id']}/attempts")).json()["items"]
    return [(item["outcome"], item["reason"]) for item in items]


@pytest.mark.requirement("INT-BR-NOT-001", "INT-BR-NOT-002", "INT-BR-NOT-003")
async def test_one_notification_reaches_console_mail_and_slack(
    here: Place, webhook: SlackFake, box: Mailbox, server_certificate: Certificate, capsys: Any
):
    channels = {
        **by_slack(webhook),
        **by_mail(box, server_certificate),
        "email_recipients": ["a@x.org", "b@x.org"],
    }
    async with serving(here, **channels) as api, working(here, **channels) as metrics:
        shown = await until(api, (await send(api))["id"])
        counted = metrics.exposition().decode()

    assert shown["status"] == "sent"
    assert len(webhook.posts) == 1
    assert sorted(str(mail["To"]) for mail in box.mails) == ["a@x.org", "b@x.org"]
    assert "[P1] CheckoutDown on Deployment/shop/checkout" in capsys.readouterr().out
    assert 'notifications_deliveries_total{channel="email",outcome="sent"} 2.0' in counted


async def test_a_server_error_of_slack_is_tried_again_and_each_attempt_written_down(
    here: Place, webhook: SlackFake
):
    webhook.answer = Answers((500, {}, b""), (503, {}, b""))
    async with serving(here) as api, working(here, **by_slack(webhook)):
        shown = await until(api, (await send(api, channels=["slack"]))["id"])
        trail = await attempts(api, shown)

    assert (only(shown)["state"], only(shown)["attempts"]) == ("sent", 3)
    assert trail == [("retrying", "http-500"), ("retrying", "http-503"), ("sent", None)]
    assert not only(shown)["possible_duplicate"]


async def test_a_pause_that_slack_asks_for_holds_for_every_message_of_that_channel(
    here: Place, webhook: SlackFake
):
    webhook.answer = Answers((429, {"Retry-After": "3"}, b""))
    async with serving(here) as api, working(here, **by_slack(webhook)):
        first = await send(api, channels=["slack"])
        await until(api, first["id"], lambda one: only(one)["state"] == "retrying")
        second = await send(api, channels=["slack", "console"], transition="resolved")
        await until(api, second["id"], lambda one: one["deliveries"][1]["state"] == "sent")
        for one in (first, second):
            await until(api, one["id"])

    assert len(webhook.posts) == 3
    assert webhook.at[1] - webhook.at[0] >= 2.9


async def test_silence_of_slack_is_a_timeout_and_the_next_message_says_that_it_may_be_a_duplicate(
    here: Place, webhook: SlackFake
):
    webhook.answer = Answers(None)
    async with serving(here) as api, working(here, **by_slack(webhook), slack_timeout=0.3):
        shown = await until(api, (await send(api, channels=["slack"]))["id"])
        trail = await attempts(api, shown)

    assert trail == [("retrying", "timeout"), ("sent", None)]
    assert only(shown)["possible_duplicate"]
    assert ["Possible duplicate" in str(post) for post in webhook.posts] == [False, True]


@pytest.mark.requirement("INT-BR-ERR-009", "INT-BR-ERR-015", "INT-BR-ERR-014")
async def test_what_fails_to_the_end_waits_for_a_person_who_can_have_it_sent_again(
    here: Place, webhook: SlackFake
):
    webhook.answer = lambda _: (500, {}, b"")
    async with serving(here) as api, working(here, **by_slack(webhook), channel_failures=100):
        failed = await until(api, (await send(api, channels=["slack"]))["id"])
        webhook.answer = lambda _: OK
        again = await api.post(f"{PATH}/{failed['id']}/retry")
        sent = await until(api, failed["id"])
        nothing = await api.post(f"{PATH}/{failed['id']}/retry")
        trail = (await api.get(f"{PATH}/{failed['id']}/attempts")).json()["items"]

    assert (failed["status"], only(failed)["reason"], only(failed)["attempts"]) == (
        "failed",
        "attempts-used-up",
        5,
    )
    assert (again.status_code, only(again.json())["reason"]) == (202, "resend-asked")
    assert (sent["status"], only(sent)["attempts"]) == ("sent", 6)
    assert [item["asked_by"] for item in trail] == [None] * 5 + ["operator"]
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing-to-resend")


async def test_a_webhook_that_is_gone_fails_at_once(here: Place, webhook: SlackFake):
    webhook.answer = lambda _: (404, {}, b"no_service")
    async with serving(here) as api, working(here, **by_slack(webhook)):
        shown = await until(api, (await send(api, channels=["slack"]))["id"])

    assert (only(shown)["reason"], only(shown)["error"]) == ("refused", "http-404: no_service")
    assert len(webhook.posts) == 1


async def test_nobody_listening_is_tried_again_until_somebody_does(here: Place, webhook: SlackFake):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    dead = {"slack_webhook_url": f"{url}/services/x", "slack_origins": [url]}
    async with serving(here) as api:
        async with working(here, **dead):
            taken = await send(api, channels=["slack"])
            waiting = await until(api, taken["id"], lambda one: only(one)["state"] == "retrying")
        async with working(here, **by_slack(webhook)):
            shown = await until(api, taken["id"])

    assert only(waiting)["error"].startswith("connect")
    assert shown["status"] == "sent"


@pytest.mark.requirement("INT-BR-ERR-002")
async def test_a_greylisted_mail_is_delivered_later_and_a_refused_one_never(
    here: Place, box: Mailbox, server_certificate: Certificate
):
    box.recipients = {
        "grey@x.org": ["451 4.7.1 Try again later"],
        "gone@x.org": ["550 5.1.1 No such user"] * 9,
    }
    async with serving(here) as api, working(here, **by_mail(box, server_certificate)):
        taken = await send(api, channels=["email"], recipients=["grey@x.org", "gone@x.org"])
        shown = await until(api, taken["id"])

    grey, gone = shown["deliveries"]
    assert (grey["state"], grey["attempts"]) == ("sent", 2)
    assert (gone["state"], gone["attempts"], gone["reason"]) == ("failed", 1, "refused")
    assert gone["error"] == "smtp-550: 5.1.1 No such user"
    assert shown["status"] == "partially_sent"
    assert box.asked.count("gone@x.org") == 1


@pytest.mark.requirement("INT-BR-REL-003", "INT-BR-REL-007", "INT-BR-REL-009")
async def test_two_hundred_notifications_pass_a_channel_that_is_dead(
    here: Place, webhook: SlackFake, box: Mailbox, server_certificate: Certificate
):
    webhook.answer = lambda _: None  # takes every message and says nothing
    channels = {**by_slack(webhook), **by_mail(box, server_certificate)}
    async with serving(here) as api, working(here, **channels, slack_timeout=1.0, channel_pause=600):
        taken = [
            await send(api, round=n + 1, channels=["slack", "email", "console"], recipients=["a@x.org"])
            for n in range(200)
        ]
        done = lambda one: [d["state"] for d in one["deliveries"][1:]] == ["sent", "sent"]  # noqa: E731
        for one in taken:
            await until(api, one["id"], done, within=30)
        while len(webhook.posts) < 3:
            await asyncio.sleep(0.05)
        states = await here.run(
            "SELECT channel, state, count(*) AS n, max(attempts) AS tries FROM delivery GROUP BY 1, 2 ORDER BY 1, 2"
        )
        await jobs_at_most(here, 3)

    assert [row for row in states if row["channel"] != "slack"] == [
        {"channel": "console", "state": "sent", "n": 200, "tries": 1},
        {"channel": "email", "state": "sent", "n": 200, "tries": 1},
    ]
    # The breaker opened after three: those who wait use up no tries, and one job is there for all of them.
    assert len(webhook.posts) == 3
    assert sum(row["tries"] * row["n"] for row in states if row["channel"] == "slack") <= 3


async def jobs_at_most(here: Place, number: int) -> None:
    """One job stands for a channel, not one for each delivery."""
    async with asyncio.timeout(20):
        while (await here.run("SELECT count(*) AS n FROM procrastinate_jobs"))[0]["n"] > number:
            await asyncio.sleep(0.1)


async def test_what_waited_for_a_dead_channel_is_told_when_it_is_back(here: Place, webhook: SlackFake):
    webhook.answer = lambda _: (500, {}, b"")
    async with serving(here) as api, working(here, **by_slack(webhook), delivery_attempts=50):
        taken = [await send(api, round=n + 1, channels=["slack"]) for n in range(30)]
        while len(webhook.posts) < 5:
            await asyncio.sleep(0.02)
        webhook.answer = lambda _: OK
        for one in taken:
            assert (await until(api, one["id"]))["status"] == "sent"


@pytest.mark.requirement("INT-BR-NOT-014", "INT-BR-ERR-011")
async def test_the_urgent_overtake_and_the_pace_is_kept(here: Place, webhook: SlackFake):
    async with serving(here) as api:
        low = [
            await send(api, round=n + 1, priority="P3", channels=["slack"], subject="low") for n in range(4)
        ]
        high = await send(api, round=9, priority="P0", channels=["slack"], subject="high")
        async with working(here, **by_slack(webhook), slack_interval=0.3):
            for one in [*low, high]:
                await until(api, one["id"])

    # By the database's clock: when a post arrives also depends on how busy this machine is.
    begun = [
        row["started_at"] for row in await here.run("SELECT started_at FROM attempt ORDER BY started_at")
    ]
    assert [post["text"] for post in webhook.posts] == ["high", "low", "low", "low", "low"]
    assert min(later - earlier for earlier, later in pairwise(begun)) >= timedelta(seconds=0.3)


@pytest.mark.requirement("INT-BR-PERF-026", "INT-BR-PERF-027", "INT-BR-NOT-015")
async def test_mails_are_handed_in_side_by_side_within_the_channel_s_room(
    here: Place, box: Mailbox, server_certificate: Certificate
):
    together, most = 0, 0

    async def counted(server: Any, session: Any, envelope: Any) -> str:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.1)
        together -= 1
        return await taking(server, session, envelope)

    taking = box.handle_DATA
    box.handle_DATA = counted  # type: ignore[method-assign]
    people = [f"p{n}@x.org" for n in range(12)]
    async with serving(here) as api, working(here, **by_mail(box, server_certificate), smtp_concurrency=3):
        shown = await until(api, (await send(api, channels=["email"], recipients=people))["id"])

    assert shown["status"] == "sent"
    assert most == 3


@pytest.mark.requirement("INT-BR-NOT-024", "INT-BR-CFG-008")
async def test_health_tells_a_failing_channel_from_one_that_is_not_set_up(here: Place, webhook: SlackFake):
    webhook.answer = lambda _: (500, {}, b"")
    channels = by_slack(webhook)
    async with serving(here, **channels) as api:
        before = (await api.get("/health")).json()
        async with working(here, **channels):
            taken = await send(api, channels=["slack"])
            await until(api, taken["id"], lambda one: only(one)["attempts"] >= 3)
    async with serving(here, **channels) as api:
        after = (await api.get("/health")).json()

    assert (before["status"], before["checks"]["email"]["status"]) == ("healthy", "not_configured")
    assert before["checks"]["slack"]["status"] == "healthy"
    assert (after["status"], after["checks"]["slack"]["status"]) == ("degraded", "unhealthy")
    assert "http-500" in after["checks"]["slack"]["detail"]
    assert "webhook-secret" not in str(after)


async def test_old_notifications_are_forgotten_with_all_that_hangs_on_them(here: Place):
    async with serving(here) as api:
        async with working(here):
            old, recent = [await send(api, round=n) for n in (1, 2)]
            shared = await send(api, "k2", round=2)
            for one in (old, recent, shared):
                await until(api, one["id"])
        await here.run(
            "UPDATE notification SET created_at = now() - interval '40 days' WHERE id <> :id", id=shared["id"]
        )
        async with working(here):
            while (await api.get(f"{PATH}/{old['id']}")).status_code != 404:
                await asyncio.sleep(0.05)
        kept = (await api.get(f"{PATH}/{shared['id']}")).json()

    assert kept["deliveries"][0]["told_by"] == recent["id"]
    assert await here.run("SELECT count(*) AS n FROM attempt") == [{"n": 1}]
