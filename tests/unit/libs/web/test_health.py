"""Health is answered from the last background checks; readiness depends on those that matter."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from libs.contracts.health import ComponentHealth
from libs.metrics import Metrics
from libs.web import Check, ServiceInfo
from libs.web.health import HealthBoard, Pulse
from tests.support.web_client import calling

pytestmark = pytest.mark.requirement("HAPI-016", "HAPI-017", "API-BR-REL-004", "INF-BR-HEALTH-002")


async def fine() -> None:
    return None


async def away() -> None:
    raise ConnectionError("no route to host")


async def unconfigured() -> ComponentHealth:
    return ComponentHealth(status="not_configured")


async def board_with(metrics: Metrics | None = None, **checks: Check) -> HealthBoard:
    board = HealthBoard(ServiceInfo("sample", "Sample", "", "1.2"), metrics or Metrics("sample"))
    await board.start(checks)
    return board


async def test_all_well_is_healthy_in_both_key_styles():
    board = await board_with(database=Check(fine, critical=True))

    health = board.health()
    await board.stop()

    assert (health.status, health.service, health.version) == ("healthy", "sample", "1.2")
    assert health.checks["database"].status == "healthy"
    assert health.services == {"database": "healthy"}
    assert health.timestamp.timestamp() == pytest.approx(health.timestamp_unix)


async def test_one_component_away_degrades_and_says_why_and_only_a_critical_one_takes_readiness():
    dispensable = await board_with(cache=Check(away), database=Check(fine, critical=True))
    needed = await board_with(database=Check(away, critical=True))

    assert (dispensable.health().status, dispensable.ready) == ("degraded", True)
    assert "ConnectionError" in dispensable.health().checks["cache"].detail
    assert (needed.health().status, needed.ready) == ("degraded", False)
    for board in (dispensable, needed):
        await board.stop()


async def test_older_callers_find_a_component_under_the_name_they_know():
    board = HealthBoard(
        ServiceInfo("sample", "Sample", "", "1", older_names={"sdk": "llm", "gone": "none"}),
        Metrics("sample"),
    )
    await board.start({"llm": Check(away)})

    health, ready = board.health(), board.readiness()
    await board.stop()

    assert health.services == ready.services == {"llm": "unhealthy", "sdk": "unhealthy"}
    assert list(health.checks) == ["llm"]


async def test_what_is_not_configured_is_not_degraded():
    board = await board_with(llm=Check(unconfigured))

    assert board.health().status == "healthy"
    await board.stop()


async def test_a_check_that_hangs_is_unhealthy_and_holds_nobody_up(monkeypatch):
    monkeypatch.setattr("libs.web.health.WITHIN", timedelta(milliseconds=1))

    board = await board_with(database=Check(asyncio.Event().wait, critical=True))  # type: ignore[arg-type]

    assert board.health().checks["database"].status == "unhealthy"
    await board.stop()


async def test_asking_for_health_asks_no_dependency():
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    board = await board_with(database=Check(count))
    for _ in range(100):
        board.health()
        board.readiness()
    await board.stop()

    assert asked == 1


def statuses(metrics: Metrics) -> dict[tuple[str, str], float]:
    """What is 1, by component and status; and how many lines there are."""
    (family,) = metrics.collect("kubernaut_component_status")
    lines = {(one.labels["component"], one.labels["status"]): one.value for one in family.samples}
    assert set(lines.values()) <= {0.0, 1.0}
    return lines


@pytest.mark.requirement("HAPI-173")
async def test_metrics_tell_every_components_status_as_it_changes(monkeypatch):
    monkeypatch.setattr("libs.web.health.WHILE_UNHEALTHY", timedelta(milliseconds=1))
    metrics, is_away = Metrics("sample"), True

    async def comes_back() -> None:
        if is_away:
            raise ConnectionError("no route to host")

    board = await board_with(metrics, database=Check(comes_back, critical=True), llm=Check(unconfigured))
    before = statuses(metrics)
    is_away = False
    async with asyncio.timeout(10):
        while not board.ready:
            await asyncio.sleep(0.001)
    after = statuses(metrics)
    await board.stop()

    assert (len(before), len(after)) == (2, 3)
    assert {one for one, value in before.items() if value} == {
        ("database", "unhealthy"),
        ("llm", "not_configured"),
    }
    assert {one for one, value in after.items() if value} == {
        ("database", "healthy"),
        ("llm", "not_configured"),
    }


async def test_a_component_for_each_of_a_hundred_clusters_leaves_room_for_other_metrics():
    metrics = Metrics("sample")
    board = await board_with(metrics, **{f"context_api:{number}": Check(fine) for number in range(200)})
    await board.stop()

    assert len(statuses(metrics)) == 200
    assert "kubernaut_metrics_series_refused 0.0" in metrics.exposition().decode()


async def test_before_the_start_and_after_the_stop_nothing_is_ready():
    board = HealthBoard(ServiceInfo("sample", "Sample", "", "1"), Metrics("sample"))
    assert not board.ready

    await board.start({})
    assert board.ready

    await board.stop()
    assert not board.ready


async def test_health_is_200_even_when_degraded_and_ready_is_503():
    async with calling(checks={"database": Check(away, critical=True)}) as service:
        health, alias, ready = [
            await service.http.get(path) for path in ("/health", "/api/v1/health", "/ready")
        ]

    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert alias.json()["checks"].keys() == health.json()["checks"].keys()
    assert health.json()["checks"]["database"]["age_s"] >= 0
    assert (ready.status_code, ready.json()["ready"]) == (503, False)


async def test_a_worker_whose_loop_turns_is_healthy_and_one_whose_loop_is_stuck_is_not(monkeypatch):
    async with Pulse("sample") as pulse:
        turning = json.loads(pulse.report())
        monkeypatch.setattr(pulse, "_beat", pulse._beat - 60)
        stuck = json.loads(pulse.report())

    assert (turning["status"], turning["services"]) == ("healthy", {"event_loop": "healthy"})
    assert (stuck["status"], stuck["services"]) == ("degraded", {"event_loop": "unhealthy"})
