from __future__ import annotations

import threading
from datetime import timedelta

import orjson
import pytest

from services.notifications.adapters.console import Console
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Link
from tests.support.messages import message

pytestmark = pytest.mark.requirement("INT-BR-NOT-003")

LONG = timedelta(seconds=10)


async def shown(*, as_json: bool = False, **changes: object) -> str:
    texts: list[str] = []
    console = Console(texts.append, as_json=as_json, deadline=LONG)
    await console.send(message(**changes))
    await console.close()
    return "".join(texts)


async def test_people_get_one_readable_block():
    block = await shown(links=(Link("runbook", "https://x.org/"),))

    assert block.splitlines()[1:3] == [
        "P1, high · explained · 2026-11-02 12:00:00 UTC",
        "[P1] CheckoutDown on Deployment/shop/checkout: ConfigMap changed",
    ]
    assert "  because it was edited 2 min before\nrunbook: https://x.org/\n" in block
    assert block.splitlines()[-2].endswith("· incident inc-1 · episode epi-1")


async def test_a_repeated_block_is_marked():
    assert (await shown(possible_duplicate=True)).splitlines()[1].startswith("POSSIBLE DUPLICATE")


async def test_a_label_cannot_move_the_cursor_or_forge_a_second_block():
    block = await shown(subject="a\x1b[2J\x1b[H", body="b\x9b2J\x00")

    assert not set(block) & {"\x1b", "\x9b", "\x00"}


async def test_collectors_get_one_json_line_of_the_same_content():
    line = await shown(as_json=True, body="two\nlines")

    event = orjson.loads(line)
    assert line.count("\n") == 1
    assert (event["event"], event["subject"]) == ("notification", message().subject)
    assert "two\nlines" in event["text"]


async def test_output_that_is_gone_is_a_failure_that_may_pass():
    def broken(_: str) -> None:
        raise BrokenPipeError

    with pytest.raises(DeliveryFailed) as failed:
        await Console(broken, as_json=False, deadline=LONG).send(message())

    assert (failed.value.reason, failed.value.retry) == ("output-lost", True)


async def test_a_pipe_that_nobody_reads_ends_at_the_deadline_and_leaves_a_doubt():
    free = threading.Event()

    def stuck(_: str) -> None:
        free.wait(10)

    console = Console(stuck, as_json=False, deadline=timedelta(milliseconds=20))

    with pytest.raises(DeliveryFailed) as failed:
        await console.send(message())

    free.set()
    await console.close()
    assert failed.value.maybe_delivered
