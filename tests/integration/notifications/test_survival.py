"""Workers are killed between `sending` and the answer; at most one duplicate each, and marked as such.

Each channel's log shows what reached the other side; the service's own rows show what it believes.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.notifications.wiring import SERVICE
from tests.fakes.mailbox import mailbox
from tests.fakes.slack import OK, SlackFake
from tests.support.certificates import certificate
from tests.support.notifications import PATH, Place, place, send, serving, telling, until, working
from tests.support.postgres import databases, kill_postmaster, running_server

pytestmark = pytest.mark.requirement("INT-BR-REL-013", "INT-BR-REL-004", "INT-BR-ERR-011")


@pytest.fixture
def here(here: Place) -> Place:
    return here.missing_workers_soon()


def by_slack(fake: SlackFake) -> dict[str, Any]:
    return {"slack_webhook_url": fake.url, "slack_origins": [fake.origin]}


@contextmanager
def worker(here: Place, **channels: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process; killed at the latest when the block ends."""
    process = here.worker_process(**channels)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def killed_while_slack_is_silent(
    here: Place, webhook: SlackFake, api: Any, **fields: Any
) -> dict[str, Any]:
    """A message that Slack took while the worker that sent it died."""
    webhook.answer = lambda _: None
    with worker(here, **by_slack(webhook), slack_timeout=60):
        taken = await send(api, channels=["slack"], **fields)
        async with asyncio.timeout(20):
            await webhook.arrived.wait()
        shown: dict[str, Any] = (await api.get(f"{PATH}/{taken['id']}")).json()
    assert shown["deliveries"][0]["state"] == "sending"
    webhook.answer = lambda _: OK
    return shown


async def test_an_urgent_slack_message_is_repeated_once_and_marked(here: Place, webhook: SlackFake):
    async with serving(here) as api:
        cut_short = await killed_while_slack_is_silent(here, webhook, api, priority="P0")
        async with working(here, **by_slack(webhook)):
            shown = await until(api, cut_short["id"])
        trail = (await api.get(f"{PATH}/{shown['id']}/attempts")).json()["items"]

    (delivery,) = shown["deliveries"]
    assert (delivery["state"], delivery["possible_duplicate"]) == ("sent", True)
    assert ["Possible duplicate" in str(post) for post in webhook.posts] == [False, True]
    assert [(one["outcome"], one["reason"]) for one in trail] == [
        ("interrupted", "interrupted-marked-possible-duplicate"),
        ("sent", None),
    ]


async def test_a_slack_message_that_is_not_urgent_is_left_to_a_person(here: Place, webhook: SlackFake):
    async with serving(here) as api:
        cut_short = await killed_while_slack_is_silent(here, webhook, api, priority="P3")
        async with working(here, **by_slack(webhook)):
            shown = await until(api, cut_short["id"])
            assert len(webhook.posts) == 1
            await api.post(f"{PATH}/{shown['id']}/retry")
            again = await until(api, shown["id"])

    (delivery,) = shown["deliveries"]
    assert (delivery["state"], delivery["reason"]) == ("unknown", "interrupted-no-key")
    assert again["status"] == "sent"
    assert "Possible duplicate" in str(webhook.posts[1])


async def test_a_mail_is_repeated_under_the_same_message_id(here: Place, tmp_path: Path):
    tls, password = certificate(tmp_path / "tls"), secrets.token_urlsafe(16)
    with mailbox(tls.server_context(), password=password) as box:
        box.release.clear()
        channels = {
            "smtp_host": "127.0.0.1",
            "smtp_port": box.port,
            "smtp_username": "kubernaut",
            "smtp_password": password,
            "smtp_ca_file": str(tls.authority),
            "email_from": "kubernaut@ops.example.org",
        }
        async with serving(here) as api:
            with worker(here, **channels, smtp_timeout=60):
                taken = await send(api, channels=["email"], recipients=["a@x.org"], priority="P3")
                assert await asyncio.to_thread(box.taken.wait, 20)
            box.release.set()
            async with working(here, **channels):
                shown = await until(api, taken["id"])

    assert shown["status"] == "sent"
    assert len(box.mails) == 2
    assert len({mail["Message-ID"] for mail in box.mails}) == 1
    assert [mail["X-Kubernaut-Possible-Duplicate"] for mail in box.mails] == [None, "yes"]


async def test_a_frozen_worker_that_comes_back_has_no_say_over_its_successor(here: Place, webhook: SlackFake):
    webhook.answer = lambda _: None
    async with serving(here) as api:
        with worker(here, **by_slack(webhook), slack_timeout=3) as frozen:
            taken = await send(api, channels=["slack"], priority="P0")
            async with asyncio.timeout(20):
                await webhook.arrived.wait()
            os.kill(frozen.pid, signal.SIGSTOP)
            webhook.answer = lambda _: OK
            async with working(here, **by_slack(webhook)):
                shown = await until(api, taken["id"])
                os.kill(frozen.pid, signal.SIGCONT)
                trail = await ended_attempts(api, shown["id"], 2)
        after = (await api.get(f"{PATH}/{shown['id']}")).json()

    assert len(webhook.posts) == 2
    assert after["deliveries"] == shown["deliveries"]
    assert shown["deliveries"][0]["attempts"] == 2
    assert trail[1]["outcome"] == "sent"


async def ended_attempts(api: Any, notification_id: str, number: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while True:
            items: list[dict[str, Any]] = (await api.get(f"{PATH}/{notification_id}/attempts")).json()[
                "items"
            ]
            if len(items) >= number and all(item["ended_at"] for item in items):
                return items
            await asyncio.sleep(0.05)


async def test_workers_killed_again_and_again_deliver_everything_with_few_marked_repeats(
    here: Place, webhook: SlackFake
):
    kills = 4
    async with serving(here) as api:
        taken = [
            await send(api, round=n + 1, priority="P1", channels=["slack"], subject=f"number {n}")
            for n in range(60)
        ]
        for _ in range(kills):
            before = len(webhook.posts)
            with worker(here, **by_slack(webhook)):
                async with asyncio.timeout(30):
                    while len(webhook.posts) < before + 4:
                        await asyncio.sleep(0.005)
        async with working(here, **by_slack(webhook)):
            for one in taken:
                assert (await until(api, one["id"]))["status"] == "sent"

    told = [post["text"] for post in webhook.posts]
    repeats = len(told) - len(set(told))
    marked = sum("Possible duplicate" in str(post) for post in webhook.posts)
    assert set(told) == {f"number {n}" for n in range(60)}
    assert repeats <= kills
    assert repeats <= marked <= kills


async def test_a_job_that_is_gone_leaves_no_delivery_behind(here: Place, webhook: SlackFake):
    async with serving(here) as api:
        cut_short = await killed_while_slack_is_silent(here, webhook, api, priority="P0")
        await here.run("DELETE FROM procrastinate_jobs")
        async with working(here, **by_slack(webhook)):
            shown = await until(api, cut_short["id"])

    assert shown["status"] == "sent"


async def test_a_worker_that_is_stopped_hands_over_what_is_left(here: Place, webhook: SlackFake):
    async with serving(here) as api:
        taken = [await send(api, round=n + 1, channels=["slack"]) for n in range(20)]
        async with working(here, **by_slack(webhook), slack_interval=0.05):
            while len(webhook.posts) < 3:
                await asyncio.sleep(0.01)
        stopped_after = len(webhook.posts)
        async with working(here, **by_slack(webhook)):
            for one in taken:
                await until(api, one["id"])

    assert stopped_after < 20
    assert len(webhook.posts) == 20
    assert not any("Possible duplicate" in str(post) for post in webhook.posts)


async def test_a_stop_in_the_middle_of_a_call_lets_it_end_and_repeats_nothing(
    here: Place, webhook: SlackFake
):
    stopping = asyncio.Event()

    async def once_it_stops() -> None:
        await stopping.wait()
        await asyncio.sleep(1)  # longer than the worker's graceful stop

    webhook.before_answer = once_it_stops
    async with serving(here) as api:
        async with working(here, **by_slack(webhook), slack_timeout=10):
            taken = await send(api, channels=["slack"], priority="P0")
            async with asyncio.timeout(20):
                await webhook.arrived.wait()
            stopping.set()
        async with working(here, **by_slack(webhook)):
            shown = await until(api, taken["id"])

    assert shown["status"] == "sent"
    assert len(webhook.posts) == 1
    assert not shown["deliveries"][0]["possible_duplicate"]


async def test_an_outage_of_the_database_between_the_call_and_its_record_repeats_nothing(
    webhook: SlackFake, tmp_path: Path
):
    with running_server() as server, databases(server) as make:
        here = place(make(SERVICE), tmp_path).missing_workers_soon()
        down = asyncio.Event()

        async def once_it_is_down() -> None:
            await down.wait()

        webhook.before_answer = once_it_is_down
        async with serving(here) as api, working(here, **by_slack(webhook), slack_timeout=30):
            taken = await send(api, channels=["slack"], priority="P0")
            async with asyncio.timeout(20):
                await webhook.arrived.wait()
            kill_postmaster(server)
            down.set()
            refused = await api.post(PATH, json=telling(round=2))
            await asyncio.sleep(1)
            server.start()
            shown = await until(api, taken["id"], lambda one: one.get("status") == "sent", within=40)

    assert (refused.status_code, refused.json()["code"]) == (503, "storage-unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert len(webhook.posts) == 1
    assert not shown["deliveries"][0]["possible_duplicate"]
