"""One loop takes up reloads, tells of this process, and keeps what routes answer from, also while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from libs.storage import StorageUnavailable
from services.holmesgpt_api.adapters.gatherings import Gatherings, Word
from services.holmesgpt_api.adapters.steering import Steering, read
from services.holmesgpt_api.domain.overview import Seen, Tally
from services.holmesgpt_api.domain.record import Asked
from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.settings import Settings
from services.holmesgpt_api.steps.oversee import Conclusions, Overseer

pytestmark = pytest.mark.requirement("HAPI-024", "HAPI-019")


@dataclass
class FakeGatherings:
    said: Word = field(default_factory=lambda: Word(0, "", True))
    away: bool = False
    presences: list[tuple[int, str, str, Sequence[Tally]]] = field(default_factory=list)
    left: bool = False

    def _serve(self) -> None:
        if self.away:
            raise StorageUnavailable("unreachable", "test", retry_after=timedelta(seconds=1))

    async def word(self) -> Word:
        self._serve()
        return self.said

    async def announce(self, digest: str, by: str) -> int:
        self._serve()
        self.said = Word(self.said.version + 1, digest, self.said.monitoring)
        return self.said.version

    async def want(self, *, monitoring: bool, by: str) -> None:
        self._serve()
        self.said = Word(self.said.version, self.said.digest, monitoring)

    async def present(self, version: int, digest: str, fault: str, tallies: Sequence[Tally]) -> None:
        self._serve()
        self.presences.append((version, digest, fault, tallies))

    async def leave(self) -> None:
        self.left = True

    async def seen(self) -> Seen:
        self._serve()
        return Seen(at=len(self.presences))


class Scene:
    def __init__(self, folder: Path, **options: Any) -> None:
        self.file = folder / "c.yaml"
        self.write("a")
        settings = Settings.model_validate(
            {"database_url": "postgresql://h/d", "llm_model": None, "config_file": self.file}
        )
        current = read(settings)
        self.roster, self.gatherings = Roster(current.entries), FakeGatherings()
        steering = Steering(settings, current, adopt=lambda new: self.roster.replace(new.entries))
        self.overseer = Overseer(steering, cast(Gatherings, self.gatherings), roster=self.roster, **options)

    def write(self, model: str) -> None:
        self.file.write_text(f"llm: {{primary: {{provider: openai, model: {model}}}}}")


async def test_a_reload_elsewhere_is_taken_up_here(tmp_path: Path):
    scene = Scene(tmp_path)
    await scene.overseer.turn()
    scene.write("b")
    digest = (await scene.overseer.steering.look()).digest
    scene.gatherings.said = Word(5, digest, True)

    await scene.overseer.turn()

    assert scene.roster.first.model == "openai/b"
    version, digest_told, fault, tallies = scene.gatherings.presences[-1]
    assert (version, digest_told, fault) == (5, digest, "")
    assert [one.name for one in tallies] == ["primary"]


async def test_a_process_begins_with_its_file_and_tells_when_it_is_another_than_the_last_announced(
    tmp_path: Path,
):
    same, other = Scene(tmp_path), Scene(tmp_path)
    same.gatherings.said = Word(5, same.overseer.current.digest, True)
    other.gatherings.said = Word(5, "another", True)

    for scene in (same, other):
        await scene.overseer.turn()
        await scene.overseer.turn()

    (version, _, fault, _), (other_version, _, other_fault, _) = (
        scene.gatherings.presences[-1] for scene in (same, other)
    )
    assert (version, fault, other_version) == (5, "", 5)
    assert "another was announced last: reload" in other_fault
    assert other.roster.first.model == "openai/a"


async def test_a_reload_here_is_announced_and_counted(tmp_path: Path):
    scene = Scene(tmp_path)
    scene.write("b")

    current, differs, restart = await scene.overseer.reload("ana")

    assert (current.version, differs, restart) == (1, ["llm"], [])
    assert scene.gatherings.said.digest == current.digest
    assert scene.roster.first.model == "openai/b"


async def test_a_reload_that_nobody_can_be_told_of_changes_nothing(tmp_path: Path):
    scene = Scene(tmp_path)
    scene.write("b")
    scene.gatherings.away = True

    with pytest.raises(StorageUnavailable):
        await scene.overseer.reload("ana")

    assert (scene.overseer.current.version, scene.roster.first.model) == (0, "openai/a")


async def test_what_was_seen_stays_while_the_database_is_away_and_availability_is_told(tmp_path: Path):
    fine = True
    scene = Scene(tmp_path, look=True, fine=lambda: fine)
    await scene.overseer.turn()
    seen = scene.overseer.seen
    scene.gatherings.away, fine = True, False

    await scene.overseer.turn()

    assert seen is not None
    assert scene.overseer.seen is seen
    assert scene.overseer.share_fine == 0.5


async def test_monitoring_is_switched_for_all(tmp_path: Path):
    scene = Scene(tmp_path)

    await scene.overseer.monitor(False, "ana")
    assert scene.gatherings.said.monitoring is False
    await scene.overseer.turn()

    assert scene.overseer.monitoring is False


async def test_a_process_that_ends_takes_its_word_back(tmp_path: Path):
    scene, stop = Scene(tmp_path), asyncio.Event()
    task = asyncio.create_task(scene.overseer.run(stop))
    while not scene.gatherings.presences:
        await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(task, 5)

    assert scene.gatherings.left


@pytest.mark.requirement("HAPI-BR-HEALTH-021")
def test_accuracy_counts_runs_whose_model_answered():
    conclusions = Conclusions()
    for outcome in ("concluded", "concluded", "model-garbage", "model-unreachable", "budget-run-tokens"):
        conclusions.asked(Asked(outcome, None))

    assert (conclusions.stood, conclusions.fell) == (2, 1)
