"""`./kubernaut watch` as a process: signals, terminals, pipes, and services that go and come back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_ports
from tests.support.served import served
from tests.support.sights import AT, Alerts, Holmes, episode, record
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("INT-BR-AP-021@3.2", "INT-BR-ERR-006", "INT-BR-SEC-011")

PATIENCE_S = 30.0
EVIL = "Evil\x1b]0;owned\x07\x1b[2J\nforged\u202e"
UNKNOWN = {"title": "who?", "status": 401, "code": "not-authenticated", "detail": "no credential"}


@dataclass
class Services:
    """Both services behind one address."""

    alerts: Alerts = field(default_factory=Alerts)
    holmes: Holmes = field(default_factory=Holmes)
    credential: str | None = None
    """What must be sent; None: anybody may ask."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        sent = dict(scope["headers"]).get(b"authorization", b"").decode()
        status, body = 200, b""
        if self.credential is not None and sent != f"Bearer {self.credential}":
            status, body = 401, json.dumps(UNKNOWN).encode()
        else:
            body = (
                (await self._answer(scope["path"], scope["query_string"].decode())).model_dump_json().encode()
            )
        await send({"type": "http.response.start", "status": status,
                    "headers": [(b"content-type", b"application/json")]})  # fmt: skip
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, path: str, query: str) -> Any:
        asked = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        id_ = path.rpartition("/")[2]
        if path == "/api/v1/alerts":
            return await self.alerts.list(cursor=asked.get("cursor"), filters=asked)
        if path == "/api/v1/investigate":
            return await self.holmes.list(cursor=asked.get("cursor"), limit=int(asked["limit"]))
        return await (self.alerts if "/alerts/" in path else self.holmes).get(id_)


class Watch:
    """A running `./kubernaut watch`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, text: str) -> str:
        """The next line with this text."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line)
                if text in line:
                    return line
        raise AssertionError(f"it ended without saying {text!r}: {self.lines}")

    async def says(self, text: str) -> None:
        """Some line has this text, now or later."""
        if not any(text in line for line in self.lines):
            await self.until(text)

    async def end(self, word: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """The exit code after a signal, and what stood on standard error."""
        self.process.send_signal(word)
        async with asyncio.timeout(PATIENCE_S):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@contextlib.asynccontextmanager
async def watching(url: str, *arguments: str, **environment: str) -> AsyncIterator[Watch]:
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "kubernaut"), "watch", "--url", url, "--holmesgpt-url", url, *arguments,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Watch(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def once(url: str, *arguments: str, **environment: str) -> tuple[int, str]:
    async with watching(url, "--once", *arguments, **environment) as watch, asyncio.timeout(PATIENCE_S):
        said, errors = await watch.process.communicate()
        assert errors == b""
        assert watch.process.returncode is not None
        return watch.process.returncode, said.decode()


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
async def test_it_tells_what_happens_until_it_is_asked_to_end_and_ends_well(word: signal.Signals):
    services = Services(Alerts(episode("a")), Holmes(record("i")))
    async with served(services) as url, watching(url) as watch:
        await watch.says("DbDown (critical) is firing")
        await watch.says("looking for causes")
        services.alerts.episodes.insert(0, episode("b", alertname="Newer"))
        await watch.says("Newer (critical) is firing")
        services.alerts.episodes[1] = episode("a", state="resolved", ends_at=AT)
        await watch.says("DbDown has resolved")

        assert await watch.end(word) == (0, "")


async def test_services_that_are_away_are_asked_until_they_answer_and_again_when_they_go():
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    async with watching(url) as watch:
        assert "asking again in 1 s" in await watch.until("alerts at")
        async with served(Services(Alerts(episode("a"))), port):
            await watch.until("is firing")
            assert sum("alerts at" in line and "answers again" in line for line in watch.lines) == 1
        await watch.until("alerts at")

        assert await watch.end() == (0, "")


async def test_the_credential_is_read_from_the_environment_and_shown_nowhere():
    services = Services(Alerts(episode("a")), credential="key-canary")
    async with served(services) as url:
        with_it = await once(url, KUBERNAUT_TOKEN="key-canary")
        without = await once(url)

    assert with_it[0] == 0
    assert "DbDown" in with_it[1]
    assert "canary" not in with_it[1]
    assert without[0] == 1
    assert "Set KUBERNAUT_TOKEN" in without[1]


async def test_refused_by_both_it_ends_without_being_asked():
    async with served(Services(credential="key")) as url, watching(url) as watch:
        async with asyncio.timeout(PATIENCE_S):
            said, errors = await watch.process.communicate()

    assert (watch.process.returncode, errors) == (1, b"")
    assert said.decode().count("is not asked again") == 2


async def test_once_tells_what_is_open_and_ends_and_fails_when_nobody_answers():
    services = Services(
        Alerts(episode("a"), *(episode(str(n), state="resolved", ends_at=AT) for n in range(300)))
    )
    async with served(services) as url:
        code, said = await once(url, "--json")
    told = [json.loads(line) for line in said.splitlines()]

    assert code == 0
    assert [one["id"] for one in told if one["event"] == "alert"] == ["a"]
    assert (await once(url))[0] == 1


async def test_a_wrong_file_of_authorities_is_named_in_one_line(tmp_path: Path):
    absent = tmp_path / "absent.pem"
    async with watching("https://127.0.0.1:1", KUBERNAUT_CA_FILE=str(absent)) as watch:
        async with asyncio.timeout(PATIENCE_S):
            said, errors = await watch.process.communicate()

        assert (watch.process.returncode, said) == (1, b"")
        assert errors.decode().startswith(f"kubernaut watch: KUBERNAUT_CA_FILE: Value error, {absent}: ")
        assert errors.count(b"\n") == 1


async def test_a_reader_that_has_seen_enough_ends_it_quietly():
    services = Services(Alerts(episode("a")))
    async with served(services) as url, watching(url) as watch:
        await watch.until("is firing")
        watch.process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        services.alerts.episodes.insert(0, episode("b"))
        assert watch.process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            errors = await watch.process.stderr.read()
            code = await watch.process.wait()

    assert (code, errors) == (0, b"")


async def test_a_label_forges_no_line():
    async with served(Services(Alerts(episode("a", alertname=EVIL)))) as url:
        _, said = await once(url)

    assert len([line for line in said.splitlines() if "forged" in line]) == 1
    assert all(line.isprintable() for line in said.splitlines())


async def test_on_a_terminal_it_draws_a_table_that_no_label_can_steer_and_ctrl_c_ends_it_well():
    services = Services(Alerts(episode("a", alertname=EVIL)))
    async with served(services) as url:
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            str(ROOT / "kubernaut"), "watch", "--url", url, "--holmesgpt-url", url,
            env={"PATH": os.environ["PATH"], "HOME": "/", "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        try:
            seen = await _read_until(ours, b"forged")
            process.send_signal(signal.SIGINT)
            seen += await asyncio.to_thread(_read_all, ours)
            code = await process.wait()
        finally:
            os.close(ours)
            if process.returncode is None:
                process.kill()
                await process.wait()

    assert code == 0
    assert b"Ctrl-C ends the watch" in seen
    assert b"\x1b]0;" not in seen
    assert b"\x1b[2J" not in seen
    assert b"Traceback" not in seen


async def _read_until(descriptor: int, text: bytes) -> bytes:
    seen = b""
    async with asyncio.timeout(PATIENCE_S):
        while text not in seen:
            seen += await asyncio.to_thread(os.read, descriptor, 65_536)
    return seen


def _read_all(descriptor: int) -> bytes:
    seen = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody is left on its other side
        while chunk := os.read(descriptor, 65_536):
            seen += chunk
    return seen
