"""Keep whole answers: near, in this process, and far, in Redis, for all replicas.

A page is looked for near first, which is asked about again far after `near_for`; then far; then it is made, once for
everybody who asks: in this process they wait for the one who makes it, other replicas wait for a bounded time and
then make it themselves. A page that is no longer fresh is given once more and made anew meanwhile; it tells its age.

Without far, or while far does not answer, pages stay near for all of their time: only others do not share them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b
from time import time as wall_clock
from typing import Any

from libs.auth.permissions import Permission
from libs.auth.principal import EVERY_NAMESPACE, Principal
from libs.cache.keys import key as joined
from libs.cache.ports import Cache
from libs.cache.provenance import Provenance, noted
from libs.cache.turns import Turn, Turns
from libs.logs import get_logger
from libs.web.page import AHEAD_S, COMPRESS_FROM, Lifetime, Page, make, packed, unpacked

OUTCOMES = ("near", "far", "shared", "stale", "made", "not-kept")
"""From this process, from Redis, from who was making it already, old and said to be; or made now, and kept or not."""

HITS = frozenset({"near", "far", "shared", "stale"})

_LAYOUT = "1"
"""Of keys: another number, and nothing kept before is found."""

_log = get_logger("pages")


@dataclass(frozen=True, slots=True)
class KeptRoute:
    """A `GET` route whose answers are kept; hand them to `create_app(kept=…)`."""

    template: str
    source: str
    """Under which its questions are counted, and by which lifetimes are chosen."""
    permission: Permission
    """What the route demands. Who lacks it is given to the route, which refuses."""
    also: Callable[[str, bytes], Sequence[tuple[bytes, bytes]]] | None = None
    """Header fields that its answers carry besides, by path and query."""


@dataclass(frozen=True, slots=True)
class Captured:
    """An answer as the application gave it."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    @property
    def may_be_kept(self) -> bool:
        return self.status == 200 and dict(self.headers).get(b"content-type") == b"application/json"


@dataclass(frozen=True, slots=True)
class Ask:
    """Makes the answer anew. Whatever it raises is told to who asked, and not kept."""

    now: Callable[[], Awaitable[Captured]]
    behind: Callable[[], Awaitable[Captured]]
    """The same, while nobody waits for it."""


Lifetimes = Callable[[str, Provenance], Lifetime]
"""How long an answer from a source may be kept, by what it is made of."""

Observe = Callable[[str, str], None]
"""Told of every question: its source, and one of `OUTCOMES`."""


@dataclass(frozen=True, slots=True)
class Got:
    """A page, or the answer that is none."""

    outcome: str
    page: Page | None = None
    raw: Captured | None = None


@dataclass(frozen=True, slots=True)
class Far:
    """What replicas share."""

    cache: Cache
    turns: Turns


@dataclass(frozen=True, slots=True)
class Patience:
    """Times that a page is waited for or relied on; a guess each, and none changes what is answered."""

    near_for: timedelta = timedelta(seconds=1)
    others: timedelta = timedelta(seconds=1)
    """For another replica that makes it."""
    look: timedelta = timedelta(milliseconds=25)
    """Between two looks whether it has."""
    making: timedelta = timedelta(seconds=10)
    """After which another replica no longer believes that we are still at it."""
    renewals: int = 16
    """At once; a stale page beyond them is renewed by a later question."""


@dataclass(slots=True)
class _Near:
    page: Page
    checked: float
    """When far last said so."""


@dataclass(slots=True)
class _Shelf:
    """Pages in this process, least recently used out first, within `most` bytes."""

    most: int
    pages: OrderedDict[bytes, _Near] = field(default_factory=OrderedDict)
    taken: int = 0
    evicted: int = 0

    def put(self, key: bytes, page: Page, now: float) -> None:
        self.drop(key)
        # One page must not empty the shelf for all others.
        if page.size * 4 > self.most:
            return
        self.pages[key] = _Near(page, now)
        self.taken += page.size
        while self.taken > self.most:
            _, gone = self.pages.popitem(last=False)
            self.taken -= gone.page.size
            self.evicted += 1

    def drop(self, key: bytes) -> None:
        gone = self.pages.pop(key, None)
        if gone is not None:
            self.taken -= gone.page.size


class Pages:
    """One per process; close it when done."""

    def __init__(
        self,
        *,
        secret: bytes,
        identity: Callable[[], str],
        lifetimes: Lifetimes,
        observe: Observe,
        near_bytes: int,
        far: Far | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        """Args:
        secret: keys every digest; shared by the processes that share `far`. Up to 64 bytes.
        identity: what the answers are about, as all these processes name it; empty: nothing may be kept yet.
        """
        self._secret, self._identify = secret, identity
        self._lifetimes, self._observe = lifetimes, observe
        self._far, self._patience, self._clock = far, patience or Patience(), clock
        self._shelf = _Shelf(near_bytes)
        self._near_for = self._patience.near_for.total_seconds() if far is not None else None
        self._identity = ""
        self._flights: dict[bytes, asyncio.Future[Page | None]] = {}
        self._behind: set[asyncio.Task[None]] = set()
        self._renewing: set[bytes] = set()

    @property
    def now(self) -> float:
        return self._clock()

    @property
    def held_bytes(self) -> int:
        """Near."""
        return self._shelf.taken

    @property
    def evicted(self) -> int:
        """Pages that had to go for others, since the start."""
        return self._shelf.evicted

    async def idle(self) -> None:
        """Until what is done behind the callers' backs is done."""
        while self._behind:
            await asyncio.wait(self._behind)

    async def close(self) -> None:
        for task in self._behind:
            task.cancel()
        await asyncio.gather(*self._behind, return_exceptions=True)

    def key(self, caller: Principal, path: str, query: bytes) -> bytes | None:
        """Under what this caller's answer is kept: a digest of who sees the same, and of all that was asked.

        None while nobody can say what the answers are about.
        """
        identity = self._identity or self._identified()
        if not identity:
            return None
        asked = path.encode("utf-8", "surrogatepass")
        about = _seen_by(identity, caller.tenant, caller.namespaces)
        # Lengths first: no two questions are one text, whatever stands in them.
        text = b"%b%d:%b%d:%b" % (about, len(asked), asked, len(query), query)
        return blake2b(text, digest_size=20, key=self._secret, person=b"kn-page").digest()

    def near(self, key: bytes, source: str) -> Page | None:
        """The page, when it is here, fresh, and far need not be asked. Costs two microseconds and no waiting."""
        held = self._shelf.pages.get(key)
        if held is None:
            return None
        page, now = held.page, self._clock()
        # Fresh ends before usable does; and a clock that was set back makes nothing younger.
        if now >= page.fresh_until or page.as_of > now + AHEAD_S:
            return None
        if self._near_for is not None and not 0 <= now - held.checked < self._near_for:
            return None
        self._shelf.pages.move_to_end(key)
        self._observe(source, "near")
        return page

    async def get(self, key: bytes, source: str, ask: Ask, *, within: timedelta, anew: bool = False) -> Got:
        """The page, or the answer that is none; from wherever it is found first.

        Args:
            within: the longest wait for whoever makes it already; after that it is asked for once more.
            anew: the caller wants none that was kept.
        """
        if anew:
            return self._told(source, await self._make(key, source, ask.now))
        flight = self._flights.get(key)
        if flight is not None:
            page = await _waited(flight, within)
            return self._told(source, Got("shared", page) if page else Got("not-kept", raw=await ask.now()))
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            got = await self._found(key, source, ask)
            flight.set_result(got.page)
        finally:
            if not flight.done():
                flight.set_result(None)
            del self._flights[key]
        return self._told(source, got)

    def _told(self, source: str, got: Got) -> Got:
        self._observe(source, got.outcome)
        return got

    def _identified(self) -> str:
        self._identity = self._identify()
        return self._identity

    async def _found(self, key: bytes, source: str, ask: Ask) -> Got:
        known = await self._kept(key)
        if known is not None:
            outcome, page = known
            if self._clock() < page.fresh_until:
                return Got(outcome, page)
            self._renew(key, source, ask)
            return Got("stale", page)
        if self._far is None:
            return await self._make(key, source, ask.now)
        turn = await self._far.turns.take(key.hex(), self._patience.making)
        if turn is Turn.theirs:
            theirs = await self._theirs(key)
            if theirs is not None:
                return Got("shared", theirs)
        return await self._make(key, source, ask.now, turn)

    async def _kept(self, key: bytes) -> tuple[str, Page] | None:
        """A page that may be given, from far when it answers and else from near."""
        now = self._clock()
        page = await self._read(key)
        held = self._shelf.pages.get(key)
        if held is not None and not held.page.usable(now):
            self._shelf.drop(key)
            held = None
        if held is not None and (page is None or page.as_of <= held.page.as_of):
            # Far has the same, or forgot it, or does not answer: it is still what it says.
            held.checked = now
            return "near" if page is None else "far", held.page
        if page is None:
            return None
        self._shelf.put(key, page, now)
        return "far", page

    async def _read(self, key: bytes) -> Page | None:
        if self._far is None:
            return None
        data = await self._far.cache.get(key.hex())
        page = unpacked(data) if data is not None else None
        return page if page is not None and page.usable(self._clock()) else None

    async def _theirs(self, key: bytes) -> Page | None:
        """The fresh page that another replica is making, if it comes in time."""
        ends = asyncio.get_running_loop().time() + self._patience.others.total_seconds()
        while asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(self._patience.look.total_seconds())
            page = await self._read(key)
            if page is not None and self._clock() < page.fresh_until:
                self._shelf.put(key, page, self._clock())
                return page
        return None

    async def _make(
        self,
        key: bytes,
        source: str,
        ask: Callable[[], Awaitable[Captured]],
        turn: bytes | Turn = Turn.nobody_knows,
    ) -> Got:
        page = None
        try:
            began, about = self._clock(), self._identity
            with noted() as provenance:
                raw = await ask()
            # What it is about is asked again here, where that costs nothing compared with the rest: the key is of then.
            if self._identified() != about or not raw.may_be_kept:
                return Got("not-kept", raw=raw)
            lifetime = self._lifetimes(source, provenance)
            page = await self._paged(raw.body, provenance, lifetime, began)
            self._shelf.put(key, page, self._clock())
            return Got("made", page)
        finally:
            self._share(key, page, turn)

    async def _paged(self, body: bytes, provenance: Provenance, lifetime: Lifetime, began: float) -> Page:
        if len(body) < COMPRESS_FROM:
            return make(body, provenance, lifetime, began=began, now=self._clock())
        return await asyncio.to_thread(make, body, provenance, lifetime, began=began, now=self._clock())

    def _share(self, key: bytes, page: Page | None, turn: bytes | Turn) -> None:
        """Put it far, and only then let others have their turn. Nobody waits for it."""
        far = self._far
        if far is None or (page is None and not isinstance(turn, bytes)):
            return

        async def share() -> None:
            left = page.stale_until - self._clock() if page is not None else 0.0
            if page is not None and left > 0:
                await far.cache.set(key.hex(), packed(page), timedelta(seconds=left))
            if isinstance(turn, bytes):
                await far.turns.give_back(key.hex(), turn)

        self._later(share())

    def _renew(self, key: bytes, source: str, ask: Ask) -> None:
        if key not in self._renewing and len(self._renewing) < self._patience.renewals:
            self._renewing.add(key)
            self._later(self._renewed(key, source, ask.behind))

    async def _renewed(self, key: bytes, source: str, ask: Callable[[], Awaitable[Captured]]) -> None:
        try:
            turn: bytes | Turn = Turn.nobody_knows
            if self._far is not None:
                turn = await self._far.turns.take(key.hex(), self._patience.making)
            if turn is not Turn.theirs:
                await self._make(key, source, ask, turn)
        except Exception:
            # Nobody waits for it. Who asks when the page's time is over is told what is wrong.
            _log.warning("a page could not be renewed", source=source, exc_info=True)
        finally:
            self._renewing.discard(key)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="pages")
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)


@lru_cache(maxsize=1024)
def _seen_by(identity: str, tenant: str, namespaces: tuple[str, ...]) -> bytes:
    """Who sees the same: one tenant, and the same namespaces in whatever order."""
    readable = (EVERY_NAMESPACE,) if EVERY_NAMESPACE in namespaces else tuple(sorted(set(namespaces)))
    return joined(_LAYOUT, identity, tenant, joined(*readable)).encode("utf-8", "surrogatepass")


async def _waited(flight: asyncio.Future[Page | None], within: timedelta) -> Page | None:
    try:
        return await asyncio.wait_for(asyncio.shield(flight), within.total_seconds())
    except TimeoutError:
        return None


def hit_ratio(counted: Mapping[str, int]) -> float:
    """Of one source, from how many times each outcome was seen; 0 before anything was asked."""
    asked = sum(counted.values())
    return sum(number for outcome, number in counted.items() if outcome in HITS) / asked if asked else 0.0
