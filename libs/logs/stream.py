"""One stream of lines on standard error: buffered for a moment where there are many, at once where it matters."""

from __future__ import annotations

import asyncio
import io
import threading

FLUSH_EVERY_S = 0.05
"""What kill -9 can cost of the access log. A write to the kernel for each line was 3 of its 7 µs (measured 2026-11)."""

BUFFER = 64 * 1024


class Lines:
    """Writes whole lines to a file descriptor; from any thread, in the order they came."""

    def __init__(self, descriptor: int) -> None:
        # Not sys.stderr.buffer: with PYTHONUNBUFFERED, as images set it, that has no buffer.
        self._file = io.BufferedWriter(io.FileIO(descriptor, "wb", closefd=False), BUFFER)
        self._lock = threading.Lock()
        self._waiting = False

    def at_once(self, line: bytes) -> None:
        with self._lock:
            self._file.write(line)
            self._file.flush()

    def soon(self, line: bytes) -> None:
        """Within `FLUSH_EVERY_S`; called on the event loop, without one it is written at once."""
        with self._lock:
            self._file.write(line)
        if not self._waiting:
            try:
                asyncio.get_running_loop().call_later(FLUSH_EVERY_S, self.flush)
            except RuntimeError:
                self.flush()
            else:
                self._waiting = True

    def flush(self) -> None:
        self._waiting = False
        with self._lock:
            self._file.flush()


class JsonLogger:
    """What structlog hands a rendered line to. Every level has a method of its name."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def msg(self, line: bytes) -> None:
        self._lines.at_once(line + b"\n")

    log = debug = info = warn = warning = error = err = fatal = critical = failure = exception = msg


class JsonLoggerFactory:
    """Gives every logger the same stream; `lines` is for who writes past structlog (access.py)."""

    def __init__(self, descriptor: int) -> None:
        self.lines = Lines(descriptor)

    def __call__(self, *_: object) -> JsonLogger:
        return JsonLogger(self.lines)
