"""The kernel keeps the engine in: what of the machine it can reach, seen from inside, and with a real run."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.holmesgpt_api.adapters.engine_environment import environment
from services.holmesgpt_api.adapters.residents import Residents
from services.holmesgpt_api.adapters.zygote import Away, Zygote
from services.holmesgpt_api.engine.messages import (
    Answered,
    Checkpoint,
    Confinement,
    Failed,
    Recorded,
    TalkRequest,
)
from tests.fakes.context_api import FakeContextApi, context_api
from tests.fakes.model import model
from tests.integration.holmesgpt_api.test_residents import POLICY, question
from tests.support.children import REPOSITORY
from tests.support.investigations import cause, evidence, found
from tests.support.programs import LANDLOCK
from tests.support.watched_engine import ENGINE

pytestmark = [
    pytest.mark.needs("holmes-engine", LANDLOCK),
    pytest.mark.requirement("HAPI-110", "HAPI-075"),
    pytest.mark.xdist_group("holmes-engine"),
]

ORDINARY = ["setpriv", "--bounding-set", "-perfmon,-sys_admin"] if os.geteuid() == 0 else []
"""Root of a container: without the rights by which root of a machine may look into every process."""

MAY = {
    "read names of hosts",
    "read a file that the environment names",
    "read its own code",
    "read its own size",
    "write at home",
    "write who is ended first",
    "import what was not needed before",
    "connect before a run",
    "connect to its model",
}


@contextmanager
def listening() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


@pytest.mark.needs("setpriv")
def test_a_confined_process_reaches_what_a_run_needs_and_nothing_else(tmp_path: Path):
    home, outside, credentials = (tmp_path / name for name in ("home", "outside", "credentials"))
    for folder in (home, outside, credentials):
        folder.mkdir()
    (outside / "secret").write_text("canary")
    (credentials / "token").write_text("handed on")
    sees = environment(
        {"PATH": os.environ["PATH"], "CREDENTIALS_FILE": str(credentials / "token")}, home=home, base_url=None
    )
    with listening() as allowed, listening() as other:
        asked = {"outside": str(outside), "root": str(REPOSITORY), "allowed": allowed, "other": other}
        done = subprocess.run(
            [*ORDINARY, ENGINE, "-m", "tests.support.confined"],
            input=json.dumps(asked),
            env=sees,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    outcomes = told["outcomes"]
    assert told["abi"] >= 4
    assert {name for name, word in outcomes.items() if word == "done"} == MAY
    refused = {word for word in outcomes.values() if word != "done"}
    assert refused <= {"EACCES", "EPERM"}, outcomes
    assert sorted(one.name for one in outside.iterdir()) == ["secret"]


@contextmanager
def elsewhere() -> Iterator[tuple[int, list[str]]]:
    """A server that a model's one sends its callers to, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """`asked` is the log."""

    with served(Handler) as port:
        yield port, asked


@contextmanager
def sending_on(port: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{port}/take")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody asks."""

    with served(Handler) as own:
        yield own


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def zygote(home: Path, confinement: Confinement) -> Zygote:
    return Zygote(
        ENGINE,
        environment=environment({"PATH": os.environ["PATH"]}, home=home, base_url=None),
        directory=REPOSITORY,
        start_within=timedelta(seconds=120),
        residents=Residents(POLICY),
        confinement=confinement,
    )


async def ended(there: Zygote, asked: TalkRequest) -> Answered | Failed:
    async with there.child("run", patience=120, reach=asked.reach) as child, asyncio.timeout(60):
        await child.send(asked)
        while True:
            match await child.receive():
                case Answered() | Failed() as said:
                    return said
                case Checkpoint(number=number):
                    await child.send(Recorded(number=number))


@pytest.fixture
def context() -> Iterator[FakeContextApi]:
    fact = evidence("ev-00000000000000e1")
    with context_api(causes=found(cause(evidence_ids=[fact.id]), evidence=[fact])) as fake:
        yield fake


@pytest.mark.parametrize("more", [False, True], ids=["nowhere", "where an operator lets them"])
async def test_a_model_that_sends_its_callers_elsewhere_gets_them_to_other_ports(
    context: FakeContextApi, tmp_path: Path, more: bool
):
    stop = asyncio.Event()
    with model() as scripted, elsewhere() as (port, asked), sending_on(port) as own:
        there = zygote(tmp_path, Confinement(mode="required", ports=[port] if more else []))
        running = asyncio.create_task(there.run(stop))
        try:
            sound = await ended(there, question(context, scripted, 1))
            sends_on = question(context, scripted, 2, "other")
            sends_on = sends_on.model_copy(
                update={"model": sends_on.model.model_copy(update={"api_base": f"http://127.0.0.1:{own}/v1"})}
            )
            sent_on = await ended(there, sends_on)
            state = there.state
        finally:
            stop.set()
            await running

    assert isinstance(sound, Answered), sound
    assert "confined by Landlock" in state.detail
    assert isinstance(sent_on, Failed)
    if more:
        assert asked == ["/take"]
    else:
        assert (sent_on.word, asked) == ("model-unreachable", [])


async def test_where_the_kernel_cannot_and_must_there_is_no_engine_and_the_remedy_is_said(tmp_path: Path):
    python = tmp_path / "python"
    blind = "import services.holmesgpt_api.engine.confinement as c; c.supported = lambda: 0; import sys; "
    run = "from services.holmesgpt_api.engine import zygote; zygote.confine.__globals__['supported'] = c.supported; "
    begin = "sys.exit(zygote.main(int(sys.argv[1]), sys.argv[2]))"
    python.write_text(f'#!/bin/sh\nexec "{ENGINE}" -c "{blind}{run}{begin}" "$3" "$4"\n')
    python.chmod(0o755)
    there = Zygote(
        python,
        environment=environment({"PATH": os.environ["PATH"]}, home=tmp_path, base_url=None),
        directory=REPOSITORY,
        start_within=timedelta(seconds=60),
        confinement=Confinement(mode="required"),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(there.run(stop))
    try:
        with pytest.raises(Away, match=r"no Landlock.*HOLMESGPT_ENGINE_CONFINEMENT=auto"):
            async with there.child("run", patience=60):
                pass
    finally:
        stop.set()
        await running
