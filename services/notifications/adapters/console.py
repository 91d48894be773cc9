"""Console: shows a message on standard output. Fulfils `domain.ports.ChannelAdapter`.

A block of text for people at a terminal; elsewhere one JSON line of the same content, for whatever collects
the output. Not through the logger: a log level must not decide whether people are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import orjson

from services.notifications.adapters.rendering import plain
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Message

Write = Callable[[str], None]


class Console:
    def __init__(self, write: Write, *, as_json: bool, deadline: timedelta) -> None:
        """`write` takes a whole text with its line end and returns when it is written; it may block."""
        self._write, self._as_json, self._deadline = write, as_json, deadline
        self._block = plain("console.txt.j2")
        # One thread of its own: a pipe that nobody reads blocks it, and nothing else.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="console")

    async def send(self, message: Message) -> None:
        block = self._block(message)
        text = _line(message, block) if self._as_json else block
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                await loop.run_in_executor(self._thread, self._write, text + "\n")
        except TimeoutError:
            raise DeliveryFailed(
                "timeout", "standard output is not read", retry=True, maybe_delivered=True
            ) from None
        except (OSError, ValueError) as error:
            # ValueError: the stream is closed.
            raise DeliveryFailed("output-lost", type(error).__name__, retry=True) from error

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def _line(message: Message, block: str) -> str:
    event = {
        "event": "notification",
        "service": "notifications",
        "timestamp": message.created_at,
        "notification_id": message.notification_id,
        "effect_id": message.effect_id,
        "tenant": message.tenant,
        "priority": message.priority.value,
        "transition": message.transition,
        "incident_id": message.incident_id,
        "episode_id": message.episode_id,
        "possible_duplicate": message.possible_duplicate,
        "subject": message.subject,
        "text": block,
    }
    return orjson.dumps(event, option=orjson.OPT_UTC_Z).decode()
