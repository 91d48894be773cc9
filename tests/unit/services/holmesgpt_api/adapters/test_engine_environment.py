"""What an operator has set becomes the engine's rules; unset, memory decides."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.holmesgpt_api.adapters import engine_environment as module
from services.holmesgpt_api.adapters.engine_environment import environment, policy, residents
from services.holmesgpt_api.settings_engine import EngineSettings

pytestmark = pytest.mark.requirement("HAPI-136", "HAPI-137")


def settings(**values: Any) -> EngineSettings:
    return EngineSettings.model_validate(values)


def test_as_many_wait_as_there_are_places_unless_told_otherwise():
    unset = policy(settings(), places=7)
    told = policy(settings(engine_idle_children=0, engine_spare_children=9), places=7)

    assert (unset.idle, unset.most, unset.spare) == (7, 7, 1)
    assert (told.idle, told.most, told.spare) == (0, 7, 7)


def test_bounds_are_in_the_units_of_their_names():
    made = policy(
        settings(engine_child_memory=64, engine_child_age=60, engine_child_idle=5, engine_child_runs=9),
        places=1,
    )

    assert (made.memory, made.runs) == (64 * 1024 * 1024, 9)
    assert (made.age, made.rest) == (timedelta(minutes=1), timedelta(seconds=5))


@pytest.mark.parametrize(("share", "pressed"), [(0.79, False), (0.8, True), (None, False)])
def test_memory_is_short_from_the_share_on_that_was_set(
    monkeypatch: pytest.MonkeyPatch, share: float | None, pressed: bool
):
    monkeypatch.setattr(module, "used", lambda: share)

    assert residents(settings(engine_memory_high=0.8), 1, lambda _: None).pressed is pressed


def test_the_engine_is_given_an_address_for_ollama_only_where_there_is_one():
    seen = environment({"PATH": "/bin"}, home=Path("/home"), base_url="http://ollama")

    assert (seen["PATH"], seen["HOME"], seen["OLLAMA_API_BASE"]) == ("/bin", "/home", "http://ollama")
    assert "OLLAMA_API_BASE" not in environment({}, home=Path("/home"), base_url=None)
