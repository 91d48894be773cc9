"""The supervisor and the child's watch with real processes, without any service."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cli.run.stack import SERVICES, Process
from cli.run.supervisor import StartFailed, Supervisor
from tests.support.children import REPOSITORY, start

pytestmark = pytest.mark.requirement("HAPI-040", "HAPI-050")

PATIENCE_S = 60.0


def process(name: str, module: str) -> Process:
    # A port makes it one whose readiness is asked; nothing listens there.
    return Process(name, module, SERVICES[0], "api", environment={"PATH": os.environ["PATH"]}, port=1)


@asynccontextmanager
async def supervised(tmp_path: Path, *stack: Process) -> AsyncIterator[tuple[Supervisor, list[str]]]:
    said: list[str] = []
    supervisor = Supervisor(stack, log_directory=tmp_path, root=REPOSITORY, say=said.append)
    supervisor.start()
    try:
        yield supervisor, said
    finally:
        await supervisor.stop()


async def until(seen: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not seen():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_killed_process_is_started_again_and_stopping_leaves_none(tmp_path):
    log = tmp_path / "waiting.log"
    async with supervised(tmp_path, process("waiting", "tests.support.waiting")) as (supervisor, said):
        await until(lambda: log.exists() and "waiting as" in log.read_text())
        first = supervisor.pid_of("waiting")
        assert first is not None

        os.kill(first, signal.SIGKILL)
        await until(lambda: log.read_text().count("waiting as") == 2)

        second = supervisor.pid_of("waiting")
        assert second not in (None, first)
        assert said == [f"waiting was ended by signal 9 (SIGKILL); restarting in 0.2 s (log: {log})"]

    assert second is not None
    assert not is_alive(first)
    assert not is_alive(second)


async def test_a_module_that_does_not_exist_fails_the_start_with_pythons_words(tmp_path):
    async def never(_: Process) -> bool:
        return False

    async with supervised(tmp_path, process("lost", "services.no_such_service")) as (supervisor, _):
        with pytest.raises(StartFailed) as failed:
            await supervisor.until_ready(never, deadline_s=PATIENCE_S)

    assert "lost did not start: it ended with code 1" in str(failed.value)
    assert "no_such_service" in str(failed.value)


def test_a_child_ends_by_itself_when_its_supervisor_is_gone():
    read, write = os.pipe()
    child = start(
        "cli.run.child",
        str(read),
        "tests.support.waiting",
        stdout=subprocess.PIPE,
        pass_fds=(read,),
        text=True,
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == f"waiting as {child.pid}\n"
        assert child.poll() is None

        os.close(write)  # what the kernel does for a supervisor that was killed

        assert child.wait(timeout=PATIENCE_S) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        os.close(read)
