"""Pages over fakes: one process of several, a clock that goes when told to, and an application that counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from libs.auth.permissions import Role
from libs.auth.principal import Principal, principal_for
from libs.cache import made_of
from libs.cache.provenance import Provenance
from libs.web.page import Lifetime
from libs.web.pages import Ask, Captured, Far, Got, Pages, Patience
from tests.support.clock import Clock

SOURCE = "evidence"
SECRET = b"k" * 32
TTL, STALE = 15.0, 30.0
JSON = ((b"content-type", b"application/json"),)


def caller(tenant: str = "default", namespaces: Iterable[str] = ("*",), name: str = "x") -> Principal:
    return principal_for(
        name, tenant=tenant, roles=[Role.viewer], namespaces=namespaces, method="token", credential="kid"
    )


def lifetime(_: str, told: Provenance) -> Lifetime:
    return Lifetime(TTL, at_most=2.0) if told.partial else Lifetime(TTL, STALE)


@dataclass
class Making:
    """An application: says which answer it is, waits until it may, and is what its fields say."""

    status: int = 200
    body: bytes | None = None
    age: float = 0.0
    partial: bool = False
    fails: Exception | None = None
    count: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event | None = None

    async def __call__(self) -> Captured:
        self.count += 1
        number = self.count
        self.begun.set()
        if self.go is not None:
            await self.go.wait()
        if self.fails is not None:
            raise self.fails
        made_of(age=timedelta(seconds=self.age), partial=self.partial)
        return Captured(self.status, JSON, self.body if self.body is not None else b"answer %d" % number)

    @property
    def ask(self) -> Ask:
        return Ask(self, self)


@dataclass
class Process:
    """One process: its pages, and what became of each question."""

    pages: Pages
    outcomes: Counter[str]

    async def get(self, making: Making, path: str = "/a", *, within: float = 10.0, anew: bool = False) -> Got:
        key = self.pages.key(caller(), path, b"")
        assert key is not None
        page = None if anew else self.pages.near(key, SOURCE)
        if page is not None:
            return Got("near", page)
        return await self.pages.get(key, SOURCE, making.ask, within=timedelta(seconds=within), anew=anew)

    async def body(self, making: Making, path: str = "/a") -> bytes:
        got = await self.get(making, path)
        if got.page is not None:
            return got.page.body
        assert got.raw is not None
        return got.raw.body


def process(
    clock: Clock,
    far: Far | None = None,
    *,
    secret: bytes = SECRET,
    identity: str = "cluster",
    near_bytes: int = 1_000_000,
    patience: Patience | None = None,
) -> Process:
    outcomes = Counter[str]()
    pages = Pages(
        secret=secret,
        identity=lambda: identity,
        lifetimes=lifetime,
        observe=lambda _, outcome: outcomes.update([outcome]),
        near_bytes=near_bytes,
        far=far,
        patience=patience or Patience(others=timedelta(milliseconds=200), look=timedelta(milliseconds=5)),
        clock=clock,
    )
    return Process(pages, outcomes)


async def settled(*processes: Process) -> None:
    """Until what is done behind the callers' backs is done."""
    for one in processes:
        await one.pages.idle()
