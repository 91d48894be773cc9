"""A configuration is taken up whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.holmesgpt_api.adapters.config_file import BadConfiguration
from services.holmesgpt_api.adapters.steering import Current, Steering, changed, needs_restart, read, told
from services.holmesgpt_api.domain.budget import Limit
from services.holmesgpt_api.settings import Settings

pytestmark = pytest.mark.requirement("HAPI-024", "HAPI-149")

MODEL = "llm: {primary: {provider: openai, model: %s}}\n"


def write(file: Path, text: str) -> None:
    file.write_text(text)


def settings(file: Path | None, **others: Any) -> Settings:
    return Settings.model_validate(
        {"database_url": "postgresql://h/d", "llm_model": None, "config_file": file, **others}
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(
        MODEL % "a" + "budgets: {run_tokens: 7}\nholmesgpt: {enabled_toolsets: [prometheus, internet]}\n"
    )
    return path


def test_models_budgets_and_toolsets_come_of_the_file_and_the_environment(file: Path):
    current = read(settings(file, budget_run_cost_usd=0))

    assert [one.access.model for one in current.entries] == ["openai/a"]
    assert current.limits.run == Limit(7, None)
    assert current.toolsets.enabled == ("prometheus",)
    assert "internet" in current.not_honoured["holmesgpt.enabled_toolsets"]
    assert told(current.limits)["run"] == {"tokens": 7, "cost_usd": None, "steps": None, "seconds": None}


@pytest.mark.requirement("HAPI-163")
def test_a_days_steps_and_seconds_are_shown_and_a_tenant_may_have_its_own(file: Path):
    write(
        file,
        "budgets:\n  run_steps: 9\n  tenant_steps_per_day: 0\n  tenant_seconds_per_day: PT1H\n"
        "  tenants: {trial: {steps_per_day: 40, seconds_per_day: 600}, vip: {seconds_per_day: 0}}\n",
    )

    limits = read(settings(file, budget_tenant_steps_per_day=5, budget_run_seconds=30)).limits

    assert told(limits) == {
        "run": {"tokens": 400_000, "cost_usd": 2.0, "steps": 9, "seconds": 30.0},
        "tenant_per_day": {"tokens": 20_000_000, "cost_usd": 50.0, "steps": None, "seconds": 3600.0},
        "tenants_with_their_own": 2,
    }
    assert limits.of("trial") == Limit(steps=40, seconds=600.0)
    assert limits.of("vip") == Limit()


@pytest.mark.requirement("HAPI-163")
def test_without_a_word_steps_and_seconds_are_not_limited():
    limits = read(settings(None)).limits

    assert (limits.run.steps, limits.run.seconds, limits.day.steps, limits.day.seconds) == (None,) * 4


@pytest.mark.requirement("HAPI-163")
def test_no_seconds_are_no_limit_for_the_environment_as_for_the_file():
    limits = read(settings(None, budget_run_seconds="0", budget_tenant_seconds_per_day="0")).limits

    assert (limits.run.seconds, limits.day.seconds) == (None, None)


def test_what_the_environment_says_in_vain_is_told_beside_what_the_file_does(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("jwt_algorithm", "HS256")
    monkeypatch.setenv("LOG_FILE", "")

    told = read(settings(file, default_toolsets=["prometheus", "bash"])).not_honoured

    assert {"holmesgpt.enabled_toolsets", "JWT_ALGORITHM", "HOLMESGPT_DEFAULT_TOOLSETS"} <= set(told)
    assert "LOG_FILE" not in told, "an empty variable says nothing"
    assert "HS256" not in str(told)


def test_the_environments_toolsets_count_before_the_files(file: Path):
    assert read(settings(file, toolsets=["kubernetes"])).toolsets.enabled == ("kubernetes",)


def test_an_unknown_toolset_is_refused_at_start():
    with pytest.raises(BadConfiguration, match="no toolset kubernets"):
        read(settings(None, toolsets=["kubernets"]))


async def test_an_announced_version_is_taken_up_when_the_file_is_the_announced_one(file: Path):
    taken = list[Current]()
    steering = Steering(settings(file), read(settings(file)), adopt=taken.append)
    write(file, MODEL % "b")
    announced = (await steering.look()).digest

    await steering.follow(3, announced)
    await steering.follow(3, announced)

    assert (steering.current.version, steering.fault) == (3, "")
    assert [one.entries[0].access.model for one in taken] == ["openai/b"]


async def test_a_file_that_has_not_arrived_here_yet_is_waited_for(file: Path):
    steering = Steering(settings(file), read(settings(file)))

    await steering.follow(1, "another")
    assert "another was announced: waiting" in steering.fault
    assert steering.current.version == 0
    await steering.follow(2, steering.current.digest)

    assert (steering.current.version, steering.fault) == (2, "")


@pytest.mark.requirement("HAPI-147")
async def test_a_bad_file_leaves_what_was_there_and_says_why(file: Path):
    steering = Steering(settings(file), read(settings(file)))
    before = steering.current
    write(file, "llm: {primary: {provider: clippy, model: a}}")

    await steering.follow(1, "x")

    assert steering.current is before
    assert "llm.primary.provider" in steering.fault
    with pytest.raises(BadConfiguration):
        await steering.look()


@pytest.mark.requirement("HAPI-107")
def test_a_new_key_in_its_file_is_a_change_although_the_configuration_is_the_same(tmp_path: Path):
    key = tmp_path / "key"
    key.write_text("one")
    wanted = settings(None, llm_model="m", llm_api_key_file=key)
    before = read(wanted)
    key.write_text("two")

    after = read(wanted)

    assert (before.digest, changed(before, after)) == (after.digest, ["keys"])
    assert needs_restart(before, after) == []


def test_what_counts_only_from_the_next_start_is_told(file: Path):
    before = read(settings(None))
    file.write_text(MODEL % "a" + "server: {port: 1}\n")
    after = read(settings(file))

    assert changed(before, after) == ["server", "llm"]
    assert needs_restart(before, after) == ["port"]
