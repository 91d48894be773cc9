"""The engine's children as the service knows them: what is said to one, and those that wait for their next run.

A child is bound to the reach of its first run, and handed to runs of that reach alone. So no text of another reach has
ever been in its process; what a run has for itself it drops after it (`engine/resident.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from services.holmesgpt_api.domain.residence import (
    FAULTS_OF_THE_MODEL,
    Growth,
    Policy,
    State,
    Why,
    makes_room,
    outstayed,
    unfit,
)
from services.holmesgpt_api.engine.foreign import ToolAnswered
from services.holmesgpt_api.engine.framing import BadFrame, Closed, encode, read
from services.holmesgpt_api.engine.messages import (
    FROM_CHILD,
    Answered,
    Concluded,
    Ended,
    Failed,
    Granted,
    Heard,
    ModelAccess,
    Probed,
    ProbeRequest,
    Recorded,
    Rested,
    RunRequest,
    TalkRequest,
)

_log = logging.getLogger(__name__)

REST_WITHIN = 2.0
"""Seconds from a run's last word to its child's rest. It takes milliseconds; on a busy machine a run waits no longer."""

AT_ONCE = 1 << 18
"""Bytes taken from a socket at once."""

KIB = 1024

_KEY = os.urandom(32)
"""Of this process: with it a digest says nothing to anybody who has tokens or keys to compare."""

M = TypeVar("M", bound=BaseModel)


def reach(
    *, tenant: str, asker: str, namespaces: Collection[str], models: Sequence[ModelAccess], context_url: str
) -> str:
    """What a run may see, as a digest: equal where two runs may see the same, and in no other case.

    The asker is part of it: what one caller has asked in a chat, another one with the same rights may not read.
    """
    said = [
        tenant,
        asker,
        sorted(set(namespaces)),
        context_url,
        sorted(one.model_dump_json() for one in models),
    ]
    return hashlib.blake2b(json.dumps(said).encode(), key=_KEY, digest_size=32).hexdigest()


class Frames:
    """Reads messages from a socket; several that have arrived together cost one look at it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._left = sock, bytearray()

    async def next(self, kind: TypeAdapter[M]) -> M:
        """Raises Closed, BadFrame."""
        try:
            return await read(self._exactly, kind)
        except OSError as error:
            raise Closed(str(error)) from error

    @property
    def pending(self) -> bool:
        """Whether something has arrived that nobody has read, the other side's end included."""
        try:
            return bool(self._left) or self._sock.recv(1, socket.MSG_PEEK) is not None
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def _exactly(self, wanted: int) -> bytes:
        loop = asyncio.get_running_loop()
        while len(self._left) < wanted:
            piece = await loop.sock_recv(self._sock, AT_ONCE)
            if not piece:
                raise EOFError
            self._left += piece
        whole = bytes(self._left[:wanted])
        del self._left[:wanted]
        return whole


class Child:
    """One child's other end. Raises Closed and BadFrame where it has died or talks nonsense."""

    def __init__(self, name: str, sock: socket.socket, end: asyncio.Future[Ended]) -> None:
        self.name, self.end, self.sock = name, end, sock
        self._frames, self._saying = Frames(sock), asyncio.Lock()
        self.born = time.monotonic()
        self.since = self.born
        """When it began to wait."""
        self.reach: str | None = None
        self.runs, self.own = 0, 0
        self._last: Heard | None = None
        self._nonsense = False

    async def send(
        self, message: RunRequest | TalkRequest | ProbeRequest | Granted | Recorded | ToolAnswered
    ) -> None:
        frame = encode(message)
        try:
            async with self._saying:  # foreign systems answer beside each other, and frames must not mix
                await asyncio.get_running_loop().sock_sendall(self.sock, frame)
        except OSError as error:
            raise Closed(str(error)) from error

    async def receive(self) -> Heard:
        # Its process holds the only other end: whatever ends it, ends this.
        try:
            self._last = await self._frames.next(FROM_CHILD)
        except BadFrame:
            self._nonsense = True
            raise
        return self._last

    @property
    def alive(self) -> bool:
        """While it waits for a run: it is there, and has said nothing."""
        return not self.end.done() and not self._frames.pending

    def takes(self, reach: str) -> None:
        """A run begins."""
        self.reach, self._last = reach, None

    async def rest(self, policy: Policy, *, cut_short: bool) -> Why | None:
        """Wait until the run is over here too. None: it can have another one; else, why not."""
        why = self._misused(cut_short=cut_short) or (None if policy.idle else "single")
        if why is not None:
            return why
        try:
            async with asyncio.timeout(REST_WITHIN):
                rested = await self.receive()
        except TimeoutError:
            return "restless"
        except BadFrame:
            return "bad-frame"
        except Closed:
            return "killed"
        if not isinstance(rested, Rested):
            return "bad-frame"
        self.runs, self.own, self.since = rested.runs, rested.own_kb * KIB, time.monotonic()
        age = timedelta(seconds=self.since - self.born)
        return unfit(policy, State(self.runs, self.own, rested.threads, age))

    def _misused(self, *, cut_short: bool) -> Why | None:
        if self._nonsense:
            return "bad-frame"
        if cut_short:
            return "cut-short"
        if self.end.done():
            return "killed"
        match self._last:
            case Failed(word="model-timeout"):
                return "cut-short"
            case Failed(word=word) if word not in FAULTS_OF_THE_MODEL:
                return "failed"
            case Concluded() | Answered() | Probed() | Failed():
                return None if self.reach else "single"
        return "failed"


class Residents:
    """Those that wait for a run."""

    def __init__(
        self,
        policy: Policy,
        *,
        pressed: Callable[[], bool] = lambda: False,
        observe: Callable[[Why], None] = lambda _: None,
    ) -> None:
        """Args:
        pressed: whether memory is short.
        observe: hears why children were retired.
        """
        self.policy, self.growth = policy, Growth()
        self._pressed, self._observe = pressed, observe
        self._waiting: list[Child] = []

    def __iter__(self) -> Iterator[Child]:
        return iter(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def pressed(self) -> bool:
        return self._pressed()

    @property
    def spares(self) -> int:
        return sum(one.reach is None for one in self._waiting)

    @property
    def own(self) -> int:
        """Bytes of their own."""
        return sum(one.own for one in self._waiting)

    def take(self, reach: str) -> Child | None:
        """One of this reach, the last that came to rest; else one that has served nobody. The dead are left behind."""
        for wanted in (reach, None) if reach else (None,):
            for one in reversed(self._waiting):
                if one.reach == wanted and one.alive:
                    self._waiting.remove(one)
                    return one
        return None

    def spare(self, child: Child) -> None:
        """It has served nobody, and waits for whoever comes."""
        self._waiting.append(child)

    def keep(self, child: Child) -> list[tuple[Child, Why]]:
        """It waits from now on; those that go for it."""
        self.growth.seen(child.name, child.runs, child.own)
        self._waiting.append(child)
        surplus = len(self._waiting) - self.spares - self.policy.idle
        return [(self._longest(), "room") for _ in range(surplus)]

    def make_room(self, children: int) -> list[tuple[Child, Why]]:
        """Those that go so that there can be one more, where there are so many."""
        surplus = min(children + 1 - self.policy.most, len(self._waiting))
        return [(self._longest(), "room") for _ in range(surplus)]

    def stale(self) -> list[tuple[Child, Why]]:
        """Those that go now, each with its reason; they wait no longer."""
        now, pressed, gone = time.monotonic(), bool(self._waiting) and self._pressed(), []
        for one in list(self._waiting):
            age, idle = timedelta(seconds=now - one.born), timedelta(seconds=now - one.since)
            why: Why | None = "killed" if not one.alive else None
            why = why or outstayed(self.policy, age=age, idle=idle, pressed=pressed)
            # One that has served nobody waits as long as it is fresh: there should always be one.
            if why == "idle" and one.reach is None:
                why = None
            if why is not None:
                self._waiting.remove(one)
                gone.append((one, why))
        return gone

    def lost(self, name: str) -> Child | None:
        """A child has ended: it waits no longer, if it did."""
        found = next((one for one in self._waiting if one.name == name), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def retired(self, child: Child, why: Why) -> None:
        """It has been put away."""
        if why in ("memory", "thread", "failed", "bad-frame", "restless"):
            _log.info("engine: child %s retired after %d runs: %s", child.name, child.runs + 1, why)
        self.growth.gone(child.name, why, time.monotonic())
        self._observe(why)

    def _longest(self) -> Child:
        """Those that have served nobody go last: whoever comes next can have one."""
        bound = [one for one in self._waiting if one.reach is not None] or self._waiting
        gone = bound[makes_room([one.since for one in bound])]
        self._waiting.remove(gone)
        return gone
