"""A child between two runs knows what the one before has left, and begins none that is not of its reach."""

from __future__ import annotations

import contextvars
import gc
import mmap
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.holmesgpt_api.engine import resident as module
from services.holmesgpt_api.engine.resident import OtherReach, Resident, own_kb, rss_kb

pytestmark = pytest.mark.requirement("HAPI-137", "HAPI-139")


@pytest.fixture(autouse=True)
def named() -> Iterator[None]:
    """The tests' process gets its name back."""
    comm = Path("/proc/self/comm")
    before = comm.read_text().strip() if comm.exists() else ""
    yield
    module.name(before.encode())


@pytest.mark.skipif(sys.platform != "linux", reason="processes have such names on Linux alone")
def test_its_name_says_whether_it_is_at_a_run():
    comm = Path("/proc/self/comm")
    resident = Resident()
    waiting = comm.read_text().strip()

    resident.begin("a")
    running = comm.read_text().strip()
    resident.rest()

    assert (waiting, running, comm.read_text().strip()) == ("holmes-idle", "holmes-busy", "holmes-idle")


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("a", ""), ("", "a"), ("", "")])
def test_a_run_of_another_reach_or_of_none_is_not_begun(first: str, second: str):
    resident = Resident()
    resident.begin(first)
    resident.rest()

    with pytest.raises(OtherReach):
        resident.begin(second)


def test_runs_of_its_reach_are_counted_with_what_it_has_in_memory():
    resident = Resident(measure_every=2)
    for number in range(1, 5):
        resident.begin("a")
        rested = resident.rest()

        assert rested.runs == number
        assert rested.threads == 0
        assert (rested.own_kb > 1000) is (sys.platform == "linux")


def test_memory_that_a_run_leaves_shows_at_once_and_not_only_when_it_is_measured_exactly():
    resident = Resident(measure_every=1000)
    resident.begin("a")
    before = resident.rest().own_kb
    resident.begin("a")
    # Straight from the system: an allocator may hand out what an earlier test gave back, and nothing grows.
    with mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as leaked:
        leaked.write(b"x" * len(leaked))

        assert resident.rest().own_kb - before > 60_000 or not Path("/proc/self/statm").exists()


def test_a_thread_that_a_run_leaves_behind_is_told_and_one_that_is_ending_is_not(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "LAST_OF_A_THREAD", 0.1)
    resident, over = Resident(), threading.Event()
    resident.begin("a")
    ending = threading.Thread(target=lambda: over.wait(0.02))
    ending.start()
    assert resident.rest().threads == 0

    resident.begin("a")
    staying = threading.Thread(target=over.wait)
    staying.start()
    left = resident.rest().threads
    over.set()
    staying.join()

    assert left == 1


class _Thing:
    """Refers to itself, so that only the collector can end it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_refers_to_itself_is_gone_after_the_run():
    resident = Resident()
    resident.begin("a")
    gc.disable()
    try:
        gone = weakref.ref(_Thing())
        resident.rest()
    finally:
        gc.enable()

    assert gone() is None


def test_what_libraries_keep_for_the_context_of_a_run_ends_with_it():
    kept: contextvars.ContextVar[str] = contextvars.ContextVar("kept", default="nothing")

    Resident().run(lambda: kept.set("something") and None)

    assert kept.get() == "nothing"


def test_what_libraries_keep_is_forgotten_before_the_rest_is_told():
    forgotten: list[str] = []
    resident = Resident(forget=lambda: forgotten.append("it"))
    resident.begin("a")

    resident.rest()

    assert forgotten == ["it"]


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_what_it_has_for_itself_is_less_than_what_it_has_mapped():
    assert 0 < own_kb() < rss_kb()
