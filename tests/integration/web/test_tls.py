"""TLS at a process's own ports: who can speak to it, a certificate replaced while it serves, and how it ends."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from libs.clients.errors import PeerUnavailable
from libs.clients.peer import Peer
from libs.web.protocol import GOODBYE_S, leave
from services.holmesgpt_api.engine.asking import Question
from services.holmesgpt_api.engine.context import Context, NoAnswer
from services.holmesgpt_api.engine.messages import ContextAccess
from tests.support.certificates import Certificate, MountedSecret, certificate, put, shown_at
from tests.support.web_process import Service, connected, request, running
from tests.support.web_service import Note

pytestmark = pytest.mark.requirement("HAPI-053", "HAPI-071")

DEADLINE_S, MARGIN_S = 1.0, 3.0
"""A receive deadline, and how much later a connection may be closed before it counts as not kept."""


@pytest.fixture
def first(tmp_path: Path) -> Certificate:
    return certificate(tmp_path / "first", days=30)


@pytest.fixture
def second(tmp_path: Path) -> Certificate:
    return certificate(tmp_path / "second", days=60)


@pytest.fixture
def mounted(tmp_path: Path, first: Certificate) -> MountedSecret:
    return MountedSecret(tmp_path / "mounted", first)


@pytest.fixture
async def service(mounted: MountedSecret) -> AsyncIterator[Service]:
    async with running(mounted.settings | {"RECEIVE_DEADLINE": str(DEADLINE_S)}) as service:
        yield service


async def test_the_api_speaks_tls_and_says_so_to_browsers(service, first):
    line = await service.said(lambda line: line["event"] == "listening")
    async with connected(await service.port(), first.client_context()) as connection:
        await connection.send(request("GET", "/health"))
        status, headers, _ = await connection.answer()

    assert line["url"].startswith("https://")
    assert (status, headers["strict-transport-security"]) == (200, "max-age=31536000")


async def test_plain_http_gets_no_answer(service):
    async with connected(await service.port()) as connection:
        await connection.send(request("GET", "/health"))

        assert b"200" not in await connection.rest()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
async def test_a_caller_that_knows_no_more_than_tls_1_1_is_refused(service, first):
    old = first.client_context()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")  # else its own side would refuse before it asks
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises((ssl.SSLError, ConnectionError)):
        async with connected(await service.port(), old):
            pass


@pytest.mark.parametrize("role", ["api", "worker"])
async def test_the_metrics_port_shows_the_same_certificate_in_every_role(mounted, first, role):
    metrics_port = _free_port()
    environment = {"KUBERNAUT_ROLE": role, "METRICS_PORT": str(metrics_port)}
    async with running(mounted.settings | environment) as service:
        line = await service.said(lambda line: line["event"] in ("listening", "working"))
        scrape = f"https://127.0.0.1:{metrics_port}/metrics"
        text = await asyncio.to_thread(_read, scrape, first.client_context())

    assert line["url"].startswith("https://")
    assert "kubernaut_tls_certificate_end_timestamp_seconds" in text


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _read(url: str, tls: ssl.SSLContext) -> str:
    with urllib.request.urlopen(url, timeout=10, context=tls) as answer:
        text: str = answer.read().decode()
    return text


async def test_a_replaced_secret_is_shown_to_new_callers_while_open_connections_go_on(
    service, mounted, first, second
):
    port = await service.port()
    async with connected(port, first.client_context()) as earlier:
        await earlier.send(request("GET", "/api/v1/notes/before"))
        assert (await earlier.answer())[0] == 200
        assert await asyncio.to_thread(shown_at, port) == first.serial

        mounted.replace(second)
        taken = await service.said(lambda line: line["event"] == "certificate-taken")

        assert int(taken["serial"], 16) == second.serial
        assert await asyncio.to_thread(shown_at, port) == second.serial
        async with connected(port, second.client_context()) as later:
            await later.send(request("GET", "/api/v1/notes/after"))
            assert (await later.answer())[0] == 200
        await earlier.send(request("GET", "/api/v1/notes/still"))
        assert (await earlier.answer())[0] == 200


async def test_no_handshake_fails_while_the_certificate_is_replaced_again_and_again(
    service, mounted, first, second
):
    port = await service.port()
    handshakes: list[int] = []

    async def crowd() -> None:
        while len([line for line in service.lines if line["event"] == "certificate-taken"]) < 2:
            handshakes.append(await asyncio.to_thread(shown_at, port))
            await asyncio.sleep(0.02)

    callers = asyncio.gather(*(crowd() for _ in range(4)))
    mounted.replace(second)
    await service.said(lambda line: line["event"] == "certificate-taken")
    mounted.replace(first)
    async with asyncio.timeout(30):
        await callers

    assert {second.serial} <= set(handshakes) <= {first.serial, second.serial}
    assert not [line for line in service.lines if line.get("level") == "error"]


async def test_half_a_new_pair_is_refused_with_its_reason_and_the_other_half_mends_it(
    tmp_path, first, second
):
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    shutil.copy(first.chain, chain)
    shutil.copy(first.key, key)
    async with running({"TLS_CERT_FILE": str(chain), "TLS_KEY_FILE": str(key)}) as service:
        port = await service.port()

        put(second.chain, chain)
        refused = await service.said(lambda line: line["event"] == "certificate-refused")
        assert str(key) in refused["reason"]
        assert await asyncio.to_thread(shown_at, port) == first.serial

        put(second.key, key)
        await service.said(lambda line: line["event"] == "certificate-taken")
        assert await asyncio.to_thread(shown_at, port) == second.serial


async def test_a_certificate_near_its_end_is_said_at_the_start(tmp_path):
    near = MountedSecret(tmp_path / "near", certificate(tmp_path / "made", days=6))
    async with running(near.settings) as service:
        line = await service.said(lambda line: line["event"] == "certificate-ends-soon")

    assert line["level"] == "warning"
    assert line["file"] == str(near.chain)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({"TLS_CERT_FILE": "/nowhere/tls.crt"}, "set TLS_KEY_FILE as well", id="no key"),
        pytest.param({"TLS_KEY_FILE": "/nowhere/tls.key"}, "set TLS_CERT_FILE as well", id="no certificate"),
        pytest.param(
            {"TLS_CERT_FILE": "/nowhere/tls.crt", "TLS_KEY_FILE": "/nowhere/tls.key"},
            "TLS_CERT_FILE /nowhere/tls.crt: No such file",
            id="files missing",
        ),
    ],
)
async def test_a_start_without_a_usable_pair_says_what_to_set_in_one_line(environment, said):
    async with running(environment) as service:
        line = await service.said(lambda line: line["event"] == "cannot start")

        assert await service.ended() == 1
    assert said in line["reason"]
    assert not line["reason"].startswith(":")
    assert len(service.lines) == 1, "one line, and no traceback"


@pytest.mark.requirement("INT-BR-WH-011")
async def test_whoever_does_not_begin_the_handshake_is_left_at_the_receive_deadline(service):
    async with connected(await service.port()) as silent:
        await silent.rest(within=DEADLINE_S + MARGIN_S)


@pytest.mark.requirement("INT-BR-WH-011")
async def test_a_body_that_drips_over_tls_is_answered_408_and_closed_at_the_deadline(service, first):
    async with connected(await service.port(), first.client_context()) as connection:
        await connection.send(request("POST", "/api/v1/notes", b"{", length=1000))

        said = await connection.rest(within=DEADLINE_S + MARGIN_S)

    assert said.startswith(b"HTTP/1.1 408 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "receive-deadline"


@pytest.mark.requirement("HAPI-061")
async def test_a_request_under_way_over_tls_is_finished_before_the_process_ends(service, first):
    port, trust = await service.port(), first.client_context()
    async with connected(port, trust) as connection, connected(port, trust) as idle:
        await connection.send(request("GET", "/api/v1/slow?seconds=1.5"))
        await idle.send(request("GET", "/health"))
        assert (await idle.answer())[0] == 200
        service.terminate()
        status, headers, body = await connection.answer()

        assert (status, json.loads(body)["text"]) == (200, "finished")
        assert headers["connection"] == "close"
        assert await service.ended() == 0


@pytest.mark.requirement("HAPI-061")
async def test_an_idle_caller_that_never_says_goodbye_does_not_hold_up_the_end(mounted, first):
    async with running(mounted.settings | {"FINISH_WITHIN": "20"}) as service:
        port = await service.port()
        with await asyncio.to_thread(_kept_open, port, first.client_context()):
            service.terminate()

            assert await service.ended() == 0
    assert not [line for line in service.lines if "graceful shutdown exceeded" in line["event"]]


async def test_a_slow_reader_gets_the_whole_of_an_answer_after_which_the_connection_closes(service, first):
    size = 8_000_000
    async with connected(await service.port(), first.client_context()) as slow:
        await slow.send(request("GET", f"/api/v1/large?size={size}", headers={"Connection": "close"}))
        await asyncio.sleep(GOODBYE_S + 2)

        head, _, body = (await slow.rest()).partition(b"\r\n\r\n")

    assert b" 200 " in head
    assert len(json.loads(body)["text"]) == size


def _kept_open(port: int, tls: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection as a pool keeps it: its answer was read, and nobody reads from it any more."""
    kept = tls.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1")
    kept.sendall(request("GET", "/health"))
    assert b"200 OK" in kept.recv(65_536)
    return kept


class Sample(Peer):
    name = "sample"


async def ask(port: int, ca_file: Path | None) -> Note:
    async with Sample(f"https://127.0.0.1:{port}", ca_file=ca_file) as peer:
        return await peer.call(
            "GET", "/api/v1/notes/a", answer=Note, tenant="default", deadline=timedelta(seconds=10)
        )


async def test_our_clients_believe_the_authority_that_they_are_given_and_no_other(service, first, second):
    port = await service.port()

    assert (await ask(port, first.authority)).text == "a"
    for wrong in (second.authority, None):
        with pytest.raises(PeerUnavailable, match="certificate: "):
            await ask(port, wrong)


async def test_a_models_tools_believe_the_same_authority(service, first, second):
    port = await service.port()

    def answer(authority: Path) -> bytes:
        access = ContextAccess(
            url=f"https://127.0.0.1:{port}", timeout_s=10, authorities=authority.read_text()
        )
        with Context(access, until=float("inf")) as context:
            return context.ask(Question("/api/v1/notes/a", {}))

    assert json.loads(await asyncio.to_thread(answer, first.authority))["text"] == "a"
    with pytest.raises(NoAnswer):
        await asyncio.to_thread(answer, second.authority)


def test_a_connection_that_was_closed_twice_and_cannot_be_asked_any_more_ends_no_sweep():
    class LetGo:
        def get_write_buffer_size(self) -> int:
            raise AttributeError("'NoneType' object has no attribute '_get_write_buffer_size'")

    leave(cast(Any, SimpleNamespace(transport=LetGo())))
