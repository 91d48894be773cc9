"""A child is handed to runs of its own reach alone, and only while nothing unusual has happened to it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from services.holmesgpt_api.adapters import residents as module
from services.holmesgpt_api.adapters.residents import Child, Frames, Residents, reach
from services.holmesgpt_api.domain.residence import Policy, Why
from services.holmesgpt_api.engine.framing import BadFrame, Closed, encode
from services.holmesgpt_api.engine.messages import (
    FROM_CHILD,
    Answered,
    Ended,
    Failed,
    ModelAccess,
    Probed,
    Rested,
    Step,
)

pytestmark = pytest.mark.requirement("HAPI-137", "HAPI-138")

POLICY = Policy(
    idle=2,
    spare=1,
    most=3,
    age=timedelta(hours=1),
    runs=10,
    memory=1 << 30,
    rest=timedelta(minutes=5),
    pressure=0.9,
)
MODEL = ModelAccess(
    name="primary",
    model="openai/m",
    api_key="sk-one",
    context_tokens=32_000,
    output_tokens=1_000,
    request_timeout_s=5,
    attempts=1,
)
WHO: dict[str, Any] = {
    "tenant": "a",
    "asker": "ann",
    "namespaces": ("shop", "data"),
    "models": [MODEL],
    "context_url": "http://context",
}

Make = Callable[..., tuple[Child, socket.socket]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """A child and the end that its process would have."""
    made: list[socket.socket] = []

    def one(name: str = "child-1", reach: str | None = "r") -> tuple[Child, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        made.extend((ours, theirs))
        child = Child(name, ours, asyncio.get_running_loop().create_future())
        if reach is not None:
            child.takes(reach)
        return child, theirs

    yield one
    for sock in made:
        sock.close()


@pytest.mark.requirement("HAPI-103", "HAPI-170")
@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "b"},
        {"asker": "bob"},
        {"namespaces": ("shop",)},
        {"namespaces": ("shop", "data", "billing")},
        {"models": [MODEL, MODEL.model_copy(update={"name": "second"})]},
        {"models": [MODEL.model_copy(update={"api_key": "sk-two"})]},
        {"context_url": "http://elsewhere"},
        {"tenant": "aann", "asker": ""},
    ],
)
def test_runs_that_may_see_different_things_have_different_reaches(other: dict[str, Any]):
    assert reach(**WHO) != reach(**(WHO | other))


def test_the_order_of_namespaces_and_models_makes_no_difference_and_no_secret_stands_in_it():
    second = MODEL.model_copy(update={"name": "second"})
    one = reach(**(WHO | {"models": [MODEL, second]}))

    assert one == reach(**(WHO | {"models": [second, MODEL], "namespaces": ["data", "shop", "shop"]}))
    assert "sk-one" not in one


async def test_a_child_goes_to_its_own_reach_then_one_that_has_served_nobody_and_to_nobody_else(make: Make):
    waiting = Residents(POLICY)
    mine, _ = make("mine", "a")
    foreign, _ = make("foreign", "b")
    fresh, _ = make("fresh", None)
    for one in (mine, foreign):
        waiting.keep(one)
    waiting.spare(fresh)

    assert waiting.take("a") is mine
    assert waiting.take("a") is fresh
    assert waiting.take("a") is None
    assert list(waiting) == [foreign]


async def test_a_run_that_has_no_reach_is_given_one_that_has_served_nobody(make: Make):
    waiting = Residents(POLICY)
    waiting.keep(make("mine", "a")[0])
    assert waiting.take("") is None

    fresh, _ = make("fresh", None)
    waiting.spare(fresh)
    assert waiting.take("") is fresh


@pytest.mark.parametrize("what", ["closed", "speaks", "ended"])
async def test_one_that_has_died_or_spoken_unasked_is_not_handed_on(make: Make, what: str):
    waiting = Residents(POLICY)
    child, theirs = make("mine", "a")
    waiting.keep(child)
    match what:
        case "closed":
            theirs.close()
        case "speaks":
            theirs.sendall(b"x")
        case "ended":
            child.end.set_result(Ended(child="mine", code=-9))

    assert waiting.take("a") is None
    assert waiting.stale() == [(child, "killed")]
    assert len(waiting) == 0


async def test_of_too_many_the_one_that_has_waited_longest_goes_and_one_for_everybody_last(make: Make):
    waiting = Residents(POLICY)
    fresh, _ = make("fresh", None)
    waiting.spare(fresh)
    children = [make(f"child-{number}", f"reach-{number}")[0] for number in range(3)]
    for number, child in enumerate(children):
        child.since = time.monotonic() + number

    gone = [pair for child in children for pair in waiting.keep(child)]

    assert gone == [(children[0], "room")]
    assert waiting.make_room(POLICY.most) == [(children[1], "room")]
    assert waiting.make_room(POLICY.most - 1) == []
    assert list(waiting) == [fresh, children[2]]


async def test_when_memory_is_short_all_that_wait_go(make: Make):
    pressed = False
    waiting = Residents(POLICY, pressed=lambda: pressed)
    child, _ = make("mine", "a")
    waiting.keep(child)
    assert waiting.stale() == []

    pressed = True

    assert waiting.stale() == [(child, "pressure")]


async def test_one_for_everybody_waits_as_long_as_it_is_fresh(make: Make):
    waiting = Residents(POLICY)
    child, _ = make("fresh", None)
    child.since -= POLICY.rest.total_seconds() + 1
    waiting.spare(child)
    assert waiting.stale() == []

    child.born -= POLICY.age.total_seconds()

    assert waiting.stale() == [(child, "age")]


RESTED = Rested(runs=1, own_kb=100)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([Answered(text="x"), RESTED], None),
        ([Failed(word="model-rate-limited", detail=""), RESTED], None),
        ([Failed(word="model-timeout", detail=""), RESTED], "cut-short"),
        ([Failed(word="engine-failed", detail=""), RESTED], "failed"),
        ([Failed(word="redaction-failed", detail=""), RESTED], "failed"),
        ([Step(number=1)], "failed"),
        ([Answered(text="x"), RESTED.model_copy(update={"threads": 1})], "thread"),
        ([Answered(text="x"), RESTED.model_copy(update={"own_kb": 1 << 21})], "memory"),
        ([Answered(text="x"), RESTED.model_copy(update={"runs": 10})], "runs"),
        ([Answered(text="x"), Step(number=2)], "bad-frame"),
        ([Answered(text="x"), b"\0\0\0\0"], "bad-frame"),
        ([Answered(text="x"), None], "killed"),
        ([b"\xff\xff\xff\xff"], "bad-frame"),
    ],
)
async def test_whatever_a_run_was_a_child_rests_or_there_is_a_reason_why_not(
    make: Make, said: list[BaseModel | bytes | None], why: Why | None
):
    child, theirs = make()
    for one in said:
        if one is None:
            theirs.close()
        else:
            theirs.sendall(one if isinstance(one, bytes) else encode(one))
    try:
        await child.receive()
    except BadFrame:
        assert why == "bad-frame"

    assert await child.rest(POLICY, cut_short=False) == why


async def test_a_run_that_was_cut_short_is_its_childs_last_whatever_it_said(make: Make):
    child, theirs = make()
    theirs.sendall(encode(Answered(text="x")) + encode(RESTED))
    await child.receive()

    assert await child.rest(POLICY, cut_short=True) == "cut-short"


async def test_a_child_that_does_not_come_to_rest_is_not_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "REST_WITHIN", 0.05)
    child, theirs = make()
    theirs.sendall(encode(Answered(text="x")))
    await child.receive()

    assert await child.rest(POLICY, cut_short=False) == "restless"


async def test_a_child_for_one_run_is_done_after_it(make: Make):
    child, theirs = make(reach="")
    theirs.sendall(encode(Probed(tools=True)) + encode(RESTED))
    await child.receive()

    assert await child.rest(POLICY, cut_short=False) == "single"


async def test_messages_that_arrive_together_or_in_pieces_are_read_one_by_one():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        frames = Frames(ours)
        assert not frames.pending
        together = encode(Step(number=1)) + encode(Step(number=2))
        theirs.sendall(together[:-3])
        assert await frames.next(FROM_CHILD) == Step(number=1)
        assert frames.pending
        later = asyncio.create_task(frames.next(FROM_CHILD))
        await asyncio.sleep(0)
        theirs.sendall(together[-3:])
        assert await later == Step(number=2)
        theirs.close()
        with pytest.raises(Closed):
            await frames.next(FROM_CHILD)
