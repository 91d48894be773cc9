"""An engine without HolmesGPT: the real zygote, forking children that do what the alert's name says.

Run as `python -m tests.support.scripted_engine MOOD FD` it is that engine; `interpreter` makes what the service
takes for the engine's interpreter. For starts that go wrong the mood says how.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from services.holmesgpt_api.engine.framing import receive, send
from services.holmesgpt_api.engine.messages import (
    PROTOCOL,
    SDK,
    TO_EAR,
    Broken,
    Checkpoint,
    Concluded,
    Failed,
    Hello,
    ModelAsked,
    Opinion,
    Probed,
    ProbeRequest,
    Ready,
    Recorded,
    RunRequest,
    Step,
    ToolCalled,
    Usage,
)
from services.holmesgpt_api.engine.zygote import Zygote
from tests.support.children import REPOSITORY
from tests.support.investigations import evidence


def interpreter(folder: Path, mood: str) -> Path:
    """A program that is called as the engine's interpreter is: `-m MODULE FD`."""
    path = folder / f"python-{mood}"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.support.scripted_engine {mood} "$3"\n')
    path.chmod(0o755)
    return path


def live(sock: socket.socket) -> int:
    request = receive(sock, TO_EAR, within=10)
    if isinstance(request, ProbeRequest):
        send(sock, ModelAsked(step=1, model=request.model.name))
        send(sock, Probed(tools=False))
        return 0
    assert isinstance(request, RunRequest)
    send(sock, Step(number=1))
    match request.alert.name:
        case "concludes":
            send(sock, Usage(requests=1, prompt_tokens=10, completion_tokens=5, cost_usd=0.25))
            send(
                sock,
                ToolCalled(tool="get_logs", arguments={"pod": "a"}, ok=True, evidence=[evidence("ev-1")]),
            )
            opinion = Opinion(summary=request.context.token or "", cause=None, agrees_with_triage=False)
            send(sock, Concluded(opinion=opinion, repaired=True))
        case "fails":
            send(sock, Usage(requests=2))
            send(sock, Failed(word="model-unauthorized", detail="HTTP 401"))
        case "dies":
            return 3
        case "is-killed":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "floods":
            sock.sendall((2**31).to_bytes(4, "big") + b"x" * 1000)
            sock.recv(1)
        case "lies":
            send(sock, Hello(protocol=1, sdk="", pid=1))
            sock.recv(1)
        case "hangs":
            signal.pause()
        case "goes-on":
            _goes_on(sock, request)
        case "dies-before-its-first-step":
            had = request.usage
            send(sock, had.model_copy(update={"requests": had.requests + 1, "cost_usd": had.cost_usd + 0.25}))
            if had.requests == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            opinion = Opinion(summary="at the second try", cause=None, agrees_with_triage=False)
            send(sock, Concluded(opinion=opinion))
        case "tells-no-step-twice":
            _checkpoint(sock, Checkpoint(number=1, phase="talk", messages=b"one"))
            os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _goes_on(sock: socket.socket, request: RunRequest) -> None:
    """Hangs in its second step, and concludes when it goes on from there."""
    if request.resume is None:
        send(sock, Usage(requests=1, prompt_tokens=10, completion_tokens=5, cost_usd=0.25))
        send(sock, ToolCalled(tool="get_logs", arguments={}, ok=True, evidence=[evidence("ev-1")]))
        send(sock, Step(number=2))
        _checkpoint(sock, Checkpoint(number=2, phase="talk", messages=b"what was said"))
        _checkpoint(sock, Checkpoint(number=2, phase="talk", answer=b"what was answered"))
        signal.pause()
        return
    known = request.resume
    told = f"{known.number} {known.phase} {known.messages!r} {known.answer!r} {request.usage.requests}"
    evidence_ids = [one.id for one in known.evidence]
    opinion = Opinion(summary=f"{told} {known.calls} {evidence_ids}", cause=None, agrees_with_triage=False)
    send(sock, Concluded(opinion=opinion))


def _checkpoint(sock: socket.socket, point: Checkpoint) -> None:
    send(sock, point)
    while not isinstance(said := receive(sock, TO_EAR, within=10), Recorded):
        pass  # leave for a step
    assert said.number == point.number


def main(mood: str, descriptor: int) -> None:
    control = socket.socket(fileno=descriptor)
    match mood:
        case "dies":
            sys.exit("no module named holmes")
        case "nonsense":
            control.sendall(b"GET / HTTP/1.1\r\n\r\n")
            control.recv(1)
        case "mute":
            control.recv(1)
    sdk = {"old": "0.44.0", "none": ""}.get(mood, SDK)
    send(control, Hello(protocol=99 if mood == "foreign" else PROTOCOL, sdk=sdk, pid=os.getpid()))
    if mood == "broken":
        send(control, Broken(detail="ImportError: no litellm"))
    if mood != "ready":
        control.recv(1)
        return
    send(control, Ready(took_s=0.1, rss_kb=1000))
    Zygote(control, live).serve()


if __name__ == "__main__":
    assert Path.cwd() == REPOSITORY
    main(sys.argv[1], int(sys.argv[2]))
