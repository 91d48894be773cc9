"""Starting, restarting, giving up and stopping, with processes that are only made up."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from cli.run.deaths import RESTART_PAUSES_S, START_TRIES
from cli.run.stack import SERVICES, Process, processes
from cli.run.supervisor import StartFailed, Supervisor, keep_postgres
from libs.storage.embedded import EmbeddedFailed, EmbeddedPostgres

pytestmark = pytest.mark.requirement("HAPI-040", "HAPI-050")

URLS = {service.name: "postgresql:///x" for service in SERVICES}
STACK = {
    process.name: process
    for process in processes({}, keys_file=Path("k"), database_urls=URLS, recording=Path("r"))
}
API, WORKER, TELLER = STACK["alerts api"], STACK["alerts worker"], STACK["notifications worker"]

DIES_AT_ONCE = 1
LIVES = None


class MadeUp:
    """As much of asyncio's process as the supervisor uses."""

    def __init__(self, pid: int, output: bytes, code: int | None, *, stubborn: bool = False) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = asyncio.StreamReader()
        self.stdout.feed_data(output)
        self.signals: list[int] = []
        self._stubborn = stubborn
        self._ended = asyncio.Event()
        if code is not None:
            self.end(code)

    def end(self, code: int) -> None:
        self.returncode = code
        self.stdout.feed_eof()
        self._ended.set()

    async def wait(self) -> int | None:
        await self._ended.wait()
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        if number == signal.SIGKILL or not self._stubborn:
            self.end(-number)


class Machine:
    """Starts made-up processes and keeps account. `lives` says how each start of a process goes."""

    def __init__(self, tmp_path: Path, *stack: Process, **lives: list[int | OSError | None]) -> None:
        self.said: list[str] = []
        self.pauses: list[float] = []
        self.started: list[str] = []
        self.children: list[MadeUp] = []
        self.output = b""
        self.error_output = b""
        self.stubborn = False
        self._lives = {name.replace("_", " "): fates for name, fates in lives.items()}
        self.logs = tmp_path
        self.supervisor = Supervisor(
            stack,
            log_directory=tmp_path,
            root=Path("/"),
            say=self.said.append,
            spawn=self._spawn,  # type: ignore[arg-type]
            pause=self._pause,
        )

    async def _spawn(self, process: Process, watched: int, root: Path, log: BinaryIO) -> MadeUp:
        self.started.append(process.name)
        fates = self._lives.get(process.name)
        fate = fates.pop(0) if fates else LIVES
        if isinstance(fate, OSError):
            raise fate
        log.write(self.error_output)
        log.flush()
        self.children.append(MadeUp(1000 + len(self.started), self.output, fate, stubborn=self.stubborn))
        return self.children[-1]

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def until(self, seen: Callable[[], object]) -> None:
        """Let the watchers run on; none of them waits for anything real."""
        for _ in range(1000):
            if seen():
                return
            await asyncio.sleep(0)
        pytest.fail(f"never seen; started {self.started}, said {self.said}")

    def log(self, name: str) -> str:
        return (self.logs / f"{name}.log").read_text()


async def ready(_: Process) -> bool:
    return True


async def never(_: Process) -> bool:
    return False


async def test_every_process_is_started_once_and_named_with_its_pid(tmp_path):
    machine = Machine(tmp_path, API, WORKER)

    machine.supervisor.start()
    await machine.until(lambda: len(machine.children) == 2)

    assert machine.started == ["alerts api", "alerts worker"]
    assert machine.supervisor.pid_of("alerts worker") == 1002
    await machine.supervisor.stop()


async def test_a_dead_process_is_started_again_and_its_death_log_and_pause_are_told(tmp_path):
    machine = Machine(tmp_path, API, alerts_api=[-signal.SIGKILL, LIVES])

    machine.supervisor.start()
    await machine.until(lambda: len(machine.children) == 2)

    assert machine.pauses == [RESTART_PAUSES_S[0]]
    assert machine.said == [
        f"alerts api was ended by signal 9 (SIGKILL); restarting in 0.2 s (log: {tmp_path}/alerts-api.log)"
    ]
    await machine.supervisor.stop()


async def test_a_process_that_is_down_has_no_pid(tmp_path):
    machine = Machine(tmp_path, API, alerts_api=[LIVES])
    machine.supervisor.start()
    await machine.until(lambda: machine.children)

    assert machine.supervisor.pid_of("alerts api") == 1001
    machine.children[0].returncode = 1
    assert machine.supervisor.pid_of("alerts api") is None
    assert machine.supervisor.pid_of("unheard of") is None

    machine.children[0].returncode = None
    await machine.supervisor.stop()


async def test_a_process_that_keeps_dying_at_the_start_ends_the_wait_with_its_last_words(tmp_path):
    machine = Machine(tmp_path, API, WORKER, alerts_worker=[DIES_AT_ONCE] * START_TRIES)
    machine.error_output = b"ModuleNotFoundError: No module named 'orjson'\n"
    machine.supervisor.start()

    with pytest.raises(StartFailed) as failed:
        await machine.supervisor.until_ready(never, deadline_s=60)

    assert str(failed.value).startswith("alerts worker did not start: it ended with code 1, 3 times over.")
    assert "No module named 'orjson'" in str(failed.value)
    assert machine.started.count("alerts worker") == START_TRIES
    await machine.supervisor.stop()


async def test_a_ready_stack_restarts_a_process_however_often_it_dies(tmp_path):
    machine = Machine(tmp_path, WORKER, alerts_worker=[LIVES, *[DIES_AT_ONCE] * 9, LIVES])
    machine.supervisor.start()
    await machine.supervisor.until_ready(ready, deadline_s=1)
    await machine.until(lambda: machine.children)

    machine.children[0].end(DIES_AT_ONCE)
    await machine.until(lambda: len(machine.children) == 11)

    assert machine.pauses == [*RESTART_PAUSES_S, *[RESTART_PAUSES_S[-1]] * 5]
    await machine.supervisor.stop()


async def test_a_process_that_cannot_be_started_is_told_and_tried_again(tmp_path):
    machine = Machine(tmp_path, API, alerts_api=[OSError(12, "Cannot allocate memory"), LIVES])

    machine.supervisor.start()
    await machine.until(lambda: machine.children)

    assert machine.said[0] == "alerts api: [Errno 12] Cannot allocate memory"
    assert "restarting" in machine.said[1]
    await machine.supervisor.stop()


async def test_an_api_that_is_not_ready_in_time_is_named_with_its_log(tmp_path):
    machine = Machine(tmp_path, API)
    machine.supervisor.start()

    with pytest.raises(
        StartFailed, match=r"alerts api did not start: not ready within 0 s; see .*alerts-api\.log"
    ):
        await machine.supervisor.until_ready(never, deadline_s=0)

    await machine.supervisor.stop()


async def test_readiness_is_asked_of_apis_and_only_until_they_have_said_yes(tmp_path):
    machine = Machine(tmp_path, API, WORKER, STACK["context-api api"])
    answers = {"alerts api": [True], "context-api api": [False, True]}
    machine.supervisor.start()

    async def in_turn(process: Process) -> bool:
        return answers[process.name].pop(0)

    await machine.supervisor.until_ready(in_turn, deadline_s=10)

    assert answers == {"alerts api": [], "context-api api": []}
    await machine.supervisor.stop()


async def test_stopping_asks_every_process_and_starts_none_again(tmp_path):
    machine = Machine(tmp_path, API, WORKER)
    machine.supervisor.start()
    await machine.until(lambda: len(machine.children) == 2)

    await machine.supervisor.stop()

    assert [child.signals for child in machine.children] == [[signal.SIGTERM]] * 2
    assert len(machine.started) == 2
    assert machine.said == []


async def test_a_process_that_does_not_end_in_time_is_killed_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("cli.run.supervisor.STOP_GRACE_S", 0.0)
    machine = Machine(tmp_path, API)
    machine.stubborn = True
    machine.supervisor.start()
    await machine.until(lambda: machine.children)

    await machine.supervisor.stop()

    assert machine.children[0].signals == [signal.SIGTERM, signal.SIGKILL]
    assert machine.said == ["alerts api did not end within 0 s; killing it"]


async def test_what_the_notifications_worker_prints_reaches_the_person(tmp_path):
    machine = Machine(tmp_path, TELLER)
    machine.output = b"[P0] checkout is down\n"

    machine.supervisor.start()
    await machine.until(lambda: machine.said)

    assert machine.said == ["[P0] checkout is down"]
    assert machine.log("notifications-worker") == ""
    await machine.supervisor.stop()


async def test_a_character_cut_by_a_read_is_put_together_again(tmp_path):
    machine = Machine(tmp_path, TELLER)
    text = "checkout → orders-db".encode()
    machine.supervisor.start()
    await machine.until(lambda: machine.children)

    for byte in text:
        machine.children[0].stdout.feed_data(bytes([byte]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await machine.until(lambda: len("".join(machine.said)) == len(text.decode()))

    assert "".join(machine.said) == text.decode()
    await machine.supervisor.stop()


async def test_what_others_print_goes_to_their_logs(tmp_path):
    machine = Machine(tmp_path, API)
    machine.output = b"a library's own print\n"

    machine.supervisor.start()
    await machine.until(lambda: machine.children and machine.log("alerts-api"))

    assert machine.log("alerts-api") == "a library's own print\n"
    assert machine.said == []
    await machine.supervisor.stop()


class Postgres(EmbeddedPostgres):
    """Says in turn what became of its server; a start that was not called for is not made."""

    def __init__(self, *codes: int | None, failures: Sequence[Exception] = ()) -> None:
        self.codes = list(codes)
        self.failures = list(failures)
        self.starts = 0
        self.works = True
        self.stops: list[bool] = []

    def at_work(self) -> bool:
        return self.works

    def stop(self, *, patience: float = 0.0, crash: bool = False) -> None:
        self.stops.append(crash)

    def poll(self) -> int | None:
        return self.codes.pop(0) if self.codes else None

    def start(self, *, patience: float = 0.0) -> None:
        self.starts += 1
        if self.failures:
            raise self.failures.pop(0)
        self.works = True


async def test_a_dead_database_is_started_again_and_that_is_said(monkeypatch):
    monkeypatch.setattr("cli.run.supervisor.POSTGRES_CHECK_S", 0.0)
    postgres, said = Postgres(None, -9, None), list[str]()

    guard = asyncio.create_task(keep_postgres(postgres, said.append))
    for _ in range(100):
        await asyncio.sleep(0)
    guard.cancel()
    await asyncio.gather(guard, return_exceptions=True)

    assert postgres.starts == 1
    assert said == ["postgres was ended by signal 9 (SIGKILL); starting it again"]


@pytest.mark.parametrize(("stuck_s", "starts"), [(0.0, 1), (60.0, 0)])
async def test_a_database_that_neither_serves_nor_recovers_is_started_again_after_a_while(
    monkeypatch, stuck_s: float, starts: int
):
    monkeypatch.setattr("cli.run.supervisor.POSTGRES_CHECK_S", 0.0)
    monkeypatch.setattr("cli.run.supervisor.POSTGRES_STUCK_S", stuck_s)
    postgres, said = Postgres(), list[str]()
    postgres.works = False

    guard = asyncio.create_task(keep_postgres(postgres, said.append))
    for _ in range(100):
        await asyncio.sleep(0)
    guard.cancel()
    await asyncio.gather(guard, return_exceptions=True)

    assert (postgres.starts, postgres.stops) == (starts, [True] * starts)
    assert said == ["postgres has neither served nor recovered for 0 s; starting it again"] * starts


async def test_a_database_that_does_not_start_is_tried_again_until_it_does(monkeypatch):
    monkeypatch.setattr("cli.run.supervisor.POSTGRES_CHECK_S", 0.0)
    monkeypatch.setattr("cli.run.supervisor.RESTART_PAUSES_S", (0.0,))
    full = EmbeddedFailed("PostgreSQL ended at once (1): No space left on device")
    failures = [full, full, OSError(28, "No space left on device")]
    postgres, said = Postgres(None, 1, None, 1, failures=failures), list[str]()

    guard = asyncio.create_task(keep_postgres(postgres, said.append))
    for _ in range(100):
        await asyncio.sleep(0)
    still_watching = not guard.done()
    guard.cancel()
    await asyncio.gather(guard, return_exceptions=True)

    assert still_watching
    assert postgres.starts == 5
    assert [one.partition(" (")[0] for one in said] == [
        "postgres ended with code 1; starting it again",
        "postgres does not start; trying until it does. PostgreSQL ended at once",
        "postgres runs again",
        "postgres ended with code 1; starting it again",
    ]
