"""Writes the one line that every request costs, past structlog's processors where lines are JSON.

A line through them takes 22 µs, this way 4 µs (measured 2026-11, in process); a whole FastAPI route takes 73 µs.
What a caller can put into it (method, path) is cleaned like any other text.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, BinaryIO

import orjson
import structlog

from libs.logs.scrub import clean_text

FLUSH_EVERY_S = 0.05

Write = Callable[[bool, dict[str, Any]], None]
"""Quiet or not (DEBUG or INFO), and the line's fields."""


def access_log(service: str) -> Write:
    """The writer for this process. Call after `configure_logging`, which decides its form and level."""
    configured = structlog.get_config()
    as_json = isinstance(configured["logger_factory"], structlog.BytesLoggerFactory)
    level = logging.getLogger().getEffectiveLevel()
    return _as_json(service, level) if as_json else _as_text()


def _as_json(service: str, level: int) -> Write:
    stream = sys.stderr.buffer
    flush_soon = _flusher(stream)

    def write(quiet: bool, fields: dict[str, Any]) -> None:
        if level > (logging.DEBUG if quiet else logging.INFO):
            return
        line = {
            "timestamp": datetime.now(UTC),
            "level": "debug" if quiet else "info",
            "service": service,
            "component": "access",
            "event": "request",
            **fields,
            "method": clean_text(fields["method"]),
            "path": clean_text(fields["path"]),
        }
        stream.write(orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))
        flush_soon()

    return write


def _flusher(stream: BinaryIO) -> Callable[[], None]:
    """Flushes once for all lines of `FLUSH_EVERY_S`: a write to the kernel each was 3 of a line's 7 µs.

    Other lines go through the same buffer and flush it, so the order stays; kill -9 can cost that much of this log.
    """
    pending = False

    def flush() -> None:
        nonlocal pending
        pending = False
        stream.flush()

    def flush_soon() -> None:
        nonlocal pending
        if not pending:
            pending = True
            asyncio.get_running_loop().call_later(FLUSH_EVERY_S, flush)

    return flush_soon


def _as_text() -> Write:
    log = structlog.get_logger(component="access")

    def write(quiet: bool, fields: dict[str, Any]) -> None:
        (log.debug if quiet else log.info)("request", **fields)

    return write
