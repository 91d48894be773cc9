"""Lines stay whole and in order, whether they are written at once or soon."""

from __future__ import annotations

import asyncio
import os
from threading import Thread

import pytest

from libs.logs.stream import FLUSH_EVERY_S, JsonLoggerFactory, Lines

pytestmark = pytest.mark.requirement("HAPI-063")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    yield path, descriptor
    os.close(descriptor)


async def test_a_line_for_soon_is_written_after_a_moment(file):
    path, descriptor = file
    Lines(descriptor).soon(b"one\n")
    assert path.read_bytes() == b""

    async with asyncio.timeout(FLUSH_EVERY_S * 100):
        while path.read_bytes() != b"one\n":
            await asyncio.sleep(FLUSH_EVERY_S / 10)


async def test_a_line_at_once_takes_those_before_it_along(file):
    path, descriptor = file
    lines = Lines(descriptor)

    lines.soon(b"one\n")
    lines.at_once(b"two\n")
    lines.soon(b"three\n")

    assert path.read_bytes() == b"one\ntwo\n"
    lines.flush()
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_without_an_event_loop_soon_is_now(file):
    path, descriptor = file

    Lines(descriptor).soon(b"one\n")

    assert path.read_bytes() == b"one\n"


def test_threads_do_not_mix_their_lines(file):
    path, descriptor = file
    lines = Lines(descriptor)

    def write(sign: bytes) -> None:
        for _ in range(300):
            lines.at_once(sign * 500 + b"\n")

    threads = [Thread(target=write, args=(sign,)) for sign in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    written = path.read_bytes().splitlines()
    assert len(written) == 900
    assert all(len(line) == 500 and len(set(line)) == 1 for line in written)


def test_a_logger_of_structlog_ends_each_line(file):
    path, descriptor = file

    JsonLoggerFactory(descriptor)("name").info(b"{}")

    assert path.read_bytes() == b"{}\n"
