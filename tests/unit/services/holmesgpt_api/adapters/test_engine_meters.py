"""How many the engine's processes are, how large, and why they went, under names that do not grow."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from libs.metrics import Metrics
from services.holmesgpt_api.adapters.engine_meters import EngineMeters
from services.holmesgpt_api.adapters.residents import Residents
from services.holmesgpt_api.adapters.zygote import Zygote
from services.holmesgpt_api.domain.residence import GROWN_AT_MOST, NONE_KEPT, WHYS

pytestmark = pytest.mark.requirement("HAPI-137", "HAPI-140", "HAPI-172")


def engine(**fields: Any) -> Zygote:
    values = {"pid": 7, "own": 5000, "running": 2, "residents": Residents(NONE_KEPT), **fields}
    return cast("Zygote", SimpleNamespace(**values))


def test_the_engines_memory_and_its_children_are_told():
    metrics = Metrics("holmesgpt-api")
    meters = EngineMeters(metrics, share=lambda: 0.25, rss_of=lambda pid: pid * 1000)
    there = engine()
    there.residents.growth.per_run = 123.4

    assert meters.look(there) is False

    text = metrics.exposition().decode()
    assert 'holmesgpt_api_engine_rss_bytes{part="zygote"} 7000.0' in text
    assert 'holmesgpt_api_engine_rss_bytes{part="children"} 5000.0' in text
    assert 'holmesgpt_api_engine_children{state="busy"} 2.0' in text
    assert 'holmesgpt_api_engine_children{state="idle"} 0.0' in text
    assert 'holmesgpt_api_engine_children{state="spare"} 0.0' in text
    assert "holmesgpt_api_engine_memory_used_ratio 0.25" in text
    assert "holmesgpt_api_engine_child_growth_bytes 123.0" in text
    assert "holmesgpt_api_engine_usage_alert 0.0" in text


def test_an_engine_that_is_not_there_and_a_memory_nobody_knows_are_told_as_such():
    metrics = Metrics("holmesgpt-api")

    EngineMeters(metrics, share=lambda: None).look(engine(pid=None, own=0, running=0))

    text = metrics.exposition().decode()
    assert 'holmesgpt_api_engine_rss_bytes{part="zygote"} 0.0' in text
    assert "holmesgpt_api_engine_memory_used_ratio -1.0" in text


def test_each_reason_is_there_from_the_start_and_counts():
    metrics = Metrics("holmesgpt-api")
    meters = EngineMeters(metrics)
    for why in WHYS:
        assert f'holmesgpt_api_engine_children_retired_total{{reason="{why}"}} 0.0' in _text(metrics)

    meters.retired("memory")

    assert 'holmesgpt_api_engine_children_retired_total{reason="memory"} 1.0' in _text(metrics)


def test_children_that_outgrow_their_bound_again_and_again_are_an_alert():
    metrics = Metrics("holmesgpt-api")
    meters, there = EngineMeters(metrics, share=lambda: 0.5, rss_of=lambda _: 0), engine()
    for number in range(GROWN_AT_MOST + 1):
        there.residents.growth.gone(f"child-{number}", "memory", time.monotonic())

    assert meters.look(there) is True
    assert "holmesgpt_api_engine_usage_alert 1.0" in _text(metrics)


def _text(metrics: Metrics) -> str:
    return metrics.exposition().decode()
