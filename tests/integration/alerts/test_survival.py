"""Kill -9 between any two steps: what was acknowledged is there once, and people are told once."""

import asyncio
import contextlib
import json
import os
import sys

import httpx
import pytest

from libs.auth.new_keys import new_keys_file
from tests.fakes.peers import FakeContext, FakeHolmes, FakeNotifications
from tests.support.alerts import a_body, an_alert, body, events, house, resolved
from tests.support.alerts_api import WEBHOOK
from tests.support.children import REPOSITORY
from tests.support.served import served

pytestmark = pytest.mark.requirement("INT-BR-REL-004", "INT-BR-REL-011", "INT-BR-WH-007", "INT-BR-NOT-011")

PATIENCE_S = 120.0


class Processes:
    """Starts the service's processes on one database, with the fakes as its peers."""

    def __init__(self, base, database, peers):
        self.keys = new_keys_file(base / "keys.yaml")
        self.deaths = base / "deaths"
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "DATABASE_URL": database.url("alerts"),
            "AUTH_KEYS_FILE": str(base / "keys.yaml"),
            "ALERTS_PORT": "0",
            "ALERTS_METRICS_PORT": "0",
            "LOG_FORMAT": "json",
            "WORKER_HEARTBEAT": "PT0.2S",
            "WORKER_STALLED_AFTER": "PT0.8S",
            "WORKER_POLL": "PT0.1S",
            # A machine that stands still for half a second would have it go another way, by provisional keys.
            "CONTEXT_DEADLINE": "PT30S",
            **peers,
        }

    @contextlib.asynccontextmanager
    async def start(self, role, *, dying=False):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.dying_alerts",
            cwd=REPOSITORY,
            env=self._environment
            | {"KUBERNAUT_ROLE": role}
            | ({"DEATHS": str(self.deaths)} if dying else {}),
            stderr=asyncio.subprocess.PIPE,
        )
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        reading = asyncio.create_task(self._read(process, lines))
        try:
            yield process, lines
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
                await reading

    async def _read(self, process, lines):
        async for line in process.stderr:
            await lines.put(line)

    async def url(self, lines):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                line = await lines.get()
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if said.get("event") == "listening":
                        return said["url"]

    def headers(self):
        return {
            "Authorization": f"Bearer {self.keys.alertmanager_token}",
            "Content-Type": "application/json",
        }

    def died_at(self):
        return self.deaths.read_text().split() if self.deaths.exists() else []


@pytest.fixture
async def alerts(fresh_database, tmp_path):
    """The database seen from within, and processes beside it."""
    database = fresh_database("alerts")
    context, holmes, notifications = FakeContext(), FakeHolmes(), FakeNotifications()
    async with (
        served(context) as context_url,
        served(holmes) as holmes_url,
        served(notifications) as notifications_url,
        house(database) as inside,
    ):
        inside.context, inside.holmes, inside.notifications = context, holmes, notifications
        peers = {
            "KUBERNAUT_CONTEXT_API_URL": context_url,
            "KUBERNAUT_HOLMESGPT_URL": holmes_url,
            "KUBERNAUT_NOTIFICATIONS_URL": notifications_url,
        }
        yield inside, Processes(tmp_path, database, peers)


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_a_sender_whose_answer_was_lost_with_the_process_sends_again_and_it_is_one_episode(alerts):
    inside, processes = alerts
    async with processes.start("api", dying=True) as (process, lines):
        async with httpx.AsyncClient(base_url=await processes.url(lines), trust_env=False) as http:
            with pytest.raises(httpx.TransportError):
                await http.post(WEBHOOK, content=body("01_"), headers=processes.headers())
        assert await process.wait() == -9
    assert len(await inside.rows("SELECT 1 FROM inbox")) == 1

    async with (
        processes.start("api", dying=True) as (_, lines),
        httpx.AsyncClient(base_url=await processes.url(lines), trust_env=False) as http,
    ):
        answer = await http.post(WEBHOOK, content=body("01_"), headers=processes.headers())

    assert answer.status_code == 202
    await inside.work_off(only="drain")
    assert (await inside.only_episode()).received_count == 2


async def test_a_worker_that_dies_before_and_after_every_steps_commit_gets_there_all_the_same(alerts):
    inside, processes = alerts
    await inside.receive(a_body(an_alert("checkout-1"), an_alert("payments-1")))

    async def told(transition):
        return inside.notifications.transitions.count(transition) == 2 and not await inside.rows(
            "SELECT 1 FROM telling WHERE state = 'pending'"
        )

    await dying_until(processes, lambda: told("explained"))
    await inside.receive(a_body(resolved("checkout-1"), resolved("payments-1")))
    await dying_until(processes, lambda: told("resolved"))

    steps = ("drain", "attach", "investigate", "follow", "tell", "settle")
    assert set(processes.died_at()) == {f"{step}:{when}" for step in steps for when in ("before", "after")}
    assert len(inside.holmes.runs) == 2
    assert sorted(inside.notifications.transitions) == ["explained", "explained", "resolved", "resolved"]
    episodes = (await inside.episodes()).values()
    assert len(episodes) == 2
    for episode in episodes:
        once = [event for event in events(episode) if event not in ("decided", "notified")]
        assert len(once) == len(set(once))
        assert events(episode).count("notified") == 2
    assert await inside.rows("SELECT 1 FROM inbox") == []


async def dying_until(processes, condition):
    """Start a worker again each time it dies, until what is waited for has come about."""
    while not await condition():
        async with processes.start("worker", dying=True) as (process, _):
            ended = asyncio.create_task(process.wait())
            came = asyncio.create_task(until(condition))
            await asyncio.wait({ended, came}, return_when=asyncio.FIRST_COMPLETED)
            came.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await came


async def test_a_request_whose_sender_was_killed_in_the_middle_of_it_has_no_effect_on_the_peers():
    """Or they would take half of one for the first, and refuse the whole one that follows under its key."""
    head = b"POST /api/v1/investigate/async HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 40\r\n\r\n"
    for peer in (FakeHolmes(), FakeNotifications(), FakeContext()):
        async with served(peer) as url:
            for part in (b"", b'{"alert_name":'):
                _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
                writer.write(head + part)
                await writer.drain()
                await asyncio.sleep(0.05)  # so that the head arrives by itself
                writer.close()
                await writer.wait_closed()
        assert peer.calls == []


async def test_a_worker_stops_in_order_and_loses_nothing(alerts):
    inside, processes = alerts
    for n in range(30):
        await inside.receive(a_body(an_alert(f"app{n}-1"), groupKey=str(n)))

    async with processes.start("worker") as (process, _):
        await until(lambda: _any(inside, "SELECT 1 FROM episode"))
        process.terminate()
        assert await process.wait() == 0
    async with processes.start("worker"):
        await until(lambda: _none(inside, "SELECT 1 FROM incident WHERE phase <> 'explained'"))
        await until(lambda: _none(inside, "SELECT 1 FROM procrastinate_jobs WHERE task_name <> 'patience'"))

    assert len(await inside.episodes()) == 30
    assert len(inside.holmes.runs) == 30
    assert inside.notifications.transitions == ["explained"] * 30


async def _any(inside, statement):
    return bool(await inside.rows(statement))


async def _none(inside, statement):
    return not await inside.rows(statement)
