"""The recorded cluster as a source: what it says while it is read, when it cannot be, and when it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.context_api.adapters import recorded
from services.context_api.adapters.recorded import NoSource, RecordedCluster
from services.context_api.adapters.recording import UnreadableRecording
from services.context_api.domain.errors import NoEvidence
from services.context_api.domain.ports import Connectivity
from services.context_api.domain.snapshot import Snapshot
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "HAPI-BR-HEALTH-020")

PATH = Path("/srv/recording")
SNAPSHOT = kube.snapshot(kube.pod("a"))
LONG, SHORT = timedelta(seconds=30), timedelta(milliseconds=20)


class Reading:
    """Stands for reading files: ends when it is let go, with a snapshot or an error."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.error: Exception | None = None
        self.count = 0

    def __call__(self, path: Path) -> Snapshot:
        self.count += 1
        self.go.wait(30)
        if self.error:
            raise self.error
        return SNAPSHOT


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    made = Reading()
    monkeypatch.setattr(recorded, "load_recording", made)
    return made


@pytest.fixture
async def source(reading: Reading) -> AsyncIterator[RecordedCluster]:
    made = RecordedCluster(PATH)
    made.start()
    yield made
    reading.go.set()
    await made.stop()


async def test_the_recording_is_read_once_for_everybody(source: RecordedCluster, reading: Reading):
    reading.go.set()

    seen = await asyncio.gather(*(source.snapshot(LONG) for _ in range(5)))

    assert all(one is SNAPSHOT for one in seen)
    assert reading.count == 1
    assert source.state.connectivity is Connectivity.healthy


async def test_who_cannot_wait_is_told_that_it_comes(source: RecordedCluster, reading: Reading):
    with pytest.raises(NoEvidence, match="is being read") as told:
        await source.snapshot(SHORT)
    before = source.state.connectivity
    reading.go.set()

    assert told.value.retry_after is not None
    assert before is Connectivity.unavailable
    assert await source.snapshot(LONG) is SNAPSHOT


async def test_a_recording_that_cannot_be_read_is_a_fact_and_not_a_wait(
    source: RecordedCluster, reading: Reading
):
    reading.error = UnreadableRecording(PATH, "no Kubernetes object in it")
    reading.go.set()

    with pytest.raises(NoEvidence, match="no Kubernetes object") as told:
        await source.snapshot(LONG)

    assert told.value.retry_after is None
    assert source.state.connectivity is Connectivity.unhealthy
    assert "start the service again" in source.state.reason


async def test_before_it_is_started_there_is_nothing():
    source = RecordedCluster(PATH)

    with pytest.raises(NoEvidence):
        await source.snapshot(SHORT)
    assert source.state.connectivity is Connectivity.unavailable
    await source.stop()


async def test_where_nothing_is_set_it_says_what_to_set():
    source = NoSource("set RECORDED_CLUSTER")

    with pytest.raises(NoEvidence, match="set RECORDED_CLUSTER") as told:
        await source.snapshot(LONG)

    assert told.value.retry_after is None
    assert (source.state.connectivity, source.state.reason) == (
        Connectivity.unavailable,
        "set RECORDED_CLUSTER",
    )
