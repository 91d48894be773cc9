"""The metrics port: its own thread, its own port, health beside the metrics."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from libs.metrics import Metrics, MetricsServer
from tests.support.certificates import Certificate, certificate

pytestmark = pytest.mark.requirement("INF-BR-MET-012", "HAPI-018", "HAPI-052", "HAPI-055")


def get(server: MetricsServer, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.mark.requirement("HAPI-175")
def test_the_scrape_is_prometheus_text_format():
    metrics = Metrics("alerts")
    metrics.counter("taken_total", "Taken.").inc()

    with MetricsServer(metrics, host="127.0.0.1", port=0) as server:
        status, kind, text = get(server, "/metrics")

    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "taken_total 1.0" in text


def test_health_is_answered_as_given_and_only_where_given():
    with MetricsServer(
        Metrics("a"), host="127.0.0.1", port=0, health=lambda: (200, b'{"status":"x"}')
    ) as server:
        assert get(server, "/health") == (200, "application/json", '{"status":"x"}')
    with MetricsServer(Metrics("a"), host="127.0.0.1", port=0) as server:
        assert get(server, "/health")[0] == 404


def test_a_taken_port_is_left_for_the_next_free_one():
    with (
        MetricsServer(Metrics("a"), host="127.0.0.1", port=0) as first,
        MetricsServer(Metrics("b"), host="127.0.0.1", port=first.port) as second,
    ):
        assert first.port < second.port < first.port + 50
        assert 'service="b"' in get(second, "/metrics")[2]


def test_the_port_is_free_again_after_the_end():
    with MetricsServer(Metrics("a"), host="127.0.0.1", port=0) as server:
        port = server.port

    with socket.create_server(("127.0.0.1", port)):
        pass


def test_two_services_started_at_once_do_not_share_a_port():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        wanted = holder.getsockname()[1]
        servers = [MetricsServer(Metrics(str(n)), host="127.0.0.1", port=wanted) for n in range(3)]
        try:
            assert len({server.port for server in servers} | {wanted}) == 4
        finally:
            for server in servers:
                server.close()


async def test_the_event_loop_turns_while_a_large_scrape_is_printed():
    metrics = Metrics("alerts", max_series=100_000)
    rows = metrics.gauge("row", "Row.", {"n": [str(n) for n in range(20_000)]})
    for number in range(20_000):
        rows.set(1, n=str(number))
    turns = 0

    with MetricsServer(metrics, host="127.0.0.1", port=0) as server:
        scrape = asyncio.create_task(asyncio.to_thread(get, server, "/metrics"))
        while not scrape.done():
            await asyncio.sleep(0)
            turns += 1

    assert scrape.result()[2].count("\nrow{") == 20_000
    assert turns > 10


@pytest.fixture
def shown(tmp_path: Path) -> Certificate:
    return certificate(tmp_path)


def scraped(server: MetricsServer, shown: Certificate) -> bytes:
    address = f"https://127.0.0.1:{server.port}/metrics"
    with urllib.request.urlopen(address, timeout=10, context=shown.client_context()) as answer:
        text: bytes = answer.read()
    return text


@pytest.mark.requirement("HAPI-053", "HAPI-071")
def test_with_a_certificate_it_speaks_tls_and_nothing_else(shown, capfd):
    with MetricsServer(Metrics("a"), host="127.0.0.1", port=0, tls=shown.server_context()) as server:
        assert b"kubernaut_service_info" in scraped(server, shown)
        with pytest.raises((http.client.HTTPException, urllib.error.URLError, ConnectionError)):
            get(server, "/metrics")
        with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", server.port)) as plain:
            ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")

    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.requirement("HAPI-053")
def test_a_scraper_that_does_not_begin_the_handshake_holds_up_no_other(shown):
    with (
        MetricsServer(Metrics("a"), host="127.0.0.1", port=0, tls=shown.server_context()) as server,
        socket.create_connection(("127.0.0.1", server.port)),
    ):
        began = time.monotonic()

        assert scraped(server, shown)
        assert time.monotonic() - began < 5
