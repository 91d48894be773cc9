"""Rounds of operations at once, each with applications that know nothing yet, and what came of them."""

from __future__ import annotations

import asyncio
import math
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import structlog
from starlette.types import ASGIApp

from libs.auth import Authenticator, KeyRing, TokenMinter
from libs.auth.permissions import Role
from services.context_api.main import create_app
from services.context_api.settings import Settings
from tests.isolation.archive import Archive
from tests.isolation.ask import Answer, ask
from tests.isolation.operations import Caller, Chooser, Operation
from tests.support import canaries
from tests.support.keyrings import hs256_entry, ring
from tests.support.served import served

AT_ONCE = 24
"""Operations under way: fewer questions than wait before somebody is told to come back."""

TOKEN_S = 60.0
"""After which callers get new tokens; they last a few minutes."""

REFUSED = (401, 429)
"""Who is not let in, or told to come back, tests nothing."""

MOST_KNOWN = 4_000
"""Ids of facts that are kept to ask for them."""

_FACT = re.compile(rb"ev-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Kind:
    """How a round is set up."""

    kept_s: float
    """How long answers are kept: long, and most come from the cache; a moment, and most are found anew."""
    redis: str = ""
    """Of two applications that share it; empty: one, with a cache of its own."""

    def __str__(self) -> str:
        where = "Redis, shared by two replicas" if self.redis else "memory"
        return f"{where}, {'warm' if self.kept_s > 1 else 'cold'}"


@dataclass
class Outcome:
    """What came of it."""

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    """With a 2xx that is no tool's error."""
    own: Counter[str] = field(default_factory=Counter)
    """Words of one's own that were told, by route: without them a campaign proves nothing."""
    statuses: Counter[int] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Answers that are none: a 5xx, or a caller who was not let in."""
    seconds: float = 0.0

    @property
    def operations(self) -> int:
        return self.asked.total()

    @property
    def words(self) -> int:
        return self.own.total()


class Campaign:
    """One caller each of `CALLERS`, against one or two applications."""

    def __init__(self, apps: Sequence[ASGIApp], keys: KeyRing, outcome: Outcome) -> None:
        self._minter = TokenMinter(lambda: keys, service="test")
        self._tokens: dict[Caller, bytes] = {}
        self._minted = -math.inf
        self._apps, self._outcome = apps, outcome
        self._known: list[str] = []
        self._seen: set[bytes] = set()

    async def run(self, seed: int, operations: int) -> None:
        """Ask that many."""
        chooser, left = Chooser(seed, self._known), operations

        async def worker(number: int) -> None:
            nonlocal left
            while left > 0:
                left -= 1
                operation = chooser.one()
                token = b"Bearer " + self._token(operation.caller)
                app = self._apps[chooser.dice.randrange(len(self._apps))]
                fields = (*operation.fields, (b"authorization", token))
                self._note(
                    operation, await ask(app, operation.method, operation.target, fields, operation.body)
                )

        began = time.perf_counter()
        await asyncio.gather(*map(worker, range(AT_ONCE)))
        self._outcome.seconds += time.perf_counter() - began

    def _token(self, caller: Caller) -> bytes:
        now = time.monotonic()
        if now - self._minted > TOKEN_S:
            self._tokens, self._minted = {}, now
        if caller not in self._tokens:
            self._tokens[caller] = self._minter.mint(
                caller.name, tenant=caller.tenant, roles=[Role.viewer], namespaces=caller.namespaces
            ).encode()
        return self._tokens[caller]

    def _note(self, operation: Operation, answer: Answer) -> None:
        outcome, route = self._outcome, operation.route
        outcome.asked[route] += 1
        outcome.statuses[answer.status] += 1
        outcome.answered[route] += 200 <= answer.status < 300 and b'"isError":true' not in answer.body
        # Apart: a packed body is known by its first bytes.
        words = {*canaries.WORDS.told(answer.head), *canaries.WORDS.told(answer.body)}
        foreign = [word for word in words if not operation.caller.may_see(canaries.WORDS.owners[word])]
        outcome.own[route] += len(words) - len(foreign)
        if foreign:
            owners = sorted({f"{canaries.WORDS.owners[w]} {canaries.WORDS.places[w]}" for w in foreign})
            outcome.leaks.append(f"{_said(operation)} -> {answer.status} {owners}")
        if answer.status >= 500 or answer.status in REFUSED:
            outcome.broken.append(f"{_said(operation)} -> {answer.status} {answer.body[:300]!r}")
        for fact in set(_FACT.findall(answer.body)) - self._seen:
            if len(self._known) < MOST_KNOWN:
                self._seen.add(fact)
                self._known.append(fact.decode())


def _said(operation: Operation) -> str:
    body = operation.body.decode()
    return f"{operation.caller.name} ({operation.route}): {operation.method} {operation.target} {body}"


def quiet() -> None:
    """No line a request: a campaign of its own process says what came of it, and nothing else."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_dropped])


def _dropped(_logger: Any, _method: str, _event: MutableMapping[str, Any]) -> NoReturn:
    raise structlog.DropEvent


async def round_of(seed: int, operations: int, kind: Kind, *, careless: bool = False) -> Outcome:
    """Applications that know nothing yet are asked that much; what came of it.

    Args:
        careless: the archive of alerts tells everybody everything.
    """
    outcome = Outcome()
    keys = ring(jwt=[hs256_entry()])
    with tempfile.TemporaryDirectory() as folder:
        recording = canaries.write(Path(folder))
        async with AsyncExitStack() as stack:
            archive = Archive(Authenticator(keys), careless=careless)
            url = await stack.enter_async_context(served(archive))
            apps = [
                await stack.enter_async_context(_application(recording, url, keys, kind))
                for _ in range(2 if kind.redis else 1)
            ]
            await Campaign(apps, keys, outcome).run(seed, operations)
    return outcome


@asynccontextmanager
async def _application(recording: Path, alerts: str, keys: KeyRing, kind: Kind) -> AsyncIterator[ASGIApp]:
    settings = Settings.model_validate(
        {
            "recorded_cluster": recording,
            "alerts_url": alerts,
            "rate_limit_requests": 100_000_000,
            "answer_ttl": kind.kept_s,
            "answer_timeout": 120,
            "history_timeout": 60,
            "redis_url": kind.redis or None,
        }
    )
    app = create_app(settings, authenticator=Authenticator(keys))
    async with app.router.lifespan_context(app):
        yield app
