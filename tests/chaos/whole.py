"""The main job under fire: alerts are posted while the processes that handle, investigate and tell them are killed.

Posting is paced by the kills, so that every kill meets work under way, and some wait for the worst moment: the mail
server has the mail, and whoever sent it has not heard so.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.campaign import BATCH, Campaign, listed
from tests.chaos.effects import (
    Delivery,
    Endings,
    InquiriesJudgement,
    Inquiry,
    Mail,
    MailsJudgement,
    judge_inquiries,
    judge_mails,
)
from tests.chaos.history import Judgement, judge
from tests.fakes.mailbox import Mailbox, mailbox
from tests.support import kube
from tests.support.certificates import certificate
from tests.support.stack import Stack, running

VICTIMS = ("alerts api", "alerts worker", "holmesgpt-api worker", "notifications worker")
ALERTS_PER_WORKLOAD = 25
RECIPIENT = "oncall@example.org"

WORST_MOMENT_S = 5.0
"""How long a kill waits for the moment it is meant for; then it happens anyway."""

UNDER_WAY = frozenset({"started", "running"})


def write_cluster(folder: Path, workloads: int) -> Path:
    """A recorded cluster in which each of these Deployments has lost its pod."""
    objects = [
        doc for number in range(workloads) for doc in kube.deployment(f"service-{number}", replicas=1, pods=0)
    ]
    folder.mkdir()
    (folder / "objects.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return folder


@asynccontextmanager
async def everything(state: Path, workloads: int) -> AsyncIterator[tuple[Stack, Mailbox]]:
    """All services, and a mail server that wants STARTTLS and a password."""
    tls, password = certificate(state / "tls"), secrets.token_urlsafe(16)
    with mailbox(tls.server_context(), password=password) as box:
        environment = {
            "RECORDED_CLUSTER": str(write_cluster(state / "cluster", workloads)),
            "NOTIFY_CHANNELS": "email",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(box.port),
            "SMTP_USERNAME": box.username,
            "SMTP_PASSWORD": password,
            "SMTP_CA_FILE": str(tls.authority),
            "EMAIL_FROM": "kubernaut@ops.example.org",
            "EMAIL_RECIPIENTS": RECIPIENT,
            # One address posts, looks and lists here for everybody.
            "RATE_LIMIT_REQUESTS": "1000000",
            # A busy machine must not make alerts provisional: what becomes of those is tested elsewhere.
            "CONTEXT_DEADLINE": "10",
        }
        async with running(state, environment=environment) as stack:
            yield stack, box


@dataclass(frozen=True, slots=True)
class Verdict:
    alerts: Judgement
    inquiries: InquiriesJudgement
    mails: MailsJudgement

    @property
    def holds(self) -> bool:
        return self.alerts.holds and self.inquiries.holds and self.mails.holds

    def __str__(self) -> str:
        return f"alerts: {self.alerts}; {self.inquiries}; {self.mails}"


@dataclass(frozen=True, slots=True)
class Held:
    """What the services list."""

    episodes: list[dict[str, Any]]
    inquiries: list[Inquiry]
    deliveries: list[Delivery]

    @property
    def incidents(self) -> dict[str, str | None]:
        return {one["incident_id"]: one["investigation_id"] for one in self.episodes if one["incident_id"]}

    def settled(self, expected: int) -> bool:
        """Whether everything that has to happen has happened."""
        incidents = self.incidents
        return (
            len(self.episodes) >= expected
            and all(one["incident_id"] for one in self.episodes)
            and all(incidents.values())
            and all(one.end is not None for one in self.inquiries)
            and {one.fact[0] for one in self.deliveries} >= incidents.keys()
            and all(one.state in ("sent", "failed", "unknown") for one in self.deliveries)
        )


@dataclass
class WholeCampaign(Campaign):
    """Kills each victim `kills_each` times, in turn, each within a slice of the posting of its own."""

    victims: Sequence[str] = VICTIMS
    box: Mailbox = field(kw_only=True)
    endings: Endings = field(default_factory=Endings)
    well_aimed: int = 0
    """Kills at the moment they were meant for."""
    _allowed: int = 0

    def workload_of(self, key: str) -> str:
        return f"service-{int(key[1:]) // ALERTS_PER_WORKLOAD}"

    async def turn(self, keys: Sequence[str]) -> None:
        while int(keys[-1][1:]) >= self._allowed:
            await asyncio.sleep(0.01)

    async def kill_all(self) -> None:
        order = [victim for _ in range(self.kills_each) for victim in self.victims]
        for number, victim in enumerate(order):
            began, ends = (self.alerts * n // len(order) for n in (number, number + 1))
            self._allowed = ends + BATCH  # a body that crosses the border belongs to the slice before
            await self._serving(victim)
            await self.reached(began + (ends - began) // 3)
            await self._aim(victim)
            killed = await self.kill(victim)
            self.box.release.set()
            await self._serving(victim)
            self.recoveries_s.append(time.monotonic() - killed)
            await self.reached(ends)
            await self.look()
        self._allowed = self.alerts + BATCH

    async def _aim(self, victim: str) -> None:
        """Wait, for a while, until the victim is in the middle of something that others can see."""
        ends = time.monotonic() + WORST_MOMENT_S
        if victim == "notifications worker":
            self.box.taken.clear()
            self.box.release.clear()
            self.well_aimed += await asyncio.to_thread(self.box.taken.wait, WORST_MOMENT_S)
        elif victim == "holmesgpt-api worker":
            while time.monotonic() < ends:
                answer = await listed_once(self.stack, "holmesgpt_api", "/api/v1/investigate")
                if any(one["status"] in UNDER_WAY for one in answer):
                    self.well_aimed += 1
                    return
                await asyncio.sleep(0.02)

    async def _serving(self, victim: str) -> None:
        """Wait until the process answers: one that is killed while it starts has nothing to lose."""
        (process,) = (one for one in self.stack.processes if one.name == victim)
        metrics = process.environment[f"{process.service.prefix}_METRICS_PORT"]
        url = f"{process.url}/ready" if process.url else f"http://127.0.0.1:{metrics}/metrics"
        async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
            while True:
                try:
                    if (await http.get(url)).status_code == 200:
                        return
                except httpx.TransportError:
                    pass  # not yet; the campaign as a whole has an end
                await asyncio.sleep(0.05)

    async def look(self) -> list[Inquiry]:
        """Note which investigations have ended, and how."""
        found = [inquiry(one) for one in await listed(self.stack, "holmesgpt_api", "/api/v1/investigate")]
        self.endings.look(found)
        return found

    async def settle(self, within_s: float) -> Held:
        """What is held once everything has happened, or the time is up."""
        ends = time.monotonic() + within_s
        while True:
            # Investigations before deliveries: what is told on their account comes after them.
            inquiries = await self.look()
            found = Held(
                await listed(self.stack, "alerts", "/api/v1/alerts", at_once=200),
                inquiries,
                await self._deliveries(),
            )
            if found.settled(self.alerts) or time.monotonic() > ends:
                return found
            await asyncio.sleep(1)

    async def _deliveries(self) -> list[Delivery]:
        return [
            Delivery(
                one["effect_id"],
                (told["incident_id"], told["transition"], str(told["round"]), one["recipient"]),
                one["state"],
                one["attempts"],
                one["possible_duplicate"],
            )
            for told in await listed(self.stack, "notifications", "/api/v1/notifications")
            for one in told["deliveries"]
            if one["told_by"] is None
        ]

    def judge(self, found: Held) -> Verdict:
        mails = [
            Mail(
                str(mail["Message-ID"]).strip("<>").partition("@")[0],
                mail["X-Kubernaut-Possible-Duplicate"] == "yes",
            )
            for mail in list(self.box.mails)
        ]
        incidents = found.incidents
        return Verdict(
            judge(self.history, [one["labels"]["instance"] for one in found.episodes]),
            judge_inquiries(incidents, found.inquiries, self.endings),
            judge_mails(mails, found.deliveries, incidents),
        )


def inquiry(listed_: dict[str, Any]) -> Inquiry:
    """Its end, with everything in the list that would differ if it had ended again."""
    if listed_["status"] in UNDER_WAY:
        return Inquiry(listed_["investigation_id"], None)
    said = (listed_["status"], listed_["summary"], listed_["engine"], listed_["duration_seconds"])
    return Inquiry(listed_["investigation_id"], repr(said))


async def listed_once(stack: Stack, service: str, path: str) -> list[dict[str, Any]]:
    """The newest page."""
    async with httpx.AsyncClient(
        base_url=stack.urls[service], timeout=15, trust_env=False, headers=stack.headers()
    ) as http:
        answer = await http.get(path, params={"limit": "100"})
        answer.raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return items
