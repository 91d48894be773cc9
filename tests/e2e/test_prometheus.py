"""The main job from its real beginning to its real end: a Prometheus rule fires, Alertmanager posts it, the cause
is found on the recorded cluster, and a mail server takes the message that names it.

The processes are started once for all tests here; each test has a pod of its own crash-loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
import pytest_asyncio

from libs.clients.alerts import AlertsClient
from libs.contracts.alerts import AlertEpisodeDetail, EpisodeState
from tests.fakes.mailbox import Mailbox, mailbox
from tests.support.certificates import certificate
from tests.support.prometheus import CRASH_LOOP, Alertmanager, Exporter, alertmanager, exporting, prometheus
from tests.support.stack import ROOT, Stack, running

pytestmark = [
    pytest.mark.needs("prometheus", "prometheus-alertmanager"),
    pytest.mark.requirement("INT-BR-WH-001", "INT-BR-WH-004", "INT-BR-NOT-001", "INT-BR-TEST-005"),
    pytest.mark.xdist_group("prometheus"),
    pytest.mark.asyncio(loop_scope="module"),
]

CALL = timedelta(seconds=10)
ONCALL = "oncall@example.org"
CAUSE = "orders-db-config"
WITHIN_S = 50.0
"""For everything after an alert began. A quiet machine needs about 5 s, and 15 s when the service is away first."""


@dataclass(frozen=True)
class World:
    """Everything that runs."""

    stack: Stack
    exporter: Exporter
    alertmanager: Alertmanager
    box: Mailbox

    async def mail(self, about: str, *, told: str) -> EmailMessage:
        """The mail that tells this about the object; waits for it."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                for mail in list(self.box.mails):
                    if f"{CRASH_LOOP} on {about}" in mail["Subject"] and f" · {told} · " in _text(mail):
                        return mail
                await asyncio.sleep(0.1)

    async def episode(self, pod: str, state: EpisodeState) -> AlertEpisodeDetail:
        """The pod's episode once it is in this state."""
        async with (
            AlertsClient(self.stack.urls["alerts"], token=lambda _: self.stack.keys.operator_key) as alerts,
            asyncio.timeout(WITHIN_S),
        ):
            while True:
                page = await alerts.list(
                    filters={"alertname": CRASH_LOOP, "state": state.value}, tenant="default", deadline=CALL
                )
                for found in page.items:
                    if found.labels.get("pod") == pod:
                        return await alerts.get(found.id, tenant="default", deadline=CALL)
                await asyncio.sleep(0.1)

    async def refused_once_more(self) -> None:
        """Wait until Alertmanager has posted in vain."""
        before = await asyncio.to_thread(self.alertmanager.failed_posts)
        async with asyncio.timeout(WITHIN_S):
            while await asyncio.to_thread(self.alertmanager.failed_posts) == before:
                await asyncio.sleep(0.1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "stack").mkdir()
    made = certificate(folder / "tls")
    password = secrets.token_urlsafe(24)
    with mailbox(made.server_context(), password=password) as box:
        settings = {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(box.port),
            "SMTP_CA_FILE": str(made.authority),
            "SMTP_USERNAME": box.username,
            "SMTP_PASSWORD": password,
            "EMAIL_FROM": "kubernaut@ops.example.org",
            "EMAIL_RECIPIENTS": ONCALL,
            "NOTIFY_CHANNELS": "email",
        }
        async with running(folder / "stack", environment=settings) as stack:
            webhook = f"{stack.urls['alerts']}/api/v1/webhooks/alertmanager"
            with (
                exporting() as exporter,
                alertmanager(
                    folder / "alertmanager", webhook=webhook, token=stack.keys.alertmanager_token
                ) as sender,
                prometheus(folder / "prometheus", scraping=exporter.port, alerting=sender.url),
            ):
                yield World(stack, exporter, sender, box)


async def test_a_rule_that_fires_ends_in_a_mail_that_names_the_causal_object(world: World):
    pod = "checkout-shgx9b86fx-pn7dc"

    with world.exporter.crashing("shop", pod, "checkout"):
        mail = await world.mail("Deployment/shop/checkout", told="explained")
        episode = await world.episode(pod, EpisodeState.firing)

    assert mail["To"] == ONCALL
    assert f"ConfigMap/data/{CAUSE}" in _text(mail)
    assert world.box.tls_versions[0] in {"TLSv1.2", "TLSv1.3"}
    assert world.box.logins
    assert episode.incident is not None
    assert str(episode.incident.causes[0].target) == f"ConfigMap/data/{CAUSE}"
    assert {decision.subject for decision in episode.decisions} >= {"environment", "priority"}


@pytest.mark.requirement("INT-BR-REL-003", "INT-BR-REL-004")
@pytest.mark.parametrize(
    ("word", "namespace", "pod", "container", "about"),
    [
        (signal.SIGTERM, "shop", "order-history-446bm7fpq-b26gd", "order-history", "Deployment/shop/order-history"),
        (signal.SIGKILL, "data", "orders-db-0", "postgres", "StatefulSet/data/orders-db"),
    ],
    ids=["stopped", "killed"],
)  # fmt: skip
async def test_an_alert_that_fires_while_the_service_is_away_still_arrives(
    world: World, word: signal.Signals, namespace: str, pod: str, container: str, about: str
):
    with world.exporter.crashing(namespace, pod, container):
        async with world.stack.down("alerts api", "alerts worker", word=word):
            await world.refused_once_more()
        mail = await world.mail(about, told="explained")
        episode = await world.episode(pod, EpisodeState.firing)

    assert mail["To"] == ONCALL
    assert f"ConfigMap/data/{CAUSE}" in _text(mail)
    assert str(episode.target) == f"Pod/{namespace}/{pod}"


@pytest.mark.requirement("INT-BR-AP-021@3.2", "INT-BR-AP-022@3.2")
async def test_when_the_alert_resolves_its_episode_ends_and_people_are_told(world: World):
    pod = "catalog-l7k6wl8pp7-fv9pp"

    with world.exporter.crashing("shop", pod, "catalog"):
        began = await world.episode(pod, EpisodeState.firing)
        await world.mail("Deployment/shop/catalog", told="unexplained")
    ended = await world.episode(pod, EpisodeState.resolved)

    assert ended.id == began.id
    assert ended.ends_at is not None
    assert ended.ends_at >= began.starts_at
    assert [entry.event for entry in ended.timeline if entry.event in ("fired", "resolved")] == [
        "fired",
        "resolved",
    ]
    assert await world.mail("Deployment/shop/catalog", told="resolved")


@pytest.mark.requirement("INT-BR-AP-021@3.2")
async def test_who_watches_sees_the_alert_its_investigation_and_its_cause(world: World):
    pod = "checkout-shgx9b86fx-7p4zp"
    urls = world.stack.urls
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "watch", "--json", "--namespace", "shop",
        "--url", urls["alerts"], "--holmesgpt-url", urls["holmesgpt_api"],
        cwd=ROOT, env={**os.environ, "KUBERNAUT_TOKEN": world.stack.keys.operator_key},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    told: list[dict[str, Any]] = []
    try:
        with world.exporter.crashing("shop", pod, "checkout"):
            async with asyncio.timeout(WITHIN_S):
                while not any(one["target"] == f"Pod/shop/{pod}" and one["cause"] for one in _alerts(told)):
                    told.append(json.loads(await process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()

    assert (process.returncode, errors) == (0, b"")
    last = _alerts(told)[-1]
    assert last["cause"]["target"] == f"ConfigMap/data/{CAUSE}"
    assert last["environment"]["because"]
    assert last["priority"]["because"]


def _alerts(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in told if one["event"] == "alert"]


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return f"{mail['Subject']}\n{part.get_content()}"
