"""The embedded server against everything that may happen to it and to its supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from libs.storage import StorageUnavailable, storage_faults
from libs.storage.embedded import AlreadyRunning, EmbeddedFailed, EmbeddedPostgres
from libs.storage.embedded.place import SOCKET_NAME, SOCKET_PATH_BYTES
from libs.storage.embedded.remains import workers_in
from tests.support.postgres import state_folder
from tests.support.supervisor import Supervisor

pytestmark = [
    pytest.mark.requirement("INF-BR-REL-004"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Shared, because initdb takes longer than most of these tests."""
    with state_folder() as made:
        yield made


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Not started. What a test writes goes into a database of its own name."""
    embedded = EmbeddedPostgres(folder, base=folder / "system", settings={"fsync": "off"})
    yield embedded
    embedded.stop()


def test_it_starts_keeps_what_was_written_and_starts_again(server: EmbeddedPostgres):
    server.start()
    server.provision({"alerts": 4}, database="keeps")
    with psycopg.connect(server.url("alerts", "keeps")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()

    server.start()

    with psycopg.connect(server.url("alerts", "keeps")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_stopping_leaves_no_process_and_no_lock(server: EmbeddedPostgres):
    server.start()

    server.stop()

    assert workers_in(server.place.data) == []
    assert not (server.place.data / "postmaster.pid").exists()


@pytest.mark.requirement("INT-BR-REL-004")
def test_a_server_that_neither_serves_nor_recovers_is_known_and_loses_nothing_by_being_crashed(
    server: EmbeddedPostgres,
):
    server.start()
    server.provision({"alerts": 4}, database="stuck")
    with psycopg.connect(server.url("alerts", "stuck")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    worked = server.at_work()
    pid = server.pid
    assert pid is not None
    (writer,) = [one for one in workers_in(server.place.data) if title(one).startswith("postgres: walwriter")]
    # A server that has stopped cannot see that one of its processes died: it is left as one that lost its recovery.
    os.kill(pid, signal.SIGSTOP)
    os.kill(writer, signal.SIGKILL)
    eventually(lambda: not server.at_work())

    server.stop(crash=True)
    server.start()

    assert worked
    assert server.at_work()
    with psycopg.connect(server.url("alerts", "stuck")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_only_the_socket_is_open_and_only_to_its_owner(server: EmbeddedPostgres):
    server.start()

    assert listening_tcp_ports(server.pid) == []
    assert stat.S_IMODE(server.place.sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.place.sockets / SOCKET_NAME).stat().st_mode) == 0o700
    assert stat.S_IMODE(server.place.data.stat().st_mode) == 0o700


def test_a_second_start_is_refused_and_names_the_process_that_runs_it(server: EmbeddedPostgres, folder: Path):
    server.start()

    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()} already runs"):
        EmbeddedPostgres(folder, base=folder / "system").start()

    assert server.poll() is None


def test_another_process_is_refused_too(server: EmbeddedPostgres, folder: Path):
    server.start()

    second = Supervisor(folder, folder / "system")

    assert "already runs the embedded PostgreSQL" in second.said
    assert second.process.wait(timeout=30) == 1
    second.end(signal.SIGTERM)


@pytest.mark.parametrize("word", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_server_outlives_its_supervisor(folder: Path, word: signal.Signals):
    supervisor = Supervisor(folder, folder / "system")
    data = EmbeddedPostgres(folder, base=folder / "system").place.data
    assert supervisor.postmaster in workers_in(data)

    supervisor.end(word)

    eventually(lambda: workers_in(data) == [])


def test_a_start_right_after_the_supervisor_was_killed_waits_for_its_server_to_end(
    server: EmbeddedPostgres, folder: Path
):
    supervisor = Supervisor(folder, folder / "system")
    supervisor.end(signal.SIGKILL)

    server.start()

    assert server.pid is not None
    assert server.pid != supervisor.postmaster


def test_it_recovers_when_everything_was_killed_and_the_lock_file_names_a_living_process(
    server: EmbeddedPostgres,
):
    server.start()
    server.provision({"alerts": 4})
    kill_all(server)
    # As after a reboot: the process id in the lock files is by now somebody else's.
    for stale in (server.place.data / "postmaster.pid", server.place.sockets / f"{SOCKET_NAME}.lock"):
        lines = stale.read_text().splitlines()
        stale.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    server.start()

    with psycopg.connect(server.url("alerts")) as connection:
        assert connection.execute("SELECT current_schema()").fetchone() == ("alerts",)


def test_a_killed_postmaster_is_reported_and_can_be_started_again(server: EmbeddedPostgres):
    server.start()
    first = server.pid
    assert first is not None
    assert server.poll() is None

    os.kill(first, signal.SIGKILL)
    eventually(lambda: server.poll() is not None)
    server.start()

    assert server.poll() is None
    assert server.pid != first


def test_a_frozen_orphan_is_ended_by_force(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch):
    server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    process, server._process = server._process, None  # a supervisor that knows nothing of it
    assert process is not None
    monkeypatch.setattr(
        "libs.storage.embedded.remains._STEPS", ((0.1, signal.SIGQUIT), (0.1, signal.SIGKILL))
    )

    server.start()

    assert process.wait(timeout=10) == -signal.SIGKILL
    assert server.pid not in (None, process.pid)


def test_a_stranger_who_only_stands_in_the_folder_is_left_alone(server: EmbeddedPostgres):
    server.start()
    server.stop()
    stranger = subprocess.Popen(["sleep", "60"], cwd=server.place.data)
    try:
        server.start()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_initdb_leaves_nothing_that_is_taken_for_data(folder: Path):
    server = EmbeddedPostgres(folder / "interrupted", base=folder / "system")
    half = server.place.home / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    server.start()

    assert not half.exists()
    server.destroy()


def test_data_of_another_major_version_are_refused_with_a_way_out(server: EmbeddedPostgres):
    server.start()
    server.stop()
    version = server.place.data / "PG_VERSION"
    ours = version.read_text()
    version.write_text("17\n")
    try:
        with pytest.raises(
            EmbeddedFailed, match=rf"made by PostgreSQL 17, this is {ours.strip()}.*DATABASE_URL"
        ):
            server.start()
    finally:
        version.write_text(ours)


def test_a_server_that_cannot_start_says_why(server: EmbeddedPostgres, folder: Path):
    server.start()
    server.stop()
    broken = EmbeddedPostgres(folder, base=folder / "system", settings={"shared_buffers": "nonsense"})

    with pytest.raises(EmbeddedFailed, match='invalid value for parameter "shared_buffers"'):
        broken.start()


def test_no_mode_above_the_state_folder_changes():
    with state_folder() as outer:
        closed = outer / "home"
        closed.mkdir(mode=0o700)
        root = closed / "repository" / ".kubernaut"
        root.mkdir(mode=0o750, parents=True)
        parents = [
            closed,
            closed / "repository",
            root,
            outer,
            outer.parent,
            *filter(Path.exists, [Path.home()]),
        ]
        before = [path.stat().st_mode for path in parents]

        with EmbeddedPostgres(root, base=outer / "system") as server:
            assert server.poll() is None

        assert [path.stat().st_mode for path in parents] == before


def test_a_path_with_spaces_and_letters_beyond_ascii_works():
    with state_folder() as outer:
        root = outer / "a folder" / ("ü" * 50)
        root.mkdir(parents=True)
        server = EmbeddedPostgres(root, base=outer / "system it's")
        try:
            server.start()
            assert len(os.fsencode(server.place.sockets / SOCKET_NAME)) <= SOCKET_PATH_BYTES
            with psycopg.connect(server.url(database="postgres")) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            server.destroy()


def test_a_thread_may_not_start_it_because_the_server_would_end_with_the_thread(server: EmbeddedPostgres):
    raised: list[BaseException] = []

    def start() -> None:
        try:
            server.start()
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in str(raised[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user the server runs as that user")
def test_as_root_the_server_runs_as_a_system_user(server: EmbeddedPostgres):
    server.start()

    assert server.place.owner is not None
    assert Path(f"/proc/{server.pid}").stat().st_uid == server.place.owner.uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a base that others could prepare")
def test_as_root_a_base_that_others_may_write_is_refused(folder: Path):
    base = folder / "open"
    base.mkdir()
    base.chmod(0o777)

    with pytest.raises(EmbeddedFailed, match="not root's alone"):
        EmbeddedPostgres(folder, base=base).start()


def test_a_socket_folder_that_somebody_else_prepared_is_refused(server: EmbeddedPostgres):
    server.start()
    server.stop()
    server.place.sockets.chmod(0o755)
    again = EmbeddedPostgres(server._root, base=server._base)

    try:
        with pytest.raises(EmbeddedFailed, match="open to others"):
            again.start()
    finally:
        server.place.sockets.chmod(0o700)


def test_each_service_gets_its_own_role_and_cannot_read_its_neighbour(server: EmbeddedPostgres):
    server.start()
    server.provision({"alerts": 4, "notifications": 4})
    with psycopg.connect(server.url("alerts")) as alerts:
        alerts.execute("CREATE TABLE private (x int)")

    with (
        psycopg.connect(server.url("notifications")) as other,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        other.execute("SELECT * FROM alerts.private")


def test_provisioning_twice_changes_nothing(server: EmbeddedPostgres):
    server.start()
    server.provision({"alerts": 4}, database="twice")
    with psycopg.connect(server.url("alerts", "twice")) as connection:
        connection.execute("CREATE TABLE kept (x int)")

    server.provision({"alerts": 4, "notifications": 4}, database="twice")

    with psycopg.connect(server.url("alerts", "twice")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_role_cannot_take_more_than_its_share_of_the_connections(server: EmbeddedPostgres):
    server.start()
    server.provision({"alerts": 2})
    held = [psycopg.connect(server.url("alerts")) for _ in range(2)]
    try:
        with (
            pytest.raises(StorageUnavailable, match="busy: too many connections") as caught,
            storage_faults(),
        ):
            psycopg.connect(server.url("alerts"))
        assert caught.value.reason == "busy"
    finally:
        for connection in held:
            connection.close()


def eventually(holds: Callable[[], bool], *, within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        threading.Event().wait(0.02)


def kill_all(server: EmbeddedPostgres) -> None:
    """SIGKILL to postmaster and backends at once, as the kernel does when memory is out."""
    pids = workers_in(server.place.data)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # a worker may end by itself meanwhile
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: server.poll() is not None and workers_in(server.place.data) == [])


def title(pid: int) -> str:
    """Empty for one that is gone: some of a server's processes end by themselves."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except OSError:
        return ""


def listening_tcp_ports(pid: int | None) -> list[str]:
    """Sockets in state LISTEN (0A) among those the process holds."""
    descriptors = Path(f"/proc/{pid}/fd")
    held = {os.readlink(entry) for entry in descriptors.iterdir()}
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    if socket.has_ipv6 and Path("/proc/net/tcp6").exists():
        lines += Path("/proc/net/tcp6").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return [entry[1] for entry in fields if entry[3] == "0A" and f"socket:[{entry[9]}]" in held]
