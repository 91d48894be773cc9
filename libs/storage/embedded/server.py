"""Start, watch and stop the embedded server."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

import psycopg

from libs.storage.embedded import launch, remains
from libs.storage.embedded.errors import AlreadyRunning, EmbeddedFailed
from libs.storage.embedded.liveness import Liveness
from libs.storage.embedded.place import SYSTEM_BASE, Place, prepare
from libs.storage.embedded.provision import provision

_log = logging.getLogger(__name__)

DATABASE = "kubernaut"
_LOG_BYTES = 10 * 1024 * 1024

_INITDB = (
    "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "--no-instructions",
    "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
)  # fmt: skip
_SETTINGS = {
    "listen_addresses": "",  # the socket's folder is the fence: `trust` is only for who can enter it
    "unix_socket_permissions": "0700",
    "port": "5432",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A queue's rows live for milliseconds: looked at once a minute, its dead ones would slow every fetch.
    "autovacuum_naptime": "15s",
    # A new log segment filled with 16 MB of zeros stopped every commit for 50 to 100 ms, once a second under load:
    # p99 of an acknowledgement 59 ms, and 5 to 16 ms without (measured 2026-11). Commits are flushed as before; a disk
    # that is full is now noticed when the log is written, and PostgreSQL then restarts until there is room.
    "wal_init_zero": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


class EmbeddedPostgres:
    """One server for one state directory; `start()` may be called again after `poll()` reported its death.

    Use it from the main thread: on Linux the server is bound to the thread that started it.
    """

    def __init__(
        self, root: Path, *, base: Path = SYSTEM_BASE, settings: Mapping[str, str] | None = None
    ) -> None:
        """Args:
        root: state directory; the data lie below it, or below `base` when we are root.
        settings: further server settings.
        """
        self._root, self._base = root, base
        self._settings = {**_SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._place: Place | None = None
        self._liveness = Liveness()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def place(self) -> Place:
        """Where the files are. Makes the folders when they are not there yet."""
        if self._place is None:
            self._place = prepare(self._root, self._base)
        return self._place

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, patience: float = 60.0) -> None:
        """Make the data directory if there is none, start the server and wait until it answers.

        Args:
            patience: seconds; recovery after a crash of a busy server is the longest part.

        Raises:
            AlreadyRunning: another supervisor holds this data directory.
            EmbeddedFailed: anything else, with the end of the server's log.
        """
        if self.pid is not None:
            return
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the server ends with the thread that starts it: start it in the main thread")
        self._take_lock()
        try:
            remains.clear(self.place)
            self._initialise()
            self._process = self._launch("postgres", *self._arguments())
            self._wait_until_ready(self._process, patience)
        except BaseException:
            self.stop()
            raise
        _log.info("embedded PostgreSQL is up in %s", self.place.home)

    def poll(self) -> int | None:
        """None while the server runs; its exit status once it has died. For a supervisor to restart it."""
        return self._process.poll() if self._process else None

    def at_work(self) -> bool:
        """False when it runs, but neither serves nor has got on with its recovery since the last call.

        So for long, it has to be ended and started again: for a supervisor to do.
        """
        return self.pid is None or self._liveness.at_work(self.pid)

    def stop(self, *, patience: float = 10.0, crash: bool = False) -> None:
        """Shut the server down and give the data directory free. Does nothing when it is not running.

        Args:
            patience: seconds that an orderly end may take.
            crash: leave that out; its next start recovers what was committed.
        """
        process, self._process = self._process, None
        if process is not None:
            orderly = () if crash else ((signal.SIGINT, patience),)
            for word, wait in (*orderly, (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
                if process.poll() is None:
                    process.send_signal(word)
                try:
                    process.wait(timeout=wait)
                    break
                except subprocess.TimeoutExpired:
                    _log.warning("embedded PostgreSQL does not heed %s", word.name)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def destroy(self) -> None:
        """Stop the server and remove its data for good. For tests and for starting over."""
        self.stop()
        shutil.rmtree(self.place.home, ignore_errors=True)
        shutil.rmtree(self.place.sockets, ignore_errors=True)
        self._place = None

    def url(self, role: str = "postgres", database: str = DATABASE) -> str:
        """A libpq URI for the socket. There is no password: who may enter the socket's folder may connect."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.place.sockets), safe='')}"

    def provision(self, services: Mapping[str, int], *, database: str = DATABASE) -> None:
        """Give each service its role and schema of the same name. Repeatable.

        Args:
            services: name -> how many connections its role may have at once.
        """
        provision(self.url(database="postgres"), services, database=database)

    def drop_database(self, database: str) -> None:
        """Remove a database, and whoever is still connected to it. For tests."""
        with psycopg.connect(self.url(database="postgres"), autocommit=True) as connection:
            name = psycopg.sql.Identifier(database)
            connection.execute(psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = self.place.lock.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise AlreadyRunning(self.place.home, int(holder) if holder.isdigit() else None) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _initialise(self) -> None:
        place = self.place
        if place.data.is_dir():
            _same_major(place)
            return
        # Beside its final name until it is complete: a killed initdb leaves nothing that looks like data.
        fresh = place.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if place.owner:
            os.chown(fresh, place.owner.uid, place.owner.gid)
        status = self._launch("initdb", *_INITDB, "-D", str(fresh)).wait()
        if status:
            raise EmbeddedFailed(f"initdb failed ({status}): {self._last_words()}")
        fresh.rename(place.data)

    def _arguments(self) -> list[str]:
        settings = [f"{name}={value}" for name, value in self._settings.items()]
        pairs = [part for setting in settings for part in ("-c", setting)]
        return ["-D", str(self.place.data), "-k", str(self.place.sockets), *pairs]

    def _launch(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        place = self.place
        owner = (place.owner.uid, place.owner.gid) if place.owner else (-1, -1)
        identity = [str(number) for number in (os.getpid(), *owner)]
        with _opened_log(place.log) as log:
            return subprocess.Popen(  # noqa: S603  our own launcher and the wheel's programs
                [
                    sys.executable,
                    "-I",
                    "-S",
                    launch.__file__,
                    *identity,
                    str(place.program(program)),
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=place.home,
                # None of ours: PGDATA, PGOPTIONS or a locale would change what the server does.
                env={"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
                start_new_session=True,  # Ctrl-C is for the supervisor, who stops the server last
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes], patience: float) -> None:
        deadline = time.monotonic() + patience
        while not self._answers():
            if time.monotonic() > deadline:
                raise EmbeddedFailed(f"PostgreSQL is not ready after {patience:.0f} s: {self._last_words()}")
            try:
                status = process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
            raise EmbeddedFailed(f"PostgreSQL ended at once ({status}): {self._last_words()}")

    def _answers(self) -> bool:
        """Whether the server on our socket is ready, and is the one on our data directory."""
        try:
            lines = (self.place.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        if len(lines) < 8 or lines[7].strip() != "ready":
            return False
        try:
            with psycopg.connect(self.url(database="postgres"), connect_timeout=2) as connection:
                found: Any = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return bool(found[0] == str(self.place.data))

    def _last_words(self) -> str:
        try:
            return " | ".join(self.place.log.read_text(errors="replace").splitlines()[-5:])
        except OSError:
            return "no log"


def _opened_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _same_major(place: Place) -> None:
    made_by = (place.data / "PG_VERSION").read_text().strip()
    shown = subprocess.run(  # noqa: S603  the wheel's own program
        [place.program("postgres"), "--version"], capture_output=True, text=True, check=True
    )
    ours = shown.stdout.split()[-1].split(".")[0]
    if made_by != ours:
        raise EmbeddedFailed(
            f"{place.data} was made by PostgreSQL {made_by}, this is {ours}; move it away or set DATABASE_URL"
        )
