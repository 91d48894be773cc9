"""A process's life: how it starts, says why it cannot, and ends without dropping what it has begun."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import urllib.request

import pytest

from tests.support.web_process import Connection, connected, request, running

pytestmark = pytest.mark.requirement(
    "HAPI-040", "HAPI-050", "HAPI-061", "API-BR-REL-004", "INF-BR-HEALTH-001"
)


async def get(port: int, path: str) -> tuple[int, bytes]:
    async with connected(port) as connection:
        await connection.send(request("GET", path, headers={"Connection": "close"}))
        status, _, body = await connection.answer()
    return status, body


async def begun(connection: Connection, seconds: float, port: int) -> None:
    """Send a slow request, and be sure that the server has it."""
    await connection.send(request("GET", f"/api/v1/slow?seconds={seconds}"))
    assert (await get(port, "/health"))[0] == 200


async def test_a_request_under_way_is_finished_before_the_process_ends_with_0():
    async with running() as service:
        port = await service.port()
        async with connected(port) as connection:
            await begun(connection, 1.5, port)
            service.terminate()
            status, headers, body = await connection.answer()

        assert (status, json.loads(body)["text"]) == (200, "finished")
        assert headers["connection"] == "close"
        assert await service.ended() == 0


async def test_it_is_not_ready_while_it_drains_and_still_answers():
    async with running({"DRAIN": "2"}) as service:
        port = await service.port()
        assert (await get(port, "/ready"))[0] == 200
        service.terminate()
        await service.said(lambda line: line["event"] == "stopping")

        assert (await get(port, "/ready"))[0] == 503
        assert (await get(port, "/api/v1/notes/a"))[0] == 200
        assert await service.ended() == 0


async def test_after_its_end_nothing_listens():
    async with running() as service:
        port = await service.port()
        service.terminate()
        await service.ended()

        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_request_that_does_not_finish_in_time_is_cut():
    async with running({"FINISH_WITHIN": "1"}) as service:
        port = await service.port()
        async with connected(port) as connection:
            await begun(connection, 60, port)
            service.terminate()

            assert await service.ended() == 0


async def test_a_second_signal_does_not_wait():
    async with running() as service:
        port = await service.port()
        async with connected(port) as connection:
            await begun(connection, 60, port)
            service.terminate()
            await service.said(lambda line: line["event"] == "stopping")
            service.terminate()

            async with asyncio.timeout(10):
                await service.process.wait()


async def test_a_taken_port_is_named_with_its_holder_and_the_process_ends_with_1():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        async with running({"PORT": str(port)}) as service:
            line = await service.said(lambda line: line["event"] == "cannot start")

            assert await service.ended() == 1
    assert str(port) in line["reason"]
    assert f"pid {os.getpid()}" in line["reason"] or sys.platform != "linux"


async def test_a_taken_metrics_port_moves_to_the_next_free_one_and_says_so():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        async with running({"METRICS_PORT": str(taken)}) as service:
            await service.port()
            line = await service.said(lambda line: line.get("wanted") == taken)

            text = await asyncio.to_thread(_read, f"http://127.0.0.1:{line['port']}/metrics")
    assert "kubernaut_service_info" in text


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({"TRUSTED_NETWORKS": "{}"}, "AUTH_KEYS_FILE", id="nobody could be recognised"),
        pytest.param({"AUTH_KEYS_FILE": "/nowhere/keys.yaml"}, "/nowhere/keys.yaml", id="keys file missing"),
        pytest.param({"BROKEN_WIRING": "true"}, "ConnectionError", id="dependency away"),
        pytest.param({"MAX_BODY_BYTES": "many"}, "MAX_BODY_BYTES", id="wrong setting"),
        pytest.param(
            {"CORS_ORIGINS": "*"}, "CORS_ORIGINS: Value error, entry 1: `*`", id="everybody's pages"
        ),
        pytest.param({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS: Value error, entry 1: `*`", id="every host"),
    ],
)
async def test_a_start_that_fails_says_why_in_one_line(environment, said):
    async with running(environment) as service:
        line = await service.said(lambda line: line["event"] == "cannot start")

        assert await service.ended() == 1
    assert said in line["reason"]
    assert "hunter2" not in json.dumps(service.lines)
    assert len(service.lines) == 1, "one line, and no traceback"


async def test_a_worker_has_no_api_and_shows_its_health_beside_its_metrics(tmp_path):
    async with running({"KUBERNAUT_ROLE": "worker", "WORK_LOG": str(tmp_path / "work")}) as service:
        line = await service.said(lambda line: line["event"] == "working")
        health = json.loads(await asyncio.to_thread(_read, f"{line['url']}/health"))
        service.terminate()

        assert await service.ended() == 0
    assert (health["status"], health["services"]) == ("healthy", {"event_loop": "healthy"})
    assert (tmp_path / "work").read_text() == f"ended in {service.process.pid}"


async def test_both_roles_end_together(tmp_path):
    async with running({"KUBERNAUT_ROLE": "both", "WORK_LOG": str(tmp_path / "work")}) as service:
        await service.port()
        service.terminate()

        assert await service.ended() == 0
    assert (tmp_path / "work").exists()


async def test_an_error_of_ours_is_a_500_without_its_text_and_a_log_line_without_its_secret():
    async with running() as service:
        status, body = await get(await service.port(), "/api/v1/boom")
        line = await service.said(lambda line: line["event"] == "unhandled")

    assert status == 500
    assert "postgresql" not in body.decode()
    assert json.loads(body)["request_id"] == line["request_id"]
    assert "hunter2" not in json.dumps(service.lines)
