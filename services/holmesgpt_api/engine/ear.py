"""What the service says to a run while it goes on: leave for a step, that one is recorded, a foreign system's answer,
or, by closing its end, that it is over."""

from __future__ import annotations

import os
import queue
import select
import socket
import threading
import time

from services.holmesgpt_api.engine.failures import NoModel
from services.holmesgpt_api.engine.foreign import ToolAnswered
from services.holmesgpt_api.engine.framing import BadFrame, Closed, receive
from services.holmesgpt_api.engine.messages import TO_RUN, Granted, Recorded


class Ear:
    """Listens in a thread of its own, whatever the model's client is waiting for."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._granted = sock, 0
        self._news = threading.Condition()
        self._answers: dict[int, ToolAnswered] = {}
        self._recorded: queue.SimpleQueue[Recorded] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

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
        parent = os.getppid()
        while os.getppid() == parent:
            try:
                readable, _, _ = select.select([self._sock], [], [], 1.0)
                if readable:
                    # Without a time of its own: it would be the socket's, and hold for what is sent as well.
                    self._hear(receive(self._sock, TO_RUN))
            except (Closed, BadFrame, OSError):
                break
        os._exit(os.EX_NOINPUT)

    def _hear(self, said: Granted | Recorded | ToolAnswered) -> None:
        if isinstance(said, Recorded):
            self._recorded.put(said)
            return
        with self._news:
            if isinstance(said, ToolAnswered):
                self._answers[said.number] = said
                self._news.notify_all()
                return
            self._granted = max(self._granted, said.step)
            self._news.notify_all()
