"""Starts, watches, restarts and stops the stack's processes. Says what happens through `say`."""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import BinaryIO

from cli.run.deaths import RESTART_PAUSES_S, START_TRIES, Deaths, wording
from cli.run.stack import Process
from libs.storage.embedded import EmbeddedFailed, EmbeddedPostgres

Say = Callable[[str], None]

Spawn = Callable[[Process, int, Path, BinaryIO], Awaitable[asyncio.subprocess.Process]]
"""Start a process: told the pipe's end that it must watch, the repository's root, and where its log goes."""

Pause = Callable[[float], Awaitable[None]]

STOP_GRACE_S = 35.0
"""Above the services' own 5 s drain + 25 s finish; after it a process is killed, and that is said."""

POSTGRES_CHECK_S = 0.3
"""A death is seen this late at most. Looking costs one system call."""

POSTGRES_STUCK_S = 15.0
"""It may stand still between a crash and its recovery; PostgreSQL itself gives the crashed 5 s to end."""


class StartFailed(Exception):
    """A process could not be brought up."""

    def __init__(self, process: str, detail: str) -> None:
        super().__init__(f"{process} did not start: {detail}")


class Supervisor:
    """Keeps a set of processes running until told to stop."""

    def __init__(
        self,
        processes: Sequence[Process],
        *,
        log_directory: Path,
        root: Path,
        say: Say,
        spawn: Spawn | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """Start nothing yet.

        Args:
            spawn, pause: how a process is started and a restart waited for; other ones are for tests.
        """
        self._processes = processes
        self._logs = log_directory
        self._root = root
        self._say = say
        self._spawn = spawn or spawn_child
        self._pause = pause
        self._watchers: list[asyncio.Task[None]] = []
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = False
        self._ready = False
        self._failure: StartFailed | None = None
        self._read_end, self._write_end = os.pipe()

    def start(self) -> None:
        """Start every process; each is watched by a task of its own until `stop`."""
        self._watchers = [asyncio.create_task(self._keep(p), name=p.name) for p in self._processes]

    def pid_of(self, name: str) -> int | None:
        """The process id of a running process; None while it is down."""
        running = self._running.get(name)
        return running.pid if running and running.returncode is None else None

    async def until_ready(self, is_ready: Callable[[Process], Awaitable[bool]], *, deadline_s: float) -> None:
        """Wait until every API answers that it is ready.

        Raises:
            StartFailed: a process died `START_TRIES` times, or the deadline passed; names the process.
        """
        waiting = [process for process in self._processes if process.url]
        ends = time.monotonic() + deadline_s
        while waiting:
            if self._failure:
                raise self._failure
            answers = await asyncio.gather(*(is_ready(process) for process in waiting))
            waiting = [process for process, ready in zip(waiting, answers, strict=True) if not ready]
            if waiting and time.monotonic() > ends:
                raise StartFailed(
                    waiting[0].name, f"not ready within {deadline_s:.0f} s; see {self._log_path(waiting[0])}"
                )
            if waiting:
                await asyncio.sleep(0.1)
        self._ready = True

    async def stop(self) -> None:
        """Ask every process to end, wait for it, and kill what does not."""
        self._stopping = True
        running = dict(self._running)
        for process in running.values():
            _signal(process, signal.SIGTERM)
        if running:
            _, late = await asyncio.wait(
                [asyncio.create_task(p.wait(), name=n) for n, p in running.items()], timeout=STOP_GRACE_S
            )
            for task in late:
                self._say(f"{task.get_name()} did not end within {STOP_GRACE_S:.0f} s; killing it")
                _signal(running[task.get_name()], signal.SIGKILL)
            if late:
                await asyncio.wait(late)
        await self._end_watching()
        os.close(self._write_end)
        os.close(self._read_end)

    async def _end_watching(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()  # one may be in its pause before a restart
        await asyncio.gather(*self._watchers, return_exceptions=True)

    async def _keep(self, process: Process) -> None:
        deaths = Deaths()
        while not self._stopping:
            began = time.monotonic()
            code = await self._run(process)
            if self._stopping:
                return
            pause = deaths.pause_after(time.monotonic() - began, ready=self._ready)
            if pause is None:
                self._give_up(process, code)
                return
            self._say(
                f"{process.name} {wording(code)}; restarting in {pause:g} s (log: {self._log_path(process)})"
            )
            await self._pause(pause)

    def _give_up(self, process: Process, code: int) -> None:
        last = _last_lines(self._log_path(process))
        self._failure = StartFailed(process.name, f"it {wording(code)}, {START_TRIES} times over.\n{last}")

    async def _run(self, process: Process) -> int:
        """Start it and wait for its end; one that cannot be started has died at once."""
        try:
            with self._log_path(process).open("ab") as log:
                return await self._run_with(process, log)
        except OSError as error:
            self._say(f"{process.name}: {error}")
            return error.errno or 1

    async def _run_with(self, process: Process, log: BinaryIO) -> int:
        child = await self._spawn(process, self._read_end, self._root, log)
        self._running[process.name] = child
        try:
            if child.stdout is not None:  # always: a pipe was asked for
                await self._pass_on(process, child.stdout, log)
            return await child.wait()
        finally:
            self._running.pop(process.name, None)

    async def _pass_on(self, process: Process, output: asyncio.StreamReader, log: BinaryIO) -> None:
        """What the notifications worker prints is for people; everyone else's output is a log."""
        for_people = process.name == "notifications worker"
        decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a read may end within a character
        while chunk := await output.read(65_536):
            if for_people:
                self._say(decoder.decode(chunk).rstrip("\n"))
            else:
                log.write(chunk)
                log.flush()

    def _log_path(self, process: Process) -> Path:
        return self._logs / f"{process.name.replace(' ', '-')}.log"


async def spawn_child(
    process: Process, watched: int, root: Path, log: BinaryIO
) -> asyncio.subprocess.Process:
    """`python -m cli.run.child`, which runs the process's module until the watched pipe closes."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.run.child",
        str(watched),
        process.module,
        cwd=root,
        env={**process.environment, "PYTHONPATH": str(root)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        pass_fds=(watched,),
        start_new_session=True,  # Ctrl-C reaches the supervisor alone; it ends the others in order
    )


async def keep_postgres(postgres: EmbeddedPostgres, say: Say) -> None:
    """Start the database again whenever it died, or lives without serving or recovering, until cancelled."""
    last_at_work = time.monotonic()
    while True:
        await asyncio.sleep(POSTGRES_CHECK_S)
        code = postgres.poll()
        if code is not None:
            say(f"postgres {wording(code)}; starting it again")
            await _start_again(postgres, say)
        elif not postgres.at_work():
            stuck_s = time.monotonic() - last_at_work
            if stuck_s < POSTGRES_STUCK_S:
                continue
            say(f"postgres has neither served nor recovered for {stuck_s:.0f} s; starting it again")
            postgres.stop(crash=True)
            await _start_again(postgres, say)
        last_at_work = time.monotonic()


async def _start_again(postgres: EmbeddedPostgres, say: Say) -> None:
    """Try until it runs: what keeps it down (a full disk) may pass, and then nobody should have to come."""
    told = False
    for pause in chain(RESTART_PAUSES_S, repeat(RESTART_PAUSES_S[-1])):
        try:
            # On the loop on purpose: the server must be started by the main thread, and without it nothing
            # else here has anything to do.
            postgres.start()
        except (EmbeddedFailed, OSError) as error:
            if not told:
                say(f"postgres does not start; trying until it does. {error}")
            told = True
        else:
            if told:
                say("postgres runs again")
            return
        await asyncio.sleep(pause)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        process.send_signal(number)


def _last_lines(path: Path, count: int = 8, window: int = 16_384) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - window))
            lines = log.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return "(no log)"
    return "\n".join(f"    {line}" for line in lines) or "(its log is empty)"
