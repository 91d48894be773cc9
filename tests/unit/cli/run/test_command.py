"""What `kubernaut run` answers before and around the stack; the stack itself runs in tests/e2e."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from cli.run import command
from cli.run.command import _how_to_go_on, _is_ready, _unless, run
from cli.run.lock import only_one
from cli.run.stack import SERVICES, Process, processes
from libs.auth.new_keys import NewKeys, new_keys
from libs.storage.embedded import EmbeddedFailed

pytestmark = pytest.mark.requirement("HAPI-050", "HAPI-055", "INT-BR-TEST-005")

URLS = {service.name: "postgresql:///x" for service in SERVICES}
STACK = processes({}, keys_file=Path("k"), database_urls=URLS, recording=Path("r"))


class Person:
    """Reads what is printed."""

    def __init__(self) -> None:
        self._file = StringIO()
        self.console = Console(file=self._file, width=200, color_system=None, highlight=False)

    @property
    def read(self) -> str:
        return self._file.getvalue()


class Served:
    """Stands for the stack: keeps what it would have been started with, ends with `code`."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.calls: list[tuple[Path, NewKeys, dict[str, str], object]] = []

    async def __call__(
        self, state: Path, keys: NewKeys, database_urls: dict[str, str], postgres: object, **_: Any
    ) -> int:
        self.calls.append((state, keys, dict(database_urls), postgres))
        return self.code


@pytest.fixture
def served(monkeypatch, tmp_path) -> Served:
    """An operator's own database, free ports, and a stack that is only made up."""
    stack = Served()
    monkeypatch.setattr(command, "_serve", stack)
    monkeypatch.setattr(command, "is_taken", lambda port: False)
    monkeypatch.setenv("KUBERNAUT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/theirs")
    for service in SERVICES:
        monkeypatch.delenv(f"{service.prefix}_PORT", raising=False)
    return stack


# --- what it refuses --------------------------------------------------------------------------------------------


def test_a_second_run_is_refused_before_anything_is_touched(served, tmp_path):
    person = Person()

    with only_one(tmp_path / "state"):
        assert run(once=True, console=person.console) == 2

    assert "Cannot start: another `kubernaut run`" in person.read
    assert not served.calls
    assert not (tmp_path / "state" / "keys.yaml").exists()


def test_a_taken_port_is_refused_with_its_holder_and_the_setting_that_moves_it(served, monkeypatch):
    monkeypatch.setattr(command, "is_taken", lambda port: port == 8092)
    monkeypatch.setattr(command, "holder", lambda port: "pid 7 (nginx [master])")
    person = Person()

    assert run(once=True, console=person.console) == 2
    assert (
        "port 8092 of alerts is taken by pid 7 (nginx [master]). Stop that, or set ALERTS_PORT."
        in person.read
    )
    assert not served.calls


def test_a_port_that_is_none_is_refused(served, monkeypatch):
    monkeypatch.setenv("HOLMESGPT_PORT", "ninety")
    person = Person()

    assert run(once=True, console=person.console) == 2
    assert "HOLMESGPT_PORT='ninety' is no port" in person.read


def test_a_database_that_does_not_start_is_refused_in_its_own_words(served, monkeypatch):
    def broken(_: Path) -> None:
        raise EmbeddedFailed("no space left [on device]")

    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setattr(command, "EmbeddedPostgres", broken)
    person = Person()

    assert run(once=True, console=person.console) == 2
    assert "Cannot start: no space left [on device]" in person.read


# --- what it starts with ----------------------------------------------------------------------------------------


def test_every_run_makes_keys_of_its_own_that_only_their_owner_may_read(served, tmp_path):
    run(once=True, console=Person().console)
    first = (tmp_path / "state" / "keys.yaml").read_text()
    run(once=True, console=Person().console)

    (_, old, _, _), (_, new, _, _) = served.calls
    assert old.operator_key != new.operator_key
    assert old.alertmanager_token != new.alertmanager_token
    assert (tmp_path / "state" / "keys.yaml").read_text() == new.document != first
    assert stat.S_IMODE((tmp_path / "state" / "keys.yaml").stat().st_mode) == 0o600


def test_an_operators_own_database_is_used_by_every_service_that_has_one(served):
    run(once=True, console=Person().console)

    _, _, urls, postgres = served.calls[0]
    assert urls == dict.fromkeys(URLS, "postgresql://db/theirs")
    assert postgres is None


def test_without_one_each_service_gets_a_role_of_its_own_in_the_embedded_database(
    served, monkeypatch, tmp_path
):
    embedded = Embedded()
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setattr(command, "EmbeddedPostgres", embedded.below)

    run(once=True, console=Person().console)

    assert served.calls[0][2] == {name: f"postgresql://{name}@embedded" for name in URLS}
    assert embedded.root == tmp_path / "state" / "postgres"
    assert embedded.log == ["started", f"provisioned {sorted(URLS)}", "stopped"]


class Embedded:
    """The embedded database, without the database."""

    def __init__(self) -> None:
        self.root = self.data = Path()
        self.log: list[str] = []

    def below(self, root: Path) -> Embedded:
        self.root = root
        return self

    @property
    def place(self) -> Embedded:
        return self

    def __enter__(self) -> Embedded:
        self.log.append("started")
        return self

    def __exit__(self, *_: object) -> None:
        self.log.append("stopped")

    def provision(self, owners: Mapping[str, int]) -> None:
        self.log.append(f"provisioned {sorted(owners)}")

    def url(self, *, role: str) -> str:
        return f"postgresql://{role}@embedded"


@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_is_the_stacks(served, code):
    served.code = code

    assert run(once=True, console=Person().console) == code


# --- while it runs ----------------------------------------------------------------------------------------------


async def test_a_signal_ends_the_work_and_that_is_no_failure():
    stopped, cleaned = asyncio.Event(), asyncio.Event()

    async def serving() -> int:
        stopped.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()
        return 1

    assert await _unless(stopped, serving()) == 0
    assert cleaned.is_set()


async def test_work_that_ends_by_itself_gives_its_own_code():
    async def failing() -> int:
        return 1

    assert await _unless(asyncio.Event(), failing()) == 1


async def test_work_that_breaks_is_not_taken_for_success():
    async def broken() -> int:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await _unless(asyncio.Event(), broken())


def answering(answer: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url == "http://127.0.0.1:8091/ready"
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (httpx.Response(200), True),
        (httpx.Response(503), False),
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("slow"), False),
    ],
)
async def test_a_service_is_ready_when_it_says_so(answer, ready):
    context_api: Process = STACK[0]

    async with httpx.AsyncClient(transport=httpx.MockTransport(answering(answer))) as http:
        assert await _is_ready(http, context_api) is ready


def test_who_serves_on_is_shown_every_door_and_how_to_open_it():
    person, keys = Person(), new_keys()

    _how_to_go_on(STACK, keys, person.console)

    for port in (8090, 8091, 8092, 8093):
        assert f"http://127.0.0.1:{port}/docs" in person.read
    assert (
        f'curl -H "Authorization: Bearer {keys.operator_key}" http://127.0.0.1:8092/api/v1/alerts'
        in person.read
    )
    assert keys.alertmanager_token in person.read


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "./kubernaut watch\n"),
        ({"ALERTS_PORT": "1234"}, "./kubernaut watch --url http://127.0.0.1:1234\n"),
    ],
)
def test_the_command_that_follows_this_run_finds_its_services(settings: dict[str, str], said: str):
    person = Person()
    moved = processes(settings, keys_file=Path("k"), database_urls=URLS, recording=Path("r"))
    _how_to_go_on(moved, new_keys(), person.console)

    assert said in person.read
