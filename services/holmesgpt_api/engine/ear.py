"""What the service says to a child: requests, one after the other; and to a run while it goes on, leave for a step, that
one is recorded, a foreign system's answer, or, by closing its end, that it is over."""

from __future__ import annotations

import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable

from services.holmesgpt_api.engine.failures import NoModel
from services.holmesgpt_api.engine.foreign import ToolAnswered
from services.holmesgpt_api.engine.framing import BadFrame, Closed, receive
from services.holmesgpt_api.engine.messages import (
    TO_EAR,
    Granted,
    ProbeRequest,
    Recorded,
    RunRequest,
    TalkRequest,
)

Request = RunRequest | TalkRequest | ProbeRequest


class Ear:
    """Listens in a thread of its own, whatever the model's client is waiting for. It outlives runs, and keeps none of
    what was said to them."""

    def __init__(self, sock: socket.socket, *, first: Callable[[Request], None] = lambda _: None) -> None:
        """`first`: called with the first run, in the thread that listens."""
        self._first: Callable[[Request], None] | None = first
        self._sock, self._granted, self._busy = sock, 0, False
        self._news = threading.Condition()
        self._answers: dict[int, ToolAnswered] = {}
        self._recorded: queue.SimpleQueue[Recorded] = queue.SimpleQueue()
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def request(self) -> Request:
        """The next run. There is no time limit: whoever needs this child no longer closes its end."""
        return self._requests.get()

    def over(self) -> None:
        """The run has ended; what was said to it and nobody waited for is forgotten."""
        with self._news:
            self._granted, self._busy = 0, False
            self._answers.clear()
        try:
            while True:
                self._recorded.get_nowait()
        except queue.Empty:
            return

    def leave(self, step: int, *, until: float) -> None:
        """Wait for leave to take this step.

        Raises:
            NoModel: none has come by `until`, on the monotonic clock.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._granted >= step, until - time.monotonic()):
                raise NoModel("model-timeout", f"no leave for step {step} came in time")

    def recorded(self, until: float) -> None:
        """Wait for the service's word about what was sent last; without it until the run's end, go on."""
        try:
            self._recorded.get(timeout=max(until - time.monotonic(), 0.0))
        except queue.Empty:
            return  # the run's time is up: whoever asks the model next is told so

    def answer(self, number: int, *, until: float) -> ToolAnswered | None:
        """Wait for the answer to a question to a foreign system; None: none has come by the run's end."""
        with self._news:
            self._news.wait_for(lambda: number in self._answers, max(until - time.monotonic(), 0.0))
            return self._answers.pop(number, None)

    def _listen(self) -> None:
        parent, code = os.getppid(), os.EX_NOINPUT
        while os.getppid() == parent:
            try:
                readable, _, _ = select.select([self._sock], [], [], 1.0)
                if readable:
                    # Without a time of its own: it would be the socket's, and hold for what is sent as well.
                    self._hear(receive(self._sock, TO_EAR))
            except (Closed, OSError):
                code = os.EX_NOINPUT if self._busy else os.EX_OK
                break
            except BadFrame:
                code = os.EX_DATAERR
                break
        os._exit(code)

    def _hear(self, said: Request | Granted | Recorded | ToolAnswered) -> None:
        match said:
            case Recorded():
                self._recorded.put(said)
            case Granted(step=step):
                with self._news:
                    self._granted = max(self._granted, step)
                    self._news.notify_all()
            case ToolAnswered(number=number):
                with self._news:
                    self._answers[number] = said
                    self._news.notify_all()
            case request:
                if self._busy:
                    raise BadFrame("a run is under way")
                self._busy = True
                if self._first is not None:
                    self._first(request)
                    self._first = None
                self._requests.put(request)
