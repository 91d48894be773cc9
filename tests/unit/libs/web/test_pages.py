"""Kept answers: whose they are, how old they may be, who makes them, and what they take."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.cache import MemoryCache, Sealed
from libs.web.pages import Far, Pages, Patience, hit_ratio
from tests.fakes.lying_cache import LyingCache
from tests.fakes.turns import MemoryTurns
from tests.support.clock import Clock
from tests.support.paging import SECRET, STALE, TTL, Making, Process, caller, lifetime, process, settled

pytestmark = pytest.mark.requirement("API-BR-CAPI-003", "API-BR-CAPI-012", "API-BR-PERF-011")

names = st.sampled_from(["a", "b", "a b", "a:b", "1:a", "*", "", "a*", "shop", "1:a1:b"])
tenants = st.sampled_from(["a", "b", "1:a", "default", "a1", "ab"])
texts = st.text(max_size=8) | names
questions = st.tuples(
    texts,
    tenants,
    st.lists(names, max_size=4).map(tuple),
    texts.map(lambda text: "/" + text),
    st.binary(max_size=8) | names.map(str.encode),
)
Question = tuple[str, str, tuple[str, ...], str, bytes]


def pages_about(identity: str, secret: bytes = SECRET) -> Pages:
    return process(Clock(), identity=identity, secret=secret).pages


def key_of(question: Question, secret: bytes = SECRET) -> bytes | None:
    identity, tenant, namespaces, path, query = question
    return pages_about(identity, secret).key(caller(tenant, namespaces), path, query)


def meaning(question: Question) -> object:
    """The question with its namespaces as rights: whoever may read all of them may read all of them."""
    identity, tenant, namespaces, path, query = question
    rights = frozenset({"*"}) if "*" in namespaces else frozenset(namespaces)
    return identity, tenant, rights, path, query


@given(questions, questions)
def test_two_questions_have_one_key_exactly_when_they_are_the_same(one: Question, other: Question):
    if not one[0] or not other[0]:
        return  # about nothing; below
    assert (key_of(one) == key_of(other)) is (meaning(one) == meaning(other))


@given(questions.filter(lambda question: bool(question[0])), st.data())
def test_changing_any_one_part_of_a_question_changes_its_key(question: Question, data: st.DataObject):
    part = data.draw(st.integers(min_value=0, max_value=4))
    other = data.draw(questions.filter(lambda drawn: bool(drawn[0])))
    changed = tuple(other[n] if n == part else question[n] for n in range(5))

    assert (key_of(changed) == key_of(question)) is (meaning(changed) == meaning(question))  # type: ignore[arg-type]


def test_another_tenant_with_the_same_rights_has_another_key():
    pages = pages_about("cluster")

    assert pages.key(caller("a"), "/x", b"") != pages.key(caller("b"), "/x", b"")


def test_two_people_with_the_same_rights_share():
    pages = pages_about("cluster")
    mine, yours = caller(namespaces=("a", "b"), name="x"), caller(namespaces=("b", "a", "a"), name="y")

    assert pages.key(mine, "/x", b"") == pages.key(yours, "/x", b"")


def test_another_secret_gives_other_keys():
    question: Question = ("cluster", "default", ("*",), "/x", b"")

    assert key_of(question) != key_of(question, b"o" * 32)


def test_about_nothing_known_nothing_is_kept():
    assert key_of(("", "default", ("*",), "/x", b"")) is None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alone(clock: Clock) -> Process:
    return process(clock)


async def test_an_answer_is_made_once_and_then_given(alone: Process, clock: Clock):
    making = Making()

    given = []
    for _ in range(4):
        given.append(await alone.body(making))
        clock.advance(TTL / 4)

    assert given == [b"answer 1"] * 4
    assert alone.outcomes == {"made": 1, "near": 3}


async def test_past_its_time_it_is_given_once_more_and_made_anew_behind(alone: Process, clock: Clock):
    making = Making()
    await alone.get(making)
    clock.advance(TTL + 1)

    got = await alone.get(making)
    await settled(alone)
    after = await alone.get(making)

    assert (got.outcome, got.page and got.page.body) == ("stale", b"answer 1")
    assert got.page is not None
    assert got.page.age(clock.now) > got.page.ttl
    assert (after.outcome, after.page and after.page.body) == ("near", b"answer 2")


async def test_many_who_are_given_a_stale_one_make_it_anew_once(alone: Process, clock: Clock):
    making = Making()
    await alone.get(making)
    clock.advance(TTL + 1)
    making.go = asyncio.Event()

    given = [(await alone.get(making)).outcome for _ in range(5)]
    making.go.set()
    await settled(alone)

    assert given == ["stale"] * 5
    assert making.count == 2


async def test_long_past_its_time_who_asks_waits_for_a_new_one(alone: Process, clock: Clock):
    making = Making()
    await alone.get(making)
    clock.advance(TTL + STALE)

    assert await alone.body(making) == b"answer 2"


async def test_evidence_that_was_old_already_shortens_the_time(alone: Process, clock: Clock):
    making = Making(age=TTL - 2)
    await alone.get(making)
    clock.advance(2.5)

    assert (await alone.get(making)).outcome == "stale"


async def test_a_partial_answer_is_given_for_its_own_short_time_only(alone: Process, clock: Clock):
    making = Making(partial=True)
    await alone.get(making)
    clock.advance(1)
    near = await alone.get(making)
    clock.advance(1)

    assert near.outcome == "near"
    assert await alone.body(making) == b"answer 2"


@pytest.mark.parametrize("status", [404, 403, 503, 500, 204])
async def test_what_is_no_answer_is_passed_on_and_not_kept(alone: Process, status: int):
    making = Making(status=status)

    first, second = await alone.get(making), await alone.get(making)

    assert first.raw is not None
    assert (first.outcome, first.page, first.raw.status) == ("not-kept", None, status)
    assert (second.raw and second.raw.body) == b"answer 2"


async def test_an_error_is_told_to_who_asked_and_not_kept(alone: Process):
    broken = Making(fails=RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await alone.get(broken)

    assert await alone.body(Making()) == b"answer 1"


async def test_who_asks_while_it_is_made_waits_for_it(alone: Process):
    making = Making(go=asyncio.Event())
    asked = [asyncio.create_task(alone.get(making)) for _ in range(20)]
    await making.begun.wait()
    await asyncio.sleep(0)
    assert making.go is not None
    making.go.set()

    bodies = {got.page.body for got in await asyncio.gather(*asked) if got.page is not None}

    assert bodies == {b"answer 1"}
    assert alone.outcomes == {"made": 1, "shared": 19}


async def test_who_cannot_wait_for_another_asks_for_themselves(alone: Process):
    slow = Making(go=asyncio.Event())
    waiting = asyncio.create_task(alone.get(slow))
    await slow.begun.wait()

    got = await alone.get(Making(body=b"mine"), within=0.01)
    assert slow.go is not None
    slow.go.set()

    assert (got.outcome, got.raw and got.raw.body) == ("not-kept", b"mine")
    assert (await waiting).outcome == "made"


@pytest.mark.parametrize("end", ["cancelled", "failed"])
async def test_who_waits_for_one_that_gives_up_asks_for_themselves(alone: Process, end: str):
    slow = Making(go=asyncio.Event(), fails=RuntimeError() if end == "failed" else None)
    first = asyncio.create_task(alone.get(slow))
    await slow.begun.wait()
    second = asyncio.create_task(alone.get(Making(body=b"mine")))
    await asyncio.sleep(0)
    assert slow.go is not None
    if end == "cancelled":
        first.cancel()
    else:
        slow.go.set()
    await asyncio.wait({first})

    got = await second
    assert got.raw is not None
    assert got.raw.body == b"mine"
    if not first.cancelled():
        assert isinstance(first.exception(), RuntimeError)


async def test_a_caller_who_wants_none_that_was_kept_gets_a_new_one_and_leaves_it(alone: Process):
    making = Making()
    await alone.get(making)

    anew = await alone.get(making, anew=True)

    assert anew.page is not None
    assert (anew.outcome, anew.page.body) == ("made", b"answer 2")
    assert await alone.body(making) == b"answer 2"


async def test_memory_is_bounded_and_the_longest_unused_goes_first(clock: Clock):
    small = process(clock, near_bytes=10_000)
    making = Making(body=b"x" * 900)
    for number in range(6):
        await small.get(making, f"/{number}")
    await small.get(making, "/0")  # the oldest but one is used again
    await small.get(making, "/6")

    assert small.pages.bytes <= 10_000
    assert small.pages.evicted == 1
    assert (await small.get(making, "/0")).outcome == "near"
    assert (await small.get(making, "/1")).outcome == "made"


async def test_one_page_does_not_empty_the_shelf_for_all_others(clock: Clock):
    small = process(clock, near_bytes=10_000)
    await small.get(Making(), "/small")
    huge = await small.get(Making(body=bytes(range(256)) * 40), "/huge")

    assert huge.outcome == "made"
    assert (await small.get(Making(), "/small")).outcome == "near"
    assert small.pages.bytes < 10_000


async def test_a_clock_set_back_makes_nothing_younger(alone: Process, clock: Clock):
    making = Making()
    await alone.get(making)
    clock.advance(-3600)

    assert await alone.body(making) == b"answer 2"


async def test_a_stop_ends_what_is_done_behind(alone: Process, clock: Clock):
    making = Making()
    await alone.get(making)
    clock.advance(TTL + 1)
    making.go = asyncio.Event()
    await alone.get(making)
    making.begun.clear()

    async with asyncio.timeout(5):
        await alone.pages.close()


class Replicas:
    """Two processes and what they share."""

    def __init__(self, clock: Clock, **patience: timedelta) -> None:
        self.store = LyingCache(MemoryCache(max_entries=1000, max_bytes=10_000_000, clock=clock))
        self.turns = MemoryTurns()
        self.faults: list[str] = []
        waits = Patience(**{"others": timedelta(seconds=30), "look": timedelta(milliseconds=5), **patience})
        self.one, self.other = (process(clock, self.far(), patience=waits) for _ in range(2))

    def far(self) -> Far:
        cache = Sealed(self.store, SECRET, largest=1_000_000, on_fault=self.faults.append)
        return Far(cache, self.turns)


@pytest.fixture
def two(clock: Clock) -> Replicas:
    return Replicas(clock)


async def test_what_one_replica_made_the_other_gives(two: Replicas):
    first, second = Making(), Making()
    await two.one.get(first)
    await settled(two.one)

    got = await two.other.get(second)

    assert got.page is not None
    assert (got.outcome, got.page.body, second.count) == ("far", b"answer 1", 0)


async def test_near_it_is_given_for_a_second_without_asking_far(two: Replicas, clock: Clock):
    making = Making()
    await two.one.get(making)
    await settled(two.one)
    asked = two.store.asked

    for _ in range(10):
        clock.advance(0.09)
        assert (await two.one.get(making)).outcome == "near"
    before = two.store.asked
    clock.advance(0.2)
    again = await two.one.get(making)

    assert before == asked
    assert (again.outcome, two.store.asked) == ("far", asked + 1)


async def test_a_newer_page_of_the_other_replaces_the_own_within_a_second(two: Replicas, clock: Clock):
    await two.one.get(Making())
    await settled(two.one)
    clock.advance(0.5)
    await two.other.get(Making(body=b"newer"), anew=True)
    await settled(two.other)
    clock.advance(0.6)

    assert await two.one.body(Making()) == b"newer"


async def test_replicas_that_ask_at_once_make_it_once(two: Replicas):
    making = Making(go=asyncio.Event())
    asked = [asyncio.create_task(one.get(making)) for one in (two.one, two.other) for _ in range(5)]
    await making.begun.wait()
    await asyncio.sleep(0.02)
    assert making.go is not None
    making.go.set()

    bodies = {got.page.body for got in await asyncio.gather(*asked) if got.page is not None}

    assert (bodies, making.count) == ({b"answer 1"}, 1)


async def test_a_replica_that_never_comes_back_with_it_is_waited_for_only_so_long(clock: Clock):
    two = Replicas(clock, others=timedelta(milliseconds=200))
    await two.turns.take((two.one.pages.key(caller(), "/a", b"") or b"").hex(), timedelta(seconds=10))
    began = asyncio.get_running_loop().time()

    got = await two.one.get(Making())

    assert got.outcome == "made"
    assert 0.2 <= asyncio.get_running_loop().time() - began < 5


async def test_the_turn_is_given_back_after_the_answer_is_there_and_after_an_error_too(two: Replicas):
    await two.one.get(Making())
    with pytest.raises(RuntimeError):
        await two.one.get(Making(fails=RuntimeError()), "/b")
    await two.one.get(Making(status=404), "/c")
    await settled(two.one)

    assert two.turns.held == {}


async def test_a_stale_page_is_made_anew_by_one_replica(two: Replicas, clock: Clock):
    making = Making()
    await two.one.get(making)
    await two.other.get(making)
    await settled(two.one, two.other)
    clock.advance(TTL + 1)
    making.go = asyncio.Event()

    given = [(await one.get(making)).outcome for one in (two.one, two.other)]
    making.go.set()
    await settled(two.one, two.other)

    assert (given, making.count) == (["stale", "stale"], 2)


async def test_a_renewal_that_fails_leaves_the_page_and_the_next_question_tries_again(
    two: Replicas, clock: Clock
):
    await two.one.get(Making())
    clock.advance(TTL + 1)
    broken = Making(fails=RuntimeError("away"))
    for _ in range(2):
        assert (await two.one.get(broken)).outcome == "stale"
        await settled(two.one)

    assert (broken.count, two.turns.held) == (2, {})


LIES = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "foreign": lambda _: b'{"somebody": "else"}',
    "of-the-next-version": lambda data: b"KN\x02" + data[3:],
    "forgotten": lambda _: None,
}


@pytest.mark.requirement("API-BR-REL-006", "API-BR-REL-007")
@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_store_changes_no_answer(two: Replicas, clock: Clock, lie: str):
    two.store.lie = LIES[lie]  # type: ignore[assignment]
    first, second = Making(body=b"one"), Making(body=b"other")
    await two.one.get(first)
    await settled(two.one)

    assert await two.one.body(first) == b"one"
    clock.advance(1.5)
    assert await two.one.body(first) == b"one"
    assert await two.other.body(second) == b"other"


@pytest.mark.requirement("API-BR-REL-006", "API-BR-CAPI-018")
async def test_a_store_that_gives_one_tenants_bytes_for_anothers_key_is_not_believed(two: Replicas):
    pages = two.one.pages
    theirs = pages.key(caller("theirs"), "/a", b"")
    mine = two.other.pages.key(caller("mine"), "/a", b"")
    assert mine is not None
    assert theirs is not None
    patient = timedelta(seconds=5)
    await pages.get(theirs, "evidence", Making(body=b"theirs").ask, within=patient)
    await settled(two.one)
    (stored,) = two.store.kept.values()
    two.store.instead = stored

    got = await two.other.pages.get(mine, "evidence", Making(body=b"mine").ask, within=patient)
    await settled(two.other)
    again = process(Clock(), two.far()).pages
    same = again.key(caller("mine"), "/a", b"")
    assert same == mine
    late = await again.get(same, "evidence", Making(body=b"mine still").ask, within=patient)

    assert got.page is not None
    assert late.page is not None
    assert (got.page.body, late.page.body) == (b"mine", b"mine still")
    assert set(two.faults) == {"not-ours"}


async def test_a_store_that_forgot_everything_costs_nothing_but_time(two: Replicas, clock: Clock):
    making = Making()
    await two.one.get(making)
    await settled(two.one)
    two.store.kept.clear()
    clock.advance(1.5)

    got = await two.one.get(making)

    assert (got.outcome, making.count) == ("near", 1)


async def test_when_the_evidence_becomes_another_nothing_of_the_old_is_given(clock: Clock):
    names = ["first"]
    pages = Pages(
        secret=SECRET, identity=lambda: names[-1], lifetimes=lifetime, observe=lambda *_: None,
        near_bytes=1_000_000, clock=clock,
    )  # fmt: skip
    patient = timedelta(seconds=5)
    old = pages.key(caller(), "/a", b"")
    assert old is not None
    await pages.get(old, "evidence", Making(body=b"old").ask, within=patient)
    names.append("second")
    other = pages.key(caller(), "/b", b"")
    assert other is not None
    unkept = await pages.get(other, "evidence", Making(body=b"seen now").ask, within=patient)

    assert (unkept.outcome, unkept.raw and unkept.raw.body) == ("not-kept", b"seen now")
    assert pages.key(caller(), "/a", b"") != old


def test_the_hit_ratio_counts_what_was_not_made():
    assert hit_ratio({"near": 6, "far": 1, "stale": 1, "made": 1, "not-kept": 1}) == 0.8
    assert hit_ratio({"near": 0}) == 0.0
