"""The program as it is started: what it prints, what it keeps to itself, how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.fakes.slack import SlackFake
from tests.support.children import start
from tests.support.notifications import PATH, Place, telling, until

pytestmark = pytest.mark.requirement("INT-BR-NOT-003", "INT-BR-SEC-014", "INT-BR-REL-005")


def environment(here: Place, monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    own = {
        "DATABASE_URL": here.values["database_url"],
        "AUTH_KEYS_FILE": here.values["auth_keys_file"],
        "NOTIFICATIONS_PORT": "0",
        "NOTIFICATIONS_METRICS_PORT": "0",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "DEBUG",
        **more,
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def process(folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        child = start("services.notifications", stdout=out, stderr=err)
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def lines(path: Path, event: str) -> list[dict[str, object]]:
    whole = [text for text in path.read_text("utf-8").split("\n")[:-1] if f'"event":"{event}"' in text]
    return [json.loads(text) for text in whole]


async def line(path: Path, event: str) -> dict[str, object]:
    """The first line with this event, once it is there."""
    async with asyncio.timeout(30):
        while not (found := lines(path, event)):
            await asyncio.sleep(0.05)
    return found[0]


async def test_a_notification_is_printed_and_the_process_ends_in_order(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    environment(here, monkeypatch)
    async with process(tmp_path) as child:
        url = str((await line(tmp_path / "err", "listening"))["url"])
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {here.api_key}"}
        ) as api:
            taken = (await api.post(PATH, json=telling(body="two\nlines"))).json()
            shown = await until(api, taken["id"])
        printed = await line(tmp_path / "out", "notification")
        child.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(child.wait, 30)

    assert (shown["status"], code) == ("sent", 0)
    assert printed["notification_id"] == taken["id"]
    assert "two\nlines" in str(printed["text"])


async def test_the_webhook_is_in_no_output_whatever_goes_wrong(
    here: Place, webhook: SlackFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    secret = tmp_path / "webhook"
    secret.write_text(webhook.url + "\n")
    environment(
        here,
        monkeypatch,
        SLACK_WEBHOOK_URL_FILE=str(secret),
        SLACK_ORIGINS=webhook.origin,
        DELIVERY_FIRST_PAUSE="PT0.1S",
        DELIVERY_ATTEMPTS="2",
        SLACK_TIMEOUT="PT0.5S",
        CHANNEL_FAILURES="100",
    )
    answers = iter([(302, {"Location": webhook.url}, b""), (500, {}, webhook.url.encode())])
    webhook.answer = lambda _: next(answers, None)
    async with process(tmp_path):
        url = str((await line(tmp_path / "err", "listening"))["url"])
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {here.api_key}"}
        ) as api:
            for number in (1, 2, 3):
                taken = (await api.post(PATH, json=telling(round=number, channels=["slack"]))).json()
                shown = await until(api, taken["id"])
                assert shown["status"] == "failed"
            seen = str(shown) + (await api.get("/health")).text

    assert len(webhook.posts) >= 3
    everything = seen + (tmp_path / "out").read_text() + (tmp_path / "err").read_text()
    assert "not delivered" in everything
    assert "webhook-secret" not in everything


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SLACK_WEBHOOK_URL": "https://evil.example/services/hunter2"}, "SLACK_ORIGINS"),
        ({"SLACK_WEBHOOK_URL_FILE": "/nowhere/slack"}, "SLACK_WEBHOOK_URL_FILE"),
        ({"SMTP_HOST": "mail"}, "EMAIL_FROM"),
    ],
)
async def test_a_setting_that_cannot_work_ends_the_start_and_is_named(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
):
    environment(here, monkeypatch, **settings)
    async with process(tmp_path) as child:
        code = await asyncio.to_thread(child.wait, 30)

    log = (tmp_path / "err").read_text()
    assert code not in (0, None)
    assert said in log
    assert "hunter2" not in log
