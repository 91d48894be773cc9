"""What only sockets show: slow senders, silent ones, bodies too large, many headers, requests sent early."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from libs.web.protocol import MAX_HEADER
from tests.support.web_process import Connection, Service, connected, request, running

pytestmark = pytest.mark.requirement(
    "INT-BR-WH-009", "INT-BR-WH-011", "API-BR-SEC-006", "HAPI-104", "HAPI-105"
)

DEADLINE_S = 1.0
MARGIN_S = 3.0
"""How much later than its deadline a connection may be closed before the deadline counts as not kept."""


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running({"RECEIVE_DEADLINE": str(DEADLINE_S), "MAX_BODY_BYTES": "65536"}) as service:
        yield service


@pytest.fixture
async def connection(service: Service) -> AsyncIterator[Connection]:
    async with connected(await service.port()) as connection:
        yield connection


@pytest.fixture
async def unhurried() -> AsyncIterator[Connection]:
    """To a service that waits as long as it does by default: what is asked here is not how fast a machine is."""
    async with running({"MAX_BODY_BYTES": "65536"}) as service, connected(await service.port()) as connection:
        yield connection


async def drip(connection: Connection, data: bytes, every: float = 0.1) -> None:
    """Send a byte at a time until the server has had enough."""
    try:
        for byte in data:
            await connection.send(bytes([byte]))
            await asyncio.sleep(every)
    except ConnectionError:
        return


async def closed_while_dripping(connection: Connection, data: bytes) -> bytes:
    dripping = asyncio.create_task(drip(connection, data))
    try:
        return await connection.rest(within=DEADLINE_S + MARGIN_S)
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_a_silent_connection_is_closed_at_the_deadline(connection):
    await connection.rest(within=DEADLINE_S + MARGIN_S)


async def test_a_dripped_header_is_answered_408_and_closed_at_the_deadline(connection):
    said = await closed_while_dripping(
        connection, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 500
    )

    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in said


async def test_a_dripped_body_is_answered_408_and_closed_at_the_deadline(connection):
    await connection.send(request("POST", "/api/v1/notes", length=1000))

    said = await closed_while_dripping(connection, b'{"text": "' + b"a" * 500)

    assert said.startswith(b"HTTP/1.1 408 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "receive-deadline"


async def test_a_dripped_body_of_a_fast_route_is_closed_at_the_deadline(connection):
    await connection.send(request("POST", "/api/v1/hook", length=1000))

    assert (await closed_while_dripping(connection, b"a" * 500)).startswith(b"HTTP/1.1 408 ")


async def test_line_breaks_between_requests_do_not_keep_a_connection_open(connection):
    await connection.send(request("GET", "/health"))
    await connection.answer()

    await closed_while_dripping(connection, b"\r\n" * 200)


async def test_a_second_request_dripped_on_the_same_connection_is_closed_at_the_deadline(connection):
    await connection.send(request("GET", "/health"))
    await connection.answer()

    await closed_while_dripping(connection, b"GET /health HTTP/1.1\r\nX-Slow: " + b"a" * 500)


async def test_the_deadline_is_for_receiving_only(connection):
    await connection.send(request("GET", f"/api/v1/slow?seconds={DEADLINE_S * 2}"))

    status, _, body = await connection.answer()

    assert (status, json.loads(body)["text"]) == (200, "finished")


async def test_an_idle_connection_outlives_the_deadline(connection):
    await connection.send(request("GET", "/health"))
    await connection.answer()
    await asyncio.sleep(DEADLINE_S * 2)

    await connection.send(request("GET", "/health"))

    assert (await connection.answer())[0] == 200


async def test_five_megabytes_are_refused_with_413_while_the_client_still_sends(connection):
    size = 5_000_000
    sending = asyncio.create_task(connection.send(request("POST", "/api/v1/notes", b"x" * size)))

    status, _, body = await connection.answer()

    assert (status, json.loads(body)["code"]) == (413, "body-too-large")
    await sending


async def test_a_chunked_body_is_refused_at_the_first_byte_too_many(connection):
    await connection.send(
        request(
            "POST",
            "/api/v1/notes",
            headers={"Transfer-Encoding": "chunked", "Content-Type": "application/json"},
        )
    )
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    await connection.send(chunk + chunk)

    status, _, body = await connection.answer()

    assert (status, json.loads(body)["code"]) == (413, "body-too-large")


async def test_endless_headers_are_refused_before_they_fill_the_memory(connection):
    sent = await connection.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
    number = 0
    while sent <= MAX_HEADER:  # not a line more: what the server never reads would reset its answer away
        sent += await connection.send(b"X-Header-%03d: %s\r\n" % (number, b"a" * 85))
        number += 1

    status, _, body = await connection.answer()

    assert (status, json.loads(body)["code"]) == (431, "header-too-large")


async def test_what_is_not_http_is_answered_400_as_a_problem(connection):
    await connection.send(b"\x16\x03\x01 hello\r\n\r\n")

    said = await connection.rest()

    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in said


async def test_requests_sent_ahead_are_answered_in_order(connection):
    await connection.send(request("GET", "/api/v1/notes/first") + request("GET", "/api/v1/notes/second"))

    answers = [json.loads((await connection.answer())[2])["text"] for _ in range(2)]

    assert answers == ["first", "second"]


async def test_a_client_that_waits_for_100_continue_is_refused_before_it_sends(connection):
    await connection.send(
        request("POST", "/api/v1/notes", length=5_000_000, headers={"Expect": "100-continue"})
    )

    assert (await connection.answer())[0] == 413


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 60_000, id="depth bomb"),
        pytest.param(
            b'{"text":"a","more":' + b'{"a":' * 900 + b"1" + b"}" * 901, id="deeper than can be written"
        ),
        pytest.param(b'{"text": "a', id="truncated"),
        pytest.param(b'{"text": "\\u0000"}', id="NUL"),
        pytest.param(b'{"text": "\\ud800"}', id="lone surrogate"),
        pytest.param('{"text": "\\u0000"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"text": "a", "more": {"n": NaN}}', id="NaN"),
        pytest.param(b'{"text": "\xff"}', id="not UTF-8"),
    ],
)
async def test_a_body_that_is_not_plain_json_is_a_400_that_says_so(unhurried, body):
    await unhurried.send(request("POST", "/api/v1/notes", body))

    status, headers, said = await unhurried.answer()

    assert status == 400, said
    assert headers["content-type"] == "application/problem+json"


async def test_the_client_that_goes_away_leaves_no_error_behind(service):
    async with connected(await service.port()) as gone:
        await gone.send(request("POST", "/api/v1/notes", length=1000) + b"{")

    async with connected(await service.port()) as another:
        await another.send(request("GET", "/health"))
        assert (await another.answer())[0] == 200
    assert not [line for line in service.lines if line.get("level") == "error"]
