"""Owns the engine's zygote: starts it, shakes hands, starts it again when it dies, and has it fork children.

One task reads what the zygote says; each run talks to its child over a socket pair of the child's own, whose other end
was handed to the zygote with the order to fork. Which children serve another run: `residents.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from services.holmesgpt_api.adapters.residents import Child, Frames, Residents
from services.holmesgpt_api.domain.residence import NONE_KEPT, Why
from services.holmesgpt_api.engine.framing import BadFrame, Closed, encode
from services.holmesgpt_api.engine.messages import (
    FROM_ZYGOTE,
    PROTOCOL,
    SDK,
    Broken,
    Confinement,
    Ended,
    Hello,
    Kill,
    Ready,
    Start,
    Started,
)

_log = logging.getLogger(__name__)

MODULE = "services.holmesgpt_api.engine"
REMEDY = "install it with `make engine`"

HELLO_WITHIN = 30.0
"""Seconds. Nothing large is imported before the first word; a busy machine takes two."""

PAUSES = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before it is started again after so many failures in a row; the last one repeats."""

HEALTHY_AFTER = 60.0
"""Seconds a zygote must have lived for its death not to count as one of a row."""

DEATH_WITHIN = 5.0
"""Seconds. A child that was killed is reaped by then, or the zygote itself is stuck and is ended."""

LAST_WORDS = 1.0
"""Seconds to wait for what a process has written before it ended."""

TENDED_EVERY = 1.0
"""Seconds between two looks at the children that wait."""

STDERR = 2_000
"""Characters of its last words that are kept for the log."""

UNCONFINED = Confinement()

Word = Literal["starting", "ready", "missing", "refused", "broken", "lost", "stopped"]


@dataclass(frozen=True, slots=True)
class State:
    word: Word
    detail: str = ""


class Away(Exception):
    """No child can be had. The text says why, and the remedy where there is one."""


class _Fault(Exception):
    """A start came to nothing, or a zygote died."""

    def __init__(self, word: Word, detail: str) -> None:
        super().__init__(detail)
        self.state = State(word, detail)


class Zygote:
    """Run `run` as a task beside the worker; `child` may be entered at any time."""

    def __init__(
        self,
        python: Path,
        *,
        environment: Mapping[str, str],
        directory: Path,
        start_within: timedelta,
        on_change: Callable[[State], None] = lambda _: None,
        residents: Residents | None = None,
        confinement: Confinement = UNCONFINED,
    ) -> None:
        """Args:
        python: the interpreter of the engine's environment.
        environment: all that the engine gets to see of ours.
        directory: where `services` can be imported from.
        residents: where children wait for another run; by default none does.
        confinement: what the kernel is to keep it from.
        """
        self._python, self._environment, self._directory = python, dict(environment), directory
        self._confinement = confinement
        self._start_within = start_within.total_seconds()
        self._on_change = on_change
        self._state = State("starting")
        self._changed = asyncio.Condition()
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._children: dict[str, asyncio.Future[Ended]] = {}
        self._names = itertools.count(1)
        self._busy: dict[str, Child] = {}
        self._going: set[asyncio.Task[None]] = set()
        self.residents = Residents(NONE_KEPT) if residents is None else residents

    @property
    def state(self) -> State:
        return self._state

    @property
    def running(self) -> int:
        return len(self._busy)

    @property
    def own(self) -> int:
        """Bytes that its children have for themselves, as each said after its last run."""
        return self.residents.own + sum(one.own for one in self._busy.values())

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self, stop: asyncio.Event) -> None:
        """Keep a zygote running until `stop`."""
        failures = 0
        while not stop.is_set():
            began = time.monotonic()
            try:
                await self._one(stop)
            except _Fault as fault:
                failures = 1 if time.monotonic() - began > HEALTHY_AFTER else failures + 1
                _log.warning("engine %s: %s", fault.state.word, fault.state.detail)
                await self._become(fault.state)
                with suppress(TimeoutError):
                    pause = PAUSES[min(failures, len(PAUSES)) - 1]
                    await asyncio.wait_for(stop.wait(), pause)
        await self._become(State("stopped"))

    @asynccontextmanager
    async def child(self, run: str, *, patience: float, reach: str = "") -> AsyncIterator[Child]:
        """A child for this run. When the block is left, however it is left, it waits for a run of the same reach, or is
        dead and reaped.

        Args:
            patience: seconds to wait for a zygote that is still starting.
            reach: what the run may see (`residents.reach`). Empty: the child serves this run alone.

        Raises:
            Away: there is none to be had.
        """
        child = self.residents.take(reach) or await self._new(patience)
        child.takes(reach)
        self._busy[child.name] = child
        _log.debug("engine: run %s is in child %s", run, child.name)
        cut_short = False
        try:
            yield child
        except (asyncio.CancelledError, TimeoutError, GeneratorExit):
            cut_short = True
            raise
        finally:
            why: Why | None = "cut-short"
            try:
                why = await child.rest(self.residents.policy, cut_short=cut_short)
            finally:
                try:
                    if why is not None:
                        await self._put_away(child, why)
                finally:
                    del self._busy[child.name]
            if why is None:
                self._let_go(self.residents.keep(child))

    async def _new(self, patience: float) -> Child:
        """Raises Away."""
        self._let_go(self.residents.make_room(len(self._children)))
        name = f"child-{next(self._names)}"
        end: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._children[name] = end
        try:
            return Child(name, await self._forked(name, time.monotonic() + patience), end)
        except BaseException:
            self._children.pop(name, None)
            raise

    async def _forked(self, child: str, until: float) -> socket.socket:
        """Our end of the new child's socket pair. A zygote that has died unnoticed is not its last chance."""
        while True:
            control = await self._ready(max(until - time.monotonic(), 0.0))
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            try:
                with theirs:
                    _order(control, Start(child=child), theirs)
            except Away:
                ours.close()
                await self._give_up(control)
            else:
                return ours

    def _let_go(self, gone: Sequence[tuple[Child, Why]]) -> None:
        """Beside everything else: whoever needs the place does not wait for it."""
        for child, why in gone:
            task = asyncio.create_task(self._put_away(child, why))
            self._going.add(task)
            task.add_done_callback(self._going.discard)

    async def _tend(self) -> None:
        """While the zygote is ready: send away who has waited too long, and have a new one wait. Returns never."""
        policy = self.residents.policy
        while True:
            try:
                self._let_go(self.residents.stale())
                wanting = self.residents.spares < policy.spare and len(self._children) < policy.most
                if wanting and not self.residents.pressed:
                    self.residents.spare(await self._new(TENDED_EVERY))
                    continue
            except Away as error:
                _log.info("engine: no child in advance: %s", error)
            await asyncio.sleep(TENDED_EVERY)

    async def _give_up(self, control: socket.socket) -> None:
        """A zygote that takes no orders is ended, so that another one is started."""
        if self._control is control:
            await self._become(State("lost", "it takes no orders"))
            if self._process is not None and self._process.returncode is None:
                self._process.kill()

    async def _put_away(self, child: Child, why: Why) -> None:
        """Until it is dead and reaped."""
        child.sock.close()
        try:
            await self._ended_of(child)
        finally:
            self._children.pop(child.name, None)
            self.residents.retired(child, why)

    async def _ended_of(self, child: Child) -> None:
        if child.end.done():
            return
        if self._control is not None:
            with suppress(Away):
                _order(self._control, Kill(child=child.name))
        done, _ = await asyncio.wait({child.end}, timeout=DEATH_WITHIN)
        if not done and self._process is not None and self._process.returncode is None:
            _log.error("engine: %s was not reaped within %.0f s; ending the zygote", child.name, DEATH_WITHIN)
            self._process.kill()

    async def _ready(self, patience: float) -> socket.socket:
        """The control socket of a zygote that is ready."""
        try:
            async with asyncio.timeout(patience), self._changed:
                while self._control is None:
                    if self._state.word in ("missing", "refused", "broken", "stopped"):
                        raise Away(f"{self._state.word}: {self._state.detail}")
                    await self._changed.wait()
                return self._control
        except TimeoutError:
            raise Away(f"{self._state.word}: not ready within {patience:.0f} s") from None

    async def _become(self, state: State, control: socket.socket | None = None) -> None:
        async with self._changed:
            self._state, self._control = state, control
            self._changed.notify_all()
        self._on_change(state)

    async def _one(self, stop: asyncio.Event) -> None:
        """One zygote's life. Returns after `stop`; raises _Fault when it ends by itself."""
        if not await asyncio.to_thread(self._python.is_file):
            raise _Fault("missing", f"no HolmesGPT at {self._python}: {REMEDY}")
        if self._state.word not in ("missing", "refused", "broken"):
            await self._become(State("starting"))
        control, theirs = socket.socketpair()
        control.setblocking(False)
        try:
            with theirs:
                self._process = process = await self._start(theirs)
            last_words = asyncio.create_task(_tail(process))
            try:
                await self._live(control, stop)
            finally:
                control.close()
                await self._bury(process)
                # A child that outlives its zygote for a moment holds the pipe open.
                await asyncio.wait({last_words}, timeout=LAST_WORDS)
                if last_words.done() and last_words.result() and not stop.is_set():
                    _log.warning("engine's last words: %s", last_words.result())
                last_words.cancel()
        finally:
            control.close()

    async def _start(self, theirs: socket.socket) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                str(self._python),
                "-m",
                MODULE,
                str(theirs.fileno()),
                self._confinement.model_dump_json(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                cwd=self._directory,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is for the service, which ends its runs itself
            )
        except OSError as error:
            raise _Fault(
                "missing", f"{self._python} cannot be started: {error.strerror}: {REMEDY}"
            ) from error

    async def _live(self, control: socket.socket, stop: asyncio.Event) -> None:
        """From its first word to its death or to `stop`, whichever comes first."""
        living = asyncio.create_task(self._serve(control))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await living
        finally:
            for task in (living, stopping):
                task.cancel()
            await asyncio.wait({living, stopping})
            if not living.cancelled():
                living.exception()  # raised above, or of no interest after a stop

    async def _serve(self, control: socket.socket) -> None:
        """Shake hands and listen. Raises _Fault; returns never."""
        frames = Frames(control)
        try:
            await self._shake_hands(frames, control)
        except (Closed, BadFrame) as error:
            raise _Fault("broken", f"it ended before it was ready ({error}): {REMEDY}") from error
        except TimeoutError:
            raise _Fault("broken", f"not ready within {self._start_within:.0f} s") from None
        tending = asyncio.create_task(self._tend(), name="tend the engine's children")
        try:
            await self._listen(frames)
        except (Closed, BadFrame) as error:
            raise _Fault("lost", f"it died with {self.running} runs: {error}") from error
        finally:
            tending.cancel()
            await asyncio.wait({tending})

    async def _shake_hands(self, frames: Frames, control: socket.socket) -> None:
        async with asyncio.timeout(HELLO_WITHIN):
            hello = await frames.next(FROM_ZYGOTE)
        if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
            raise _Fault(
                "refused", "it speaks another protocol: it comes from another checkout than the service"
            )
        if hello.sdk != SDK:
            found = f"HolmesGPT {hello.sdk}" if hello.sdk else "no HolmesGPT"
            raise _Fault("refused", f"{found} is installed and this release speaks {SDK}: {REMEDY}")
        async with asyncio.timeout(self._start_within):
            ready = await frames.next(FROM_ZYGOTE)
        if isinstance(ready, Broken):
            raise _Fault("broken", f"{ready.detail}: {ready.remedy or REMEDY}")
        if not isinstance(ready, Ready):
            raise _Fault("broken", "it did not say that it is ready")
        kept_in = f"confined by Landlock {ready.confined}" if ready.confined else "not confined"
        said = f"HolmesGPT {SDK}, {ready.rss_kb // 1024} MB, {kept_in}"
        wanted = self._confinement.mode != "off"
        _log.log(
            logging.WARNING if wanted and not ready.confined else logging.INFO,
            *("engine ready after %.1f s: %s", ready.took_s, said),
        )
        await self._become(State("ready", said), control)

    async def _listen(self, frames: Frames) -> None:
        """Raises Closed or BadFrame when the zygote has ended or cannot be understood."""
        while True:
            match await frames.next(FROM_ZYGOTE):
                case Ended(child=child) as ended:
                    self._ended(child, ended)
                case Started(child=child, pid=pid):
                    _log.debug("engine: %s is process %d", child, pid)

    def _ended(self, name: str, ended: Ended, why: Why = "killed") -> None:
        future = self._children.get(name)
        if future is not None and not future.done():
            future.set_result(ended)
        if (waited := self.residents.lost(name)) is not None:
            self._let_go([(waited, why)])

    async def _bury(self, process: asyncio.subprocess.Process) -> None:
        """Its control socket is closed: it kills its children and ends. If not, it is killed, and they with it."""
        if self._control is not None:
            await self._become(State("lost", "it has ended"))
        try:
            await asyncio.wait_for(process.wait(), DEATH_WITHIN)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        for child in list(self._children):
            self._ended(child, Ended(child=child, code=-9), "engine")
        if self._going:
            await asyncio.wait(self._going)


def _order(control: socket.socket, message: Start | Kill, carried: socket.socket | None = None) -> None:
    """Orders are small and few: one that does not fit into the socket at once finds a zygote that is stuck."""
    frame = encode(message)
    try:
        if carried is None:
            sent = control.send(frame)
        else:
            sent = socket.send_fds(control, [frame], [carried.fileno()])
    except OSError as error:
        raise Away(f"the engine takes no orders: {type(error).__name__}") from error
    if sent != len(frame):
        raise Away("the engine takes no orders: it is stuck")


async def _tail(process: asyncio.subprocess.Process) -> str:
    """The end of what it wrote to standard error; all of it is read, so that it never waits for us."""
    stream, kept = process.stderr, b""
    if stream is None:
        return ""
    while piece := await stream.read(4096):
        kept = (kept + piece)[-STDERR:]
    return " | ".join(kept.decode(errors="replace").split("\n")[-8:]).strip(" |")
